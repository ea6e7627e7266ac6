/**
 * PeerAuthentication: which mutual TLS mode holds at each port of each workload.
 *
 * The narrowest scope wins: port, workload, namespace, mesh; in one scope the oldest policy, even where it leaves the mode UNSET, which inherits.
 * Ports count as the workload's, not the service's. Without any policy the mode is PERMISSIVE.
 * Rules: Istio, pilot/pkg/model/authentication.go (addPeerAuthentication) and pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication).
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { memoize } from "./memo.ts";
import { byAge, indexPolicies, type PolicyIndex, reuseMap, sameProvenance } from "./policy-scope.ts";
import type { Mesh, Settings, Workload } from "./types.ts";

export type MtlsMode = "STRICT" | "PERMISSIVE" | "DISABLE";

export type EffectiveMode = {
  readonly mode: MtlsMode;
  /** The line that decided; absent where Istio's default (PERMISSIVE) did. */
  readonly source?: Provenance;
};

export type WorkloadMtls = {
  readonly mode: EffectiveMode;
  /** By workload port, sorted: the ports that portLevelMtls names. */
  readonly ports: ReadonlyMap<number, EffectiveMode>;
};

type Policy = Resource<"PeerAuthentication">;

/** Policies by scope; of several for one scope the oldest. */
interface Scopes {
  readonly mesh?: Policy;
  readonly namespaces: ReadonlyMap<string, Policy>;
  /** Oldest first. */
  readonly workloads: PolicyIndex<Policy>;
}

const DEFAULT_MODE: EffectiveMode = { mode: "PERMISSIVE" };

/**
 * The effective mode of every workload, by its key. A workload whose outcome (with its provenance) did not change keeps its object (===)
 * of `previous`, and so does the whole map.
 */
export function buildMtls(
  policies: readonly Policy[],
  workloads: ReadonlyMap<string, Workload>,
  settings: Settings,
  previous?: Mesh,
): ReadonlyMap<string, WorkloadMtls> {
  const scopes = scopesOf(policies, settings);
  const built = new Map<string, WorkloadMtls>();
  for (const [key, workload] of workloads) {
    const mtls = composeMtls(scopes, workload, settings.rootNamespace);
    const before = previous?.mtls.get(key);
    built.set(key, before && sameMtls(before, mtls) ? before : mtls);
  }
  return reuseMap(built, previous?.mtls);
}

/**
 * How a workload's listener serves a mode. Without an identity it cannot speak mutual TLS: PERMISSIVE takes plaintext only, and under STRICT
 * (undefined) there is no listener, for plaintext would break the policy.
 */
export function servedMode({ spiffeId }: Workload, mode: MtlsMode): MtlsMode | undefined {
  if (spiffeId !== undefined || mode === "DISABLE") return mode;
  return mode === "PERMISSIVE" ? "DISABLE" : undefined;
}

/** The mode that a namespace's own policy, else the mesh's, says for all of its workloads. */
export function namespaceModes(policies: readonly Policy[], settings: Settings): (namespace: string) => EffectiveMode {
  const { rootNamespace } = settings;
  const { mesh, namespaces } = scopesOf(policies, settings);
  return (namespace) => narrowest([mesh, namespace === rootNamespace ? undefined : namespaces.get(namespace)]);
}

/** The mode at a workload's port. */
export function mtlsModeAt(mtls: WorkloadMtls, port: number): EffectiveMode {
  return mtls.ports.get(port) ?? mtls.mode;
}

const scopesOf = memoize((policies: readonly Policy[], { rootNamespace }: Settings): Scopes => {
  let mesh: Policy | undefined;
  const namespaces = new Map<string, Policy>();
  const selective: Policy[] = [];
  for (const policy of [...policies].sort(byAge)) {
    const { namespace } = policy.metadata;
    const isScopeWide = Object.keys(policy.spec.selector?.matchLabels ?? {}).length === 0;
    if (isScopeWide && namespace === rootNamespace) mesh ??= policy;
    else if (isScopeWide && !namespaces.has(namespace)) namespaces.set(namespace, policy);
    // A selector in the root namespace makes no workload policy: it would reach into every namespace, and Istio ignores it.
    else if (!isScopeWide && namespace !== rootNamespace) selective.push(policy);
  }
  return { mesh, namespaces, workloads: indexPolicies(selective, ({ spec }) => spec.selector?.matchLabels) };
});

function composeMtls(scopes: Scopes, workload: Workload, rootNamespace: string): WorkloadMtls {
  const workloadPolicy = scopes.workloads.at(workload.namespace, workload.labels)[0];
  const namespacePolicy = workload.namespace === rootNamespace ? undefined : scopes.namespaces.get(workload.namespace);
  const mode = narrowest([scopes.mesh, namespacePolicy, workloadPolicy]);
  const ports = new Map<number, EffectiveMode>();
  if (workloadPolicy) {
    const levels = Object.entries(workloadPolicy.spec.portLevelMtls ?? {});
    for (const [port, level] of levels.sort(([a], [b]) => Number(a) - Number(b))) {
      const own = parseMode(level?.mode);
      const at = own && { mode: own, source: provenanceOf(workloadPolicy, "spec", "portLevelMtls", port, "mode") };
      ports.set(Number(port), at ?? mode);
    }
  }
  return { mode, ports };
}

/** The last that says one. */
function narrowest(policies: readonly (Policy | undefined)[]): EffectiveMode {
  let mode = DEFAULT_MODE;
  for (const policy of policies) {
    const own = parseMode(policy?.spec.mtls?.mode);
    if (policy && own) mode = { mode: own, source: provenanceOf(policy, "spec", "mtls", "mode") };
  }
  return mode;
}

/** undefined inherits. */
function parseMode(mode: MtlsMode | "UNSET" | undefined): MtlsMode | undefined {
  return mode === "UNSET" ? undefined : mode;
}

function sameMtls(a: WorkloadMtls, b: WorkloadMtls): boolean {
  if (!sameMode(a.mode, b.mode) || a.ports.size !== b.ports.size) return false;
  for (const [port, mode] of a.ports) {
    const other = b.ports.get(port);
    if (!other || !sameMode(mode, other)) return false;
  }
  return true;
}

function sameMode(a: EffectiveMode, b: EffectiveMode): boolean {
  return a.mode === b.mode && sameProvenance(a.source, b.source);
}
