/**
 * ProxyConfig: how each workload's Envoy is started. MeshConfig's defaultConfig, the root namespace's ProxyConfig, the namespace's and the one that
 * selects the workload come together, field by field and variable by variable, the later ones having the last word; of several of one
 * scope the oldest holds alone (Istio, pilot/pkg/model/proxy_config.go EffectiveProxyConfig).
 */
import type { ProcessSettings } from "../lib/process-settings.ts";
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { Pool } from "./memo.ts";
import { byAge, selects } from "./policy-scope.ts";
import type { Settings, Workload } from "./types.ts";

type ProxyConfig = Resource<"ProxyConfig">;

export interface WorkloadProcess extends ProcessSettings {
  readonly sources: readonly Provenance[];
}

interface Inputs {
  readonly config?: Resource<"MeshConfig">;
  readonly settings: Settings;
  readonly pool: Pool;
}

/** By key of the workload; those about which nothing is said have no entry. */
export function buildProcesses(
  configs: readonly ProxyConfig[],
  workloads: ReadonlyMap<string, Workload>,
  inputs: Inputs,
): ReadonlyMap<string, WorkloadProcess> {
  const sorted = [...configs].sort(byAge);
  const built = new Map<string, WorkloadProcess>();
  if (sorted.length === 0 && inputs.config?.spec.defaultConfig === undefined) return built;
  for (const [key, workload] of workloads) {
    const made = processOf(proxyConfigsFor(sorted, workload, inputs.settings.rootNamespace), inputs.config);
    if (made.concurrency === undefined && Object.keys(made.environment).length === 0) continue;
    built.set(
      key,
      inputs.pool.keep(`process ${JSON.stringify(made)}`, () => made),
    );
  }
  return built;
}

/**
 * At most one a scope, the widest first. `sorted`: oldest first. An empty selector selects nothing, not even the namespace; one in the root
 * namespace selects in that namespace only.
 */
export function proxyConfigsFor(sorted: readonly ProxyConfig[], { namespace, labels }: Workload, rootNamespace: string): ProxyConfig[] {
  const wide = (of: string) => sorted.find(({ metadata, spec }) => metadata.namespace === of && !spec.selector);
  const own = sorted.find(({ metadata, spec }) => {
    const isSelective = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
    return metadata.namespace === namespace && isSelective && selects(spec.selector, labels);
  });
  return [wide(rootNamespace), namespace === rootNamespace ? undefined : wide(namespace), own].flatMap((found) => found ?? []);
}

function processOf(levels: readonly ProxyConfig[], config: Resource<"MeshConfig"> | undefined): WorkloadProcess {
  const defaults = config?.spec.defaultConfig;
  const variables = [defaults?.proxyMetadata ?? {}, ...levels.map(({ spec }) => spec.environmentVariables ?? {})];
  const said = [defaults?.concurrency, ...levels.map(({ spec }) => spec.concurrency)].filter((value) => value !== undefined);
  const merged = Object.entries(Object.assign({}, ...variables) as Record<string, string>);
  return {
    concurrency: said.at(-1),
    environment: Object.fromEntries(merged.sort(([a], [b]) => (a < b ? -1 : 1))),
    sources: [
      ...(config && defaults ? [provenanceOf(config, "spec", "defaultConfig")] : []),
      ...levels.map((one) => provenanceOf(one, "spec")),
    ],
  };
}
