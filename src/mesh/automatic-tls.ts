/**
 * Automatic mutual TLS, where a DestinationRule says nothing of TLS for a cluster: as a rule each endpoint is called as it accepts it. Two things
 * decide for all of a cluster's endpoints (Istio, pilot/pkg/model/push_context.go BestEffortInferServiceMTLSMode, pilot/pkg/xds/endpoints/mtls_checker.go):
 *
 * - Where PeerAuthentication says DISABLE for the service's namespace, or for the mesh, callers send plaintext, whatever a workload's policy says.
 * - Settings for a port that leave out `tls` hide the host's or the subset's from the cluster, but not from its endpoints: those with a sidecar
 *   still are called with mutual TLS where it says ISTIO_MUTUAL, and all with plaintext where it says anything else.
 */
import type { Provenance } from "../lib/provenance.ts";
import type { Resource } from "../model/resource.ts";
import type { TrafficPolicy } from "../model/traffic-policy.ts";
import { type DestinationRule, NO_SUBSET, type Subset } from "./destination-rules.ts";
import { memoize, type Pool } from "./memo.ts";
import { namespaceModes } from "./peer-authentication.ts";
import type { Endpoint, ServicePort, Settings } from "./types.ts";

export interface AutomaticTls {
  /** "each" as it accepts it; "all" that have a sidecar; "none" of them. */
  readonly endpoints: "each" | "all" | "none";
  /** What decided for all of them. */
  readonly source?: Provenance;
}

export const EACH: AutomaticTls = { endpoints: "each" };

/** By a service's namespace; the same object as before where the line that decides is the same. */
export function buildNamespaceTls(
  policies: readonly Resource<"PeerAuthentication">[],
  settings: Settings,
  pool: Pool,
): (namespace: string) => AutomaticTls {
  const modeOf = namespaceModes(policies, settings);
  return (namespace) => {
    const { mode, source } = modeOf(namespace);
    return mode === "DISABLE" ? pool.keep(`plaintext ${JSON.stringify(source)}`, () => ({ endpoints: "none", source })) : EACH;
  };
}

/** For a cluster whose own policy says nothing of TLS. */
export function automaticTls(
  ofNamespace: AutomaticTls,
  rule: DestinationRule,
  subset: Subset | typeof NO_SUBSET,
  port: ServicePort,
): AutomaticTls {
  if (ofNamespace.endpoints === "none") return ofNamespace;
  const mode = (subset === NO_SUBSET ? undefined : tlsModeAt(subset.trafficPolicy, port)) ?? tlsModeAt(rule.trafficPolicy, port);
  if (mode === undefined) return EACH;
  return { endpoints: mode === "ISTIO_MUTUAL" ? "all" : "none", source: rule.sources[0] };
}

/** Says in place of the service account whether there is a sidecar. */
const TLS_MODE = "security.istio.io/tlsMode";

/** As it is called where "all" holds: whatever PeerAuthentication says about it. */
export const withMutualTls = memoize((endpoint: Endpoint): Endpoint => {
  const hasSidecar = (endpoint.labels[TLS_MODE] ?? (endpoint.spiffeId ? "istio" : "disabled")) === "istio";
  return hasSidecar ? { ...endpoint, mtlsPorts: new Set(endpoint.ports.keys()) } : endpoint;
});

function tlsModeAt(policy: TrafficPolicy | undefined, port: ServicePort): string | undefined {
  const own = policy?.portLevelSettings?.find((settings) => settings.port.number === port.number && settings.tls);
  const tls = own?.tls ?? policy?.tls;
  return tls && (tls.mode ?? "DISABLE");
}
