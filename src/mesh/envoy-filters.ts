/**
 * EnvoyFilter: which patches reach which workload's proxy, in the order in which they are applied: by priority, the root namespace's before the
 * workload's own, the oldest first (Istio, pilot/pkg/model/push_context.go EnvoyFilters). A selector in the root namespace selects in every namespace.
 */
import type { Provenance } from "../lib/provenance.ts";
import type { ConfigPatch } from "../model/envoy-filter.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { internList, memoize, type Pool } from "./memo.ts";
import { byAge, selects } from "./policy-scope.ts";
import type { Settings, Workload } from "./types.ts";

export type EnvoyMatch = NonNullable<ConfigPatch["match"]>;

export interface EnvoyPatch {
  readonly applyTo: ConfigPatch["applyTo"];
  /** Hosts of the mesh in their canonical form. */
  readonly match: EnvoyMatch;
  readonly operation: ConfigPatch["patch"]["operation"];
  /** Protobuf's JSON; undefined with REMOVE. */
  readonly value?: Readonly<Record<string, unknown>>;
  /** The line of the patch. */
  readonly source: Provenance;
}

type EnvoyFilter = Resource<"EnvoyFilter">;

/** By key of the workload; those that no EnvoyFilter selects have no entry. */
export function buildEnvoyPatches(
  filters: readonly EnvoyFilter[],
  workloads: ReadonlyMap<string, Workload>,
  settings: Settings,
  pool: Pool,
): ReadonlyMap<string, readonly EnvoyPatch[]> {
  const ordered = [...filters].sort((a, b) => byOrder(a, b, settings.rootNamespace));
  const patches = new Map(ordered.map((filter) => [filter, patchesOf(filter, settings, pool)]));
  const built = new Map<string, readonly EnvoyPatch[]>();
  if (ordered.length === 0) return built;
  for (const [key, workload] of workloads) {
    if (workload.own) continue;
    const own = ordered.filter(({ metadata, spec }) => {
      const reaches = metadata.namespace === settings.rootNamespace || metadata.namespace === workload.namespace;
      return reaches && selects({ matchLabels: spec.workloadSelector?.labels }, workload.labels);
    });
    const all = own.flatMap((filter) => patches.get(filter) ?? []);
    if (all.length > 0) built.set(key, internList(all));
  }
  return built;
}

function byOrder(a: EnvoyFilter, b: EnvoyFilter, rootNamespace: string): number {
  const isRoot = ({ metadata }: EnvoyFilter) => Number(metadata.namespace === rootNamespace);
  return (a.spec.priority ?? 0) - (b.spec.priority ?? 0) || isRoot(b) - isRoot(a) || byAge(a, b);
}

const patchesOf = memoize((filter: EnvoyFilter, settings: Settings, pool: Pool): readonly EnvoyPatch[] =>
  (filter.spec.configPatches ?? []).map(({ applyTo, match, patch }, index) => {
    const made: EnvoyPatch = {
      applyTo,
      match: canonicalMatch(match ?? {}, filter.metadata.namespace, settings.domain),
      operation: patch.operation,
      ...(patch.value === undefined ? {} : { value: patch.value }),
      source: provenanceOf(filter, "spec", "configPatches", index),
    };
    return pool.keep(`envoy patch ${JSON.stringify(made)}`, () => made);
  }),
);

/** Names of hosts in Istio's forms are those of weft's: "orders.default.svc.cluster.local:80" is "orders.default.mesh.local:80". */
function canonicalMatch(match: EnvoyMatch, namespace: string, domain: string): EnvoyMatch {
  const canonical = (host: string) => canonicalHost(host, namespace, domain);
  const { cluster, routeConfiguration } = match;
  const vhost = routeConfiguration?.vhost;
  return {
    ...match,
    ...(cluster
      ? {
          cluster: {
            ...cluster,
            ...(cluster.name ? { name: canonicalClusterName(cluster.name, canonical) } : {}),
            ...(cluster.service ? { service: canonical(cluster.service) } : {}),
          },
        }
      : {}),
    ...(vhost?.name
      ? { routeConfiguration: { ...routeConfiguration, vhost: { ...vhost, name: canonicalVirtualHostName(vhost.name, canonical) } } }
      : {}),
  };
}

type Canonical = (host: string) => string;

/** "outbound|80|v1|HOST". */
function canonicalClusterName(name: string, canonical: Canonical): string {
  const parts = name.split("|");
  const host = parts[3];
  return parts.length === 4 && host ? [...parts.slice(0, 3), canonical(host)].join("|") : name;
}

/** "HOST:PORT"; "inbound|http|80" has no host. */
function canonicalVirtualHostName(name: string, canonical: Canonical): string {
  const [, host, port] = /^([^|:]+\.[^|:]+):(\d+)$/.exec(name) ?? [];
  return host && port ? `${canonical(host)}:${port}` : name;
}
