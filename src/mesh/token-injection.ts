/**
 * TokenInjection: which JWT-SVID a workload's proxy adds to calls of which services, so that the application needs to know no token.
 *
 * Of several that name a host one holds: one that selects the workload before the namespace's, before the root namespace's; the oldest of a scope.
 * A selector in the root namespace selects in that namespace only. A gateway passes other people's calls on, and would put its own name in the
 * place of theirs: there only a TokenInjection holds that selects it. A workload without a service account has no name to give.
 */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { headerOf, prefixOf } from "../model/token-injection.ts";
import { compareText, covers } from "./hosts.ts";
import { internList, memoize } from "./memo.ts";
import type { OutboundCluster } from "./outbound-clusters.ts";
import { byAge, selects } from "./policy-scope.ts";
import { isHttp } from "./services.ts";
import type { Mesh, Settings, Workload } from "./types.ts";

type TokenInjection = Resource<"TokenInjection">;

export interface Injection {
  /** Canonical: "orders.default.mesh.local", "*.example.com". */
  readonly hosts: readonly string[];
  readonly token: TokenNeed;
  /** In lower case. What the application sends under this name is replaced. */
  readonly header: string;
  /** Namespaces whose services get the token whatever their host: its own, and the root's. */
  readonly trusted: readonly string[];
  /** The mesh's service domain. */
  readonly domain: string;
  readonly source: Provenance;
}

/** A JWT-SVID of a workload, as it is given to its proxy. */
export interface TokenNeed {
  /** Name of the SDS resource: "jwt-svid:AUDIENCE" with the prefix "Bearer ", else "jwt-svid/PREFIX:AUDIENCE", the prefix percent-encoded. */
  readonly secret: string;
  readonly audience: string;
  /** Stands before the token. */
  readonly prefix: string;
}

export interface WorkloadInjections {
  /** The first that names a host holds for it. At least one. */
  readonly injections: readonly Injection[];
}

/** By key of the workload; those for which there is none have no entry. */
export function buildInjections(
  all: readonly TokenInjection[],
  workloads: ReadonlyMap<string, Workload>,
  settings: Settings,
): ReadonlyMap<string, WorkloadInjections> {
  const sorted = [...all].sort(byAge);
  const built = new Map<string, WorkloadInjections>();
  if (sorted.length === 0) return built;
  for (const [key, workload] of workloads) {
    if (!workload.spiffeId) continue;
    const injections = injectionsFor(sorted, workload, settings.rootNamespace).map((one) => injectionOf(one, settings));
    if (injections.length > 0) built.set(key, injectionsOf(internList(injections)));
  }
  return built;
}

/** Workloads with the same share one object. */
const injectionsOf = memoize((injections: readonly Injection[]): WorkloadInjections => ({ injections }));

/** In the order in which they are asked. `sorted`: oldest first. */
export function injectionsFor(sorted: readonly TokenInjection[], workload: Workload, rootNamespace: string): readonly TokenInjection[] {
  const { namespace, labels, type } = workload;
  const own = sorted.filter(
    ({ metadata, spec }) => metadata.namespace === namespace && isSelective(spec) && selects(spec.selector, labels),
  );
  if (type === "gateway") return own;
  const wide = (of: string) => sorted.filter(({ metadata, spec }) => metadata.namespace === of && !isSelective(spec));
  return [...own, ...wide(namespace), ...(namespace === rootNamespace ? [] : wide(rootNamespace))];
}

function isSelective({ selector }: TokenInjection["spec"]): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length > 0;
}

const injectionOf = memoize((one: TokenInjection, { domain, rootNamespace }: Settings): Injection => {
  const { spec, metadata } = one;
  return {
    hosts: spec.hosts.map((host) => canonicalHost(host, metadata.namespace, domain)),
    token: tokenNeed(spec.audience, prefixOf(spec)),
    header: headerOf(spec),
    trusted: [metadata.namespace, rootNamespace],
    domain,
    source: provenanceOf(one, "spec"),
  };
});

function tokenNeed(audience: string, prefix: string): TokenNeed {
  const secret = prefix === "Bearer " ? `jwt-svid:${audience}` : `jwt-svid/${encodeURIComponent(prefix)}:${audience}`;
  return { secret, audience, prefix };
}

/** What calls of a service's host carry; `host` is canonical. A wildcard's service may be called by any name: only a wildcard names it. */
export function injectionAt(all: WorkloadInjections | undefined, host: string): Injection | undefined {
  return all?.injections.find(({ hosts }) => hosts.some((pattern) => covers(pattern, host)));
}

/** The same of a cluster. There is no header to write on a TCP port. */
export function injectionOn(all: WorkloadInjections | undefined, { service, port }: OutboundCluster): Injection | undefined {
  if (!isHttp(port.protocol)) return undefined;
  const found = injectionAt(all, service.host);
  // A ServiceEntry of anybody may claim a host: the token goes only to those of the host's own namespace, of the TokenInjection's, or of the root's.
  const isOwner = (namespace: string) => service.host.endsWith(`.${namespace}.${found?.domain}`);
  return found && (found.trusted.includes(service.namespace) || isOwner(service.namespace)) ? found : undefined;
}

/** The tokens that a workload's proxy must have for its clusters, each once, sorted by secret. */
export function tokensNeeded(mesh: Mesh, workloadKey: string): readonly TokenNeed[] {
  const injections = mesh.injections.get(workloadKey);
  const view = mesh.outbound.get(workloadKey);
  return injections && view ? neededBy(injections, view.clusters) : NONE;
}

const NONE: readonly TokenNeed[] = [];

const neededBy = memoize((injections: WorkloadInjections, clusters: readonly OutboundCluster[]): readonly TokenNeed[] => {
  const needs = clusters.flatMap((cluster) => injectionOn(injections, cluster)?.token ?? []);
  return [...new Map(needs.map((need) => [need.secret, need])).values()].sort((a, b) => compareText(a.secret, b.secret));
});
