/**
 * All resources of a revision, as one Mesh. Pure, total, and independent of the order of its input. Pass the Mesh before as `previous`: what is
 * made of the same (stages.ts) is then not made again, and all that did not change is the same object.
 */
import { changedKeys, type PersistentMap } from "../lib/persistent-map.ts";
import type { AnyResource, Resource } from "../model/resource.ts";
import { buildAccessLogs } from "./access-logs.ts";
import { buildAuthorization } from "./authorization.ts";
import { buildAuthorizationProviders } from "./authorization-provider.ts";
import { buildCredentials, indexSecrets, namesSecret } from "./credentials.ts";
import { buildDestinationRules } from "./destination-rules.ts";
import { buildEnvoyPatches } from "./envoy-filters.ts";
import { buildFederation } from "./federation.ts";
import { isForGateways } from "./gateway-names.ts";
import { buildGateway } from "./gateways.ts";
import { buildInboundPolicies } from "./inbound-policy.ts";
import { buildInstances } from "./instances.ts";
import { Pool } from "./memo.ts";
import { withDefaultExports } from "./mesh-defaults.ts";
import { buildMetrics } from "./metrics.ts";
import { buildOutbound, type OutboundViews, surroundingsOf } from "./outbound.ts";
import { buildMtls } from "./peer-authentication.ts";
import { reuseMap } from "./policy-scope.ts";
import { buildProcesses } from "./proxy-config.ts";
import { buildReadiness, isAsked } from "./readiness.ts";
import { buildAuthentication } from "./request-authentication.ts";
import { keepList, ResourceSet } from "./resource-set.ts";
import { buildSelection, reachedBy, type Selection } from "./selection.ts";
import { buildServices } from "./services.ts";
import { buildSettings, type MeshOptions, meshConfigOf, ownNames } from "./settings.ts";
import { sidecarLookup } from "./sidecars.ts";
import { pick, Stages } from "./stages.ts";
import { buildInjections } from "./token-injection.ts";
import { buildTracing } from "./tracing.ts";
import type { Mesh, Workload } from "./types.ts";
import { buildVirtualServices, visibleFrom } from "./virtual-services.ts";
import { buildRegistrations } from "./workload-registrations.ts";
import { buildWorkloads, traitsOf } from "./workloads.ts";

export type { MeshOptions } from "./settings.ts";

/** What each Mesh was made of. */
const built = new WeakMap<
  Mesh,
  { readonly set: ResourceSet; readonly selection: Selection; readonly pool: Pool; readonly stages: Stages }
>();

/** The resources that a Mesh was built of, and what of them selects what; undefined for one that is not as it was built. */
export function originOf(mesh: Mesh): { readonly set: ResourceSet; readonly selection: Selection } | undefined {
  return built.get(mesh);
}

const NO_TEXTS: ReadonlyMap<string, string> = new Map();
type ClusterLists = ReturnType<OutboundViews["clusterLists"]>;
const NO_CLUSTERS: ClusterLists = [];
const NO_VIEWS: Mesh["outbound"] = new Map();
const NO_HEALTH: NonNullable<MeshOptions["health"]> = new Map();

export function buildMesh(resources: readonly AnyResource[] | ResourceSet, options: MeshOptions, previous?: Mesh): Mesh {
  const before = previous && built.get(previous);
  const set = resources instanceof ResourceSet ? resources : ResourceSet.of(resources, before?.set);
  const pool = before?.pool ?? new Pool();
  const stages = new Stages(before?.stages);

  const config = meshConfigOf(set.of("MeshConfig"), options);
  const federation = buildFederation(set.of("TrustDomain"), ownNames(options), previous?.federation);
  const settings = buildSettings(config, options, pool, federation);
  const { defaultServiceExportTo, defaultVirtualServiceExportTo, defaultDestinationRuleExportTo } = config?.spec ?? {};
  const exported = <K extends "ServiceEntry" | "VirtualService" | "DestinationRule">(kind: K, exportTo: readonly string[] | undefined) =>
    stages.once<readonly (AnyResource & Resource<K>)[]>(kind, [set.of(kind), exportTo], (known) =>
      keepList(known, withDefaultExports<K>(set.of(kind), exportTo)),
    );
  const entries = exported("ServiceEntry", defaultServiceExportTo);
  const allRoutes = exported("VirtualService", defaultVirtualServiceExportTo);
  const allRules = exported("DestinationRule", defaultDestinationRuleExportTo);
  const services = stages.once("services", [entries, settings], () => buildServices(entries, settings));
  const rules = stages.once("rules", [allRules, settings], () => buildDestinationRules(allRules, settings));
  const sidecars = stages.once("sidecars", [set.of("Sidecar"), settings], () => sidecarLookup(set.of("Sidecar"), settings));
  const selection = stages.once<Selection>("selection", [entries, set.of("WorkloadEntry")], (known) =>
    buildSelection(entries, set.of("WorkloadEntry"), known),
  );
  const workloads = stages.perKeyAsked(
    "workloads",
    selection.workloadEntries,
    [settings, sidecars, selection.entries],
    (some) => buildWorkloads(some, selection.entries, settings, sidecars),
    ([oldSettings, oldSidecars, oldEntries]) =>
      oldSettings === settings && oldSidecars === sidecars
        ? changedKeys(oldEntries as PersistentMap<unknown>, selection.entries as PersistentMap<unknown>)
        : undefined,
  );

  const peers = set.of("PeerAuthentication");
  const mtls = stages.perKeyAsked(
    "mtls",
    workloads,
    [settings, peers],
    (some) => buildMtls(peers, some, settings, previous),
    ([oldSettings, old]) => (oldSettings === settings ? reachedBy(old as typeof peers, peers, selection, settings) : undefined),
  );
  const texts = (name: string, now: ReadonlyMap<string, string> = NO_TEXTS) =>
    stages.once<ReadonlyMap<string, string>>(name, [now], (known) => reuseMap(now, known));
  const jwks = texts("jwks", options.jwks);
  const authorities = texts("jwt authorities", options.jwtAuthorities);
  const tokens = set.of("RequestAuthentication");
  const authentication = stages.perKey(
    "authentication",
    workloads,
    [settings, jwks, authorities, tokens],
    (some) => buildAuthentication(tokens, some, { settings, jwks, authorities, pool }),
    ([oldSettings, oldJwks, oldAuthorities, old]) =>
      oldSettings === settings && oldJwks === jwks && oldAuthorities === authorities
        ? reachedBy(old as typeof tokens, tokens, selection, settings)
        : undefined,
  );
  const providers = stages.once("providers", [config, services, settings], () =>
    buildAuthorizationProviders(config, services, settings, pool),
  );
  const policies = set.of("AuthorizationPolicy");
  const authorization = stages.perKeyAsked(
    "authorization",
    workloads,
    [settings, providers, policies],
    (some) => buildAuthorization(policies, some, settings, undefined, providers),
    ([oldSettings, oldProviders, old]) =>
      oldSettings === settings && oldProviders === providers ? reachedBy(old as typeof policies, policies, selection, settings) : undefined,
  );

  const asked = stages.perKey("asked", selection.workloadEntries, [], (some) => new Map([...some].filter(([, one]) => isAsked(one))));
  const health = options.health ?? NO_HEALTH;
  const readiness = stages.once("readiness", [asked, health, selection.entries, settings], () =>
    buildReadiness({ health, asked, selecting: selection.entries, settings, pool }),
  );
  const unready = stages.once("unready", [readiness], () => reuseMap(readiness.unready, previous?.unready));
  const doubtful = stages.once("doubtful", [readiness], () => reuseMap(readiness.doubtful, previous?.doubtful));
  const instances = buildInstances({ settings, pool, stages, services, selection, workloads, mtls, unready, entries, peers });
  const virtualServices = stages.once("virtual services", [allRoutes, settings], () => buildVirtualServices(allRoutes, settings));
  const entriesByKey = selection.workloadEntries;
  const outboundInputs = {
    settings,
    pool,
    stages,
    services,
    instances,
    entries: entriesByKey,
    workloads,
    rules,
    virtualServices,
    sidecars,
    peers,
  };
  const outbound = buildOutbound(outboundInputs);
  const gatewayServices = stages.once("gateways' virtual services", [allRoutes, settings], () =>
    buildVirtualServices(allRoutes, settings, isForGateways),
  );
  const secrets = stages.once("secrets", [set.of("Secret")], () => indexSecrets(set.of("Secret")));
  const gatewayWorkloads = stages.perKey("gateway workloads", workloads, [], (some) =>
    pick(some, (key) => {
      const entry = entriesByKey.get(key);
      return entry !== undefined && traitsOf(entry).type === "gateway";
    }),
  );
  const gateways = stages.perKey(
    "gateways",
    gatewayWorkloads,
    [set.of("Gateway"), gatewayServices, secrets, services, rules, settings],
    (some) => {
      const view = (workload: Workload) => {
        const surroundings = surroundingsOf(workload, outboundInputs);
        const seen = visibleFrom(gatewayServices, workload.namespace);
        return buildGateway(set.of("Gateway"), { settings, pool, workload, virtualServices: seen, surroundings, secrets });
      };
      return new Map([...some].map(([key, workload]) => [key, view(workload)]));
    },
  );
  // To know whether a cluster names a Secret is to build every view; as a rule no DestinationRule does.
  const areNamed = stages.once("whether rules name Secrets", [allRules], () => allRules.some(namesSecret));
  const callingWith = stages.once<ClusterLists>("calling with Secrets", [outbound, areNamed], (known) =>
    areNamed ? keepList(known, outbound.clusterLists()) : NO_CLUSTERS,
  );
  const telemetries = set.of("Telemetry");

  const mesh: Mesh = {
    revision: options.revision,
    settings,
    services: instances.oldest,
    endpoints: instances.endpoints,
    workloads,
    unready,
    doubtful,
    mtls,
    authentication,
    authorization,
    inbound: stages.perKeyAsked("inbound", workloads, [services, rules, sidecars, settings], (some) =>
      buildInboundPolicies(some, { settings, services, rules, pool, sidecars }),
    ),
    outbound,
    gateways,
    credentials: stages.perKey("credentials", workloads, [secrets, gateways, callingWith, sidecars], (some) =>
      buildCredentials(
        secrets,
        { workloads: some, outbound: callingWith === NO_CLUSTERS ? NO_VIEWS : outbound, gateways },
        previous?.credentials,
      ),
    ),
    injections: stages.perKey("injections", workloads, [set.of("TokenInjection"), settings], (some) =>
      buildInjections(set.of("TokenInjection"), some, settings),
    ),
    accessLogs: stages.perKey("access logs", workloads, [telemetries, config, settings], (some) =>
      buildAccessLogs(telemetries, some, { config, settings, pool }),
    ),
    tracing: stages.perKey("tracing", workloads, [telemetries, config, settings, services], (some) =>
      buildTracing(telemetries, some, { config, settings, services, pool }),
    ),
    metrics: stages.perKey("metrics", workloads, [telemetries, config, settings], (some) =>
      buildMetrics(telemetries, some, { config, settings, pool }),
    ),
    processes: stages.perKey("processes", workloads, [set.of("ProxyConfig"), config, settings], (some) =>
      buildProcesses(set.of("ProxyConfig"), some, { config, settings, pool }),
    ),
    envoyPatches: stages.perKey("envoy patches", workloads, [set.of("EnvoyFilter"), settings], (some) =>
      buildEnvoyPatches(set.of("EnvoyFilter"), some, settings, pool),
    ),
    federation,
    registrations: buildRegistrations(set.of("WorkloadRegistration"), workloads, settings, previous?.registrations),
  };
  stages.close();
  built.set(mesh, { set, selection, pool, stages });
  return mesh;
}
