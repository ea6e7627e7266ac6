/**
 * A proxy's side that takes calls: for each inbound port a listener on the workload's address, a cluster to the application, and the
 * authentication and authorization that the listeners refer to by name (ECDS), so that a policy edit touches no listener.
 */
import type { EncodedResource } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { WorkloadAuthorization } from "../mesh/authorization.ts";
import type { InboundPolicy } from "../mesh/inbound-policy.ts";
import { internList, memoize } from "../mesh/memo.ts";
import { mtlsModeAt, type WorkloadMtls } from "../mesh/peer-authentication.ts";
import type { WorkloadAuthentication } from "../mesh/request-authentication.ts";
import type { InboundPort, Mesh, Service, Settings, Workload } from "../mesh/types.ts";
import { ALL_ABILITIES, type EnvoyAbilities } from "./envoy-version.ts";
import { listenerSettings } from "./filters/access-log.ts";
import { gatewayJwtResource, jwtResource } from "./filters/jwt.ts";
import { authorizationResources } from "./filters/rbac.ts";
import { inboundCluster } from "./inbound-cluster.ts";
import { inboundListener } from "./inbound-listener.ts";

export interface InboundResources {
  readonly clusters: readonly EncodedResource[];
  readonly listeners: readonly EncodedResource[];
  /** ECDS: one for each filter that the listeners refer to; none for a workload without inbound ports. */
  readonly extensions: readonly EncodedResource[];
}

/**
 * What the proxy of `workload` gets for calls in; the same object (===) as long as the workload, its services, its mode, its policies and the
 * settings are.
 */
export function inboundResources(mesh: Mesh, workload: Workload, abilities: EnvoyAbilities = ALL_ABILITIES): InboundResources {
  const mtls = mesh.mtls.get(workload.key);
  const authentication = mesh.authentication.get(workload.key);
  const authorization = mesh.authorization.get(workload.key);
  // The Mesh has all three for each of its workloads; any other gets nothing rather than an open port.
  if (!mtls || !authentication || !authorization) return NOTHING;
  const services = internList(workload.inbound.flatMap((port) => mesh.services.get(port.service) ?? []));
  return join(
    clustersOf(workload, services, mesh.settings, mesh.inbound.get(workload.key) ?? UNLIMITED),
    listenersOf(workload, services, mtls, listenerSettings(mesh, workload, abilities)),
    authentication,
    authorization,
  );
}

const NOTHING: InboundResources = { clusters: [], listeners: [], extensions: [] };

const join = memoize(
  (
    clusters: readonly EncodedResource[],
    listeners: readonly EncodedResource[],
    authentication: WorkloadAuthentication,
    authorization: WorkloadAuthorization,
  ): InboundResources => ({
    clusters,
    listeners,
    extensions: clusters.length > 0 ? policyExtensions(authentication, authorization) : [],
  }),
);

/** The same at a gateway. */
export const gatewayPolicyExtensions = memoize(
  (authentication: WorkloadAuthentication, authorization: WorkloadAuthorization): readonly EncodedResource[] => [
    gatewayJwtResource(authentication),
    ...authorizationResources(authorization),
  ],
);

/** What the filters of tokens and authorization ask for. */
const policyExtensions = memoize(
  (authentication: WorkloadAuthentication, authorization: WorkloadAuthorization): readonly EncodedResource[] => [
    jwtResource(authentication),
    ...authorizationResources(authorization),
  ],
);

const UNLIMITED: ReadonlyMap<number, InboundPolicy> = new Map();

const clustersOf = memoize(
  (workload: Workload, services: readonly Service[], settings: Settings, policies: ReadonlyMap<number, InboundPolicy>) =>
    workload.inbound.map((port) => {
      const policy = policies.get(port.number);
      const sources = [...sourcesOf(workload, services, port), ...(policy?.sources ?? [])];
      return inboundCluster(port, settings, policy, sources, workload.own ? workload.spiffeId : undefined);
    }),
);

const listenersOf = memoize((workload: Workload, services: readonly Service[], mtls: WorkloadMtls, settings: Settings) =>
  workload.inbound.flatMap((port) => {
    const { mode, source } = mtlsModeAt(mtls, port.number);
    const sources = [...(source ? [source] : []), ...sourcesOf(workload, services, port)];
    return inboundListener(workload, port, mode, settings, sources) ?? [];
  }),
);

function sourcesOf(workload: Workload, services: readonly Service[], port: InboundPort): Provenance[] {
  const service = services.find(({ host }) => host === port.service);
  return [...(port.source ? [port.source] : []), workload.source, ...(service ? [service.source] : [])];
}
