/**
 * All resources of a revision, as one Mesh. Pure, total, and independent of the order of its input. Each processor below keeps the objects
 * whose inputs did not change; pass the Mesh before as `previous`, so that what is kept by content is kept too.
 */
import type { AnyResource, Kind, Resource } from "../model/resource.ts";
import { buildAccessLogs } from "./access-logs.ts";
import { buildAuthorization } from "./authorization.ts";
import { buildAuthorizationProviders } from "./authorization-provider.ts";
import { buildNamespaceTls } from "./automatic-tls.ts";
import { buildCredentials, indexSecrets } from "./credentials.ts";
import { buildDestinationRules } from "./destination-rules.ts";
import { endpointsOf, inlineMtls } from "./endpoints.ts";
import { buildEnvoyPatches } from "./envoy-filters.ts";
import { buildFederation } from "./federation.ts";
import { isForGateways } from "./gateway-names.ts";
import { buildGateway, isGateway } from "./gateways.ts";
import { buildInboundPolicies } from "./inbound-policy.ts";
import { Pool } from "./memo.ts";
import { withDefaultExports } from "./mesh-defaults.ts";
import { buildMetrics } from "./metrics.ts";
import { buildOutbound, surroundingsOf } from "./outbound.ts";
import { buildMtls } from "./peer-authentication.ts";
import { byAge, reuseMap } from "./policy-scope.ts";
import { buildProcesses } from "./proxy-config.ts";
import { buildUnready, readyOf } from "./readiness.ts";
import { buildAuthentication } from "./request-authentication.ts";
import { buildSelection } from "./selection.ts";
import { buildServices, type ServiceParts } from "./services.ts";
import { buildSettings, type MeshOptions, meshConfigOf, ownNames } from "./settings.ts";
import { sidecarLookup } from "./sidecars.ts";
import { buildInjections } from "./token-injection.ts";
import { buildTracing } from "./tracing.ts";
import type { Mesh, Workload } from "./types.ts";
import { buildVirtualServices, visibleFrom } from "./virtual-services.ts";
import { buildRegistrations } from "./workload-registrations.ts";
import { buildWorkloads } from "./workloads.ts";

export type { MeshOptions } from "./settings.ts";

/** What each Mesh kept by content. */
const pools = new WeakMap<Mesh, Pool>();

const NO_JWKS: ReadonlyMap<string, string> = new Map();
const NO_HEALTH: NonNullable<MeshOptions["health"]> = new Map();

export function buildMesh(resources: readonly AnyResource[], options: MeshOptions, previous?: Mesh): Mesh {
  const pool = new Pool(previous && pools.get(previous));
  const sorted = [...resources].sort(byAge);
  const of = <K extends Kind>(kind: K) => sorted.filter((resource): resource is AnyResource & Resource<K> => resource.kind === kind);

  const config = meshConfigOf(of("MeshConfig"), options);
  const federation = buildFederation(of("TrustDomain"), ownNames(options), previous?.federation);
  const settings = buildSettings(config, options, pool, federation);
  const entries = withDefaultExports(of("ServiceEntry"), config?.spec.defaultServiceExportTo);
  const allRoutes = withDefaultExports(of("VirtualService"), config?.spec.defaultVirtualServiceExportTo);
  const allRules = withDefaultExports(of("DestinationRule"), config?.spec.defaultDestinationRuleExportTo);
  const index = buildServices(entries, settings);
  const selection = buildSelection(entries, of("WorkloadEntry"));
  const sidecars = sidecarLookup(of("Sidecar"), settings);
  const workloads = reuseMap(buildWorkloads(selection, settings, sidecars), previous?.workloads);
  const mtls = buildMtls(of("PeerAuthentication"), workloads, settings, previous);
  const authentication = buildAuthentication(
    of("RequestAuthentication"),
    workloads,
    { settings, jwks: options.jwks ?? NO_JWKS, authorities: options.jwtAuthorities, pool },
    previous,
  );
  const authorization = buildAuthorization(
    of("AuthorizationPolicy"),
    workloads,
    settings,
    previous,
    buildAuthorizationProviders(config, index, settings, pool),
  );

  const instanceMtls = new Map([...takesMeshTls(mtls, workloads), ...inlineMtls(of("PeerAuthentication"), entries, settings)]);
  const unready = reuseMap(buildUnready({ health: options.health ?? NO_HEALTH, selection, settings, pool }), previous?.unready);
  const instances = new Map(
    [...index.values()].flat().map((part) => [part, endpointsOf(part, { settings, pool, selection, mtls: instanceMtls })]),
  );
  const readyByPart = new Map([...instances].map(([part, all]) => [part, readyOf(all, unready)]));
  const endpoints = (part: ServiceParts) => readyByPart.get(part) ?? [];
  const rules = buildDestinationRules(allRules, settings);
  const virtualServices = buildVirtualServices(allRoutes, settings);
  const namespaceTls = buildNamespaceTls(of("PeerAuthentication"), settings, pool);
  const outboundInputs = {
    settings,
    pool,
    services: index,
    endpoints,
    instances,
    workloads,
    rules,
    virtualServices,
    sidecars,
    namespaceTls,
  };
  const outbound = buildOutbound(outboundInputs, previous);
  const gatewayServices = buildVirtualServices(allRoutes, settings, isForGateways);
  const secrets = indexSecrets(of("Secret"));
  const gateways = new Map(
    [...workloads.values()].filter(isGateway).map((workload) => {
      const surroundings = surroundingsOf(workload, outboundInputs);
      const seen = visibleFrom(gatewayServices, workload.namespace);
      return [
        workload.key,
        buildGateway(of("Gateway"), { settings, pool, workload, virtualServices: seen, surroundings, secrets }),
      ] as const;
    }),
  );

  // For what asks without a namespace, the service of the oldest ServiceEntry stands for its host.
  const oldest = [...index].flatMap(([host, [part]]) => (part ? [[host, part] as const] : []));
  const mesh: Mesh = {
    revision: options.revision,
    settings,
    services: reuseMap(new Map(oldest.map(([host, { service }]) => [host, service])), previous?.services),
    endpoints: reuseMap(new Map(oldest.map(([host, part]) => [host, endpoints(part)])), previous?.endpoints),
    workloads,
    unready,
    mtls,
    authentication,
    authorization,
    inbound: reuseMap(buildInboundPolicies(workloads, { settings, services: index, rules, pool, sidecars }), previous?.inbound),
    outbound: reuseMap(outbound, previous?.outbound),
    gateways: reuseMap(gateways, previous?.gateways),
    credentials: reuseMap(buildCredentials(secrets, { workloads, outbound, gateways }, previous?.credentials), previous?.credentials),
    injections: buildInjections(of("TokenInjection"), workloads, settings, previous?.injections),
    accessLogs: buildAccessLogs(of("Telemetry"), workloads, { config, settings, pool }, previous?.accessLogs),
    tracing: buildTracing(of("Telemetry"), workloads, { config, settings, services: index, pool }, previous?.tracing),
    metrics: buildMetrics(of("Telemetry"), workloads, { config, settings, pool }, previous?.metrics),
    processes: buildProcesses(of("ProxyConfig"), workloads, { config, settings, pool }, previous?.processes),
    envoyPatches: buildEnvoyPatches(of("EnvoyFilter"), workloads, settings, pool, previous?.envoyPatches),
    federation,
    registrations: buildRegistrations(of("WorkloadRegistration"), workloads, settings, previous?.registrations),
  };
  pools.set(mesh, pool);
  return mesh;
}

/** A gateway speaks the TLS of its Gateways, so no client may take it for a sidecar: PeerAuthentication does not hold there. */
function takesMeshTls<T>(mtls: ReadonlyMap<string, T>, workloads: ReadonlyMap<string, Workload>): readonly (readonly [string, T])[] {
  return [...mtls].filter(([key]) => workloads.get(key)?.type !== "gateway");
}
