/**
 * What a workload's calls out meet: clusters, endpoints, route tables, TCP routes. Workloads of one namespace share it, unless a rule tells
 * them apart (callers.ts).
 */
import type { Provenance } from "../lib/provenance.ts";
import { isIpAddress } from "../model/check.ts";
import { type AutomaticTls, automaticTls, EACH, withMutualTls } from "./automatic-tls.ts";
import { type Caller, groupCallers, hasLabels } from "./callers.ts";
import {
  type DestinationRule,
  type DestinationRuleIndex,
  type EffectivePolicy,
  effectivePolicy,
  NO_SUBSET,
  overDefaults,
  ruleFor,
  type Subset,
  sortedSubsets,
} from "./destination-rules.ts";
import { buildEgressListener, type EgressListener } from "./egress-listeners.ts";
import { compareText } from "./hosts.ts";
import { clusterName, type Surroundings } from "./http-routes.ts";
import {
  isLocalityWeighted,
  type LocalityGroup,
  localityGroups,
  type Nearness,
  NOWHERE,
  nearnessLookedAt,
  preferenceOf,
} from "./localities.ts";
import { internList, memoize, type Pool } from "./memo.ts";
import { sameProvenance } from "./policy-scope.ts";
import { buildRouteTables, type RouteTable } from "./route-tables.ts";
import { isHttp, type ServiceIndex, type ServiceParts, serviceFor } from "./services.ts";
import {
  type EgressScope,
  egressScope,
  importedServices,
  importsRoutes,
  inferredServices,
  joinKnown,
  type KnownService,
  type SidecarLookup,
} from "./sidecars.ts";
import { isTls, type TcpInputs, type TcpRoute, tcpRoutes } from "./tcp-routes.ts";
import type { Endpoint, Mesh, Service, ServicePort, Settings, Workload } from "./types.ts";
import { type UnknownHosts, unknownCluster, unknownHosts } from "./unknown-hosts.ts";
import { labelsLookedAt, seenBy, type VirtualService, type VirtualServiceIndex, visibleFrom } from "./virtual-services.ts";

/** How a port of a service, or of a subset of it, is called. */
export interface OutboundCluster {
  /** "outbound|8080|v1|orders.default.mesh.local" */
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset?: string;
  readonly policy: EffectivePolicy;
  /** With which TLS its endpoints are called, where `policy` says nothing of it. */
  readonly automaticTls: AutomaticTls;
  /** Identities that a mutual TLS server may present: of the service's endpoints and its ServiceEntry, sorted. */
  readonly subjectAltNames: readonly string[];
  /** Resolution DNS only: what to resolve. Others get their endpoints by EDS. */
  readonly endpoints?: readonly Endpoint[];
  /** Of `endpoints`. */
  readonly localities?: readonly LocalityGroup[];
  /** Whether the DestinationRule is for workloads that it selects. */
  readonly selected: boolean;
  /** Whether localities have weights that are not their endpoints'. */
  readonly localityWeighted: boolean;
  readonly sources: readonly Provenance[];
}

/** The endpoints of a cluster that gets them by EDS. */
export interface LoadAssignment {
  readonly cluster: string;
  readonly port: ServicePort;
  readonly endpoints: readonly Endpoint[];
  /** The same endpoints, as the caller prefers them. */
  readonly localities: readonly LocalityGroup[];
  readonly sources: readonly Provenance[];
}

/** A port of a service that callers may reach. */
export interface OutboundPort {
  readonly service: Service;
  readonly port: ServicePort;
  /** The service's addresses that are single ones, where a listener can be. */
  readonly addresses: readonly string[];
  /** Undefined for HTTP: its routes are in the tables. At least one. */
  readonly tcp?: readonly TcpRoute[];
}

export interface OutboundView {
  readonly namespace: string;
  /** The Sidecar's egress that limits it. */
  readonly scope?: Provenance;
  /** Whether and how hosts that the mesh does not know may be called. */
  readonly unknown?: UnknownHosts;
  /** Those of the Sidecar's that have a place of their own, in its order. */
  readonly listeners: readonly EgressListener[];
  /** Sorted by name. */
  readonly clusters: readonly OutboundCluster[];
  /** Sorted by cluster. */
  readonly assignments: readonly LoadAssignment[];
  /** By name: "http_proxy", "8080". */
  readonly routes: ReadonlyMap<string, RouteTable>;
  /** Sorted by host, then number. */
  readonly ports: readonly OutboundPort[];
}

export interface OutboundInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly services: ServiceIndex;
  endpoints(parts: ServiceParts): readonly Endpoint[];
  /** The same, and those that are not ready: they come back as whom they were, and a cluster is not to change with their health. */
  readonly instances: ReadonlyMap<ServiceParts, readonly Endpoint[]>;
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly rules: DestinationRuleIndex;
  readonly virtualServices: readonly VirtualService[];
  readonly sidecars: SidecarLookup;
  /** By a service's namespace. */
  namespaceTls(namespace: string): AutomaticTls;
}

/** By key of the calling workload, sorted. */
export function buildOutbound(inputs: OutboundInputs, previous?: Mesh): ReadonlyMap<string, OutboundView> {
  const byNamespace = new Map<string, readonly VirtualService[]>();
  const visible = (namespace: string) => {
    const found = byNamespace.get(namespace) ?? visibleFrom(inputs.virtualServices, namespace);
    byNamespace.set(namespace, found);
    return found;
  };
  const near = [...inputs.rules.all, { subsets: [], defaults: inputs.settings.defaults?.traffic }].map((rule) => nearnessLookedAt(rule));
  const nearLabels = new Set(near.flatMap(({ labels }) => labels));
  const distinctions = (namespace: string) => ({
    labels: labelsLookedAt(visible(namespace))
      .union(inputs.rules.labels.get(namespace) ?? new Set<string>())
      .union(nearLabels),
    locality: near.some(({ locality }) => locality),
  });
  const groups = groupCallers(inputs.workloads.values(), distinctions, ({ type, namespace, labels }) => {
    if (type === "gateway") return {};
    const sidecar = inputs.sidecars(namespace, labels);
    return {
      scope: egressScope(sidecar, namespace, inputs.settings),
      unknown: unknownHosts(sidecar, inputs.settings, inputs.pool),
    };
  });
  const views = new Map<string, OutboundView>();
  for (const { caller, workloads } of groups) {
    const { namespace, scope } = caller;
    const view = scope
      ? scopedView(caller, scope, workloads, visible(namespace), inputs)
      : wholeView(caller, workloads, visible(namespace), inputs);
    const known = new Set(workloads.map(({ key }) => previous?.outbound.get(key)));
    const before = [...known].find((one) => one && sameView(one, view));
    for (const { key } of workloads) views.set(key, before ?? view);
  }
  return new Map([...views].sort(([a], [b]) => compareText(a, b)));
}

function wholeView(
  caller: Caller,
  workloads: readonly Workload[],
  visible: readonly VirtualService[],
  inputs: OutboundInputs,
): OutboundView {
  const known = importedServices(inputs.services, caller.namespace, undefined);
  const surroundings = surroundingsOf(caller, inputs);
  const services = known.map(({ service }) => service);
  return {
    namespace: caller.namespace,
    unknown: caller.unknown,
    listeners: NO_LISTENERS,
    ...allClusters(caller, known, surroundings, inputs),
    ...otherCalls(caller, services, seenBy(visible, caller), surroundings, workloads, inputs),
  };
}

const NO_LISTENERS: readonly EgressListener[] = internList<EgressListener>([]);

/** As a Sidecar limits it, listener by listener; to its clusters all of them lead. */
function scopedView(
  caller: Caller,
  scope: EgressScope,
  workloads: readonly Workload[],
  visible: readonly VirtualService[],
  inputs: OutboundInputs,
): OutboundView {
  const { settings, pool } = inputs;
  const { namespace, unknown } = caller;
  const sights = scope.listeners.map((listener) => {
    const virtualServices = seenBy(
      visible.filter((one) => importsRoutes(listener, one)),
      caller,
    );
    const imported = importedServices(inputs.services, namespace, listener);
    const inferred = inferredServices(inputs.services, namespace, virtualServices.all, imported, settings, listener);
    return { listener, virtualServices, services: imported.map(({ service }) => service), known: [...imported, ...inferred] };
  });
  const known = joinKnown(sights.flatMap((sight) => sight.known));
  const surroundings = within(known, surroundingsOf(caller, inputs));
  const built = sights.flatMap(({ listener, virtualServices, services }) => {
    return buildEgressListener(listener, { namespace, settings, pool, services, virtualServices, unknown, surroundings }) ?? [];
  });
  const rest = sights.find(({ listener }) => !listener.bind);
  const others = otherCalls(caller, rest?.services ?? [], rest?.virtualServices ?? seenBy([], caller), surroundings, workloads, inputs);
  return {
    namespace,
    scope: scope.source,
    unknown: caller.unknown,
    listeners: internList(built.map(({ listener }) => listener)),
    ...allClusters(caller, known, surroundings, inputs),
    ports: others.ports,
    // Of one name the listener's own stands: it was said by hand (GetEgressListenerForRDS).
    routes: new Map([...others.routes, ...built.flatMap(({ table }) => (table ? [[table.name, table] as const] : []))]),
  };
}

function allClusters(
  caller: Caller,
  known: readonly KnownService[],
  surroundings: Surroundings,
  inputs: OutboundInputs,
): Pick<OutboundView, "clusters" | "assignments"> {
  const built = known.map(({ parts, service }) =>
    clustersOf(
      service,
      inputs.endpoints(parts),
      surroundings.rule(service),
      subjectAltNames(parts, inputs),
      nearnessOf(caller, surroundings.rule(service), inputs.pool),
      inputs.namespaceTls(service.namespace),
    ),
  );
  const { unknown } = caller;
  const others = unknown && !unknown.egressProxy ? [unknownCluster(unknown)] : [];
  return {
    clusters: internList([...built.flatMap(({ clusters }) => clusters), ...others].sort((a, b) => compareText(a.name, b.name))),
    assignments: internList(built.flatMap(({ assignments }) => assignments).sort((a, b) => compareText(a.cluster, b.cluster))),
  };
}

/** What the outbound listener leads to, and the services' own addresses. */
function otherCalls(
  { namespace, unknown }: Caller,
  services: readonly Service[],
  virtualServices: VirtualServiceIndex,
  surroundings: Surroundings,
  workloads: readonly Workload[],
  { settings, pool }: OutboundInputs,
): Pick<OutboundView, "routes" | "ports"> {
  return {
    routes: buildRouteTables(
      { namespace, settings, pool, services, virtualServices, unknown, surroundings },
      listenedPorts(services, workloads),
    ),
    ports: internList(
      services.flatMap((service) => service.ports.map((port) => portOf(service, port, surroundings, { settings, pool, virtualServices }))),
    ),
  };
}

export function surroundingsOf(caller: Caller, { services, rules, settings }: OutboundInputs): Surroundings {
  const known = new Map<Service, DestinationRule>();
  return {
    service: (host) => serviceFor(services.get(host) ?? [], caller.namespace)?.service,
    rule: (service) => {
      const rule = known.get(service) ?? overDefaults(ruleFor(rules, caller, service, settings), settings);
      known.set(service, rule);
      return rule;
    },
  };
}

/** For callers that know these services only. */
function within(known: readonly KnownService[], { rule }: Surroundings): Surroundings {
  const byHost = new Map(known.map(({ service }) => [service.host, service]));
  return { rule, service: (host) => byHost.get(host) };
}

/** HTTP ports for which a listener may exist outside the outbound listener. */
function listenedPorts(services: readonly Service[], workloads: readonly Workload[]): ReadonlySet<number> {
  const asked = new Set(workloads.flatMap(({ listen }) => listen ?? []).map(({ host, port }) => `${host}:${port}`));
  const ports = services.flatMap((service) =>
    service.ports.filter(
      ({ number, protocol }) => isHttp(protocol) && (service.addresses.some(isIpAddress) || asked.has(`${service.host}:${number}`)),
    ),
  );
  return new Set(ports.map(({ number }) => number));
}

/** One object for all callers that the rule does not tell apart. */
function nearnessOf({ locality, labels }: Caller, rule: DestinationRule, pool: Pool): Nearness {
  const looked = nearnessLookedAt(rule);
  if (!looked.locality) return NOWHERE;
  const own = { locality, labels: Object.fromEntries(Object.entries(labels).filter(([key]) => looked.labels.includes(key))) };
  return pool.keep(`near ${JSON.stringify(own)}`, () => own);
}

function subjectAltNames(part: ServiceParts, inputs: OutboundInputs): readonly string[] {
  const ids = (inputs.instances.get(part) ?? []).flatMap(({ spiffeId }) => spiffeId ?? []);
  return inputs.pool.strings([...new Set([...part.service.subjectAltNames, ...ids])].sort(compareText));
}

const clustersOf = memoize(
  (
    service: Service,
    endpoints: readonly Endpoint[],
    rule: DestinationRule,
    names: readonly string[],
    near: Nearness,
    namespaceTls: AutomaticTls,
  ) => {
    const clusters: OutboundCluster[] = [];
    const assignments: LoadAssignment[] = [];
    // No instance is known, so none is in a subset either (cluster_builder.go, applyDestinationRule).
    if (service.resolution === "DYNAMIC_DNS") {
      const called = service.ports.filter(({ protocol }) => isHttp(protocol) || isTls(protocol));
      return { clusters: called.map((port) => edsCluster(service, port, NO_SUBSET, rule, names, namespaceTls)), assignments };
    }
    for (const port of service.ports) {
      for (const subset of [NO_SUBSET, ...sortedSubsets(rule)]) {
        const tls = effectivePolicy(rule, subset, port).tls ? EACH : automaticTls(namespaceTls, rule, subset, port);
        const matching = (tls.endpoints === "all" ? endpoints.map((endpoint) => withMutualTls(endpoint)) : endpoints).filter(
          (endpoint) => endpoint.ports.has(port.number) && hasLabels(endpoint.labels, subset.labels),
        );
        // One name, whose addresses are taken in turn: Envoy has room for no second (LOGICAL_DNS).
        const own = internList(service.resolution === "DNS_ROUND_ROBIN" ? matching.slice(0, 1) : matching);
        const localities = localityGroups(own, preferenceOf(effectivePolicy(rule, subset, port)), near);
        if (service.resolution === "STATIC") {
          clusters.push(edsCluster(service, port, subset, rule, names, namespaceTls));
          assignments.push(assignmentOf(service, port, subset, localities));
        } else if (own.length > 0) {
          // A DNS cluster without endpoints is none (cluster_builder.go, buildCluster): routes to it answer 503.
          clusters.push(dnsCluster(service, port, subset, rule, names, namespaceTls, localities));
        }
      }
    }
    return { clusters, assignments };
  },
);

/** Its endpoints are found elsewhere: by EDS, or by the name that is called. */
const edsCluster = memoize(clusterOf);
const dnsCluster = memoize(
  (
    service: Service,
    port: ServicePort,
    subset: Subset,
    rule: DestinationRule,
    names: readonly string[],
    namespaceTls: AutomaticTls,
    localities: readonly LocalityGroup[],
  ) => ({
    ...clusterOf(service, port, subset, rule, names, namespaceTls),
    endpoints: localities.flatMap(({ endpoints }) => endpoints),
    localities,
  }),
);

function clusterOf(
  service: Service,
  port: ServicePort,
  subset: Subset,
  rule: DestinationRule,
  names: readonly string[],
  namespaceTls: AutomaticTls,
): OutboundCluster {
  const policy = effectivePolicy(rule, subset, port);
  return {
    name: clusterName(service.host, port.number, subset.name),
    service,
    port,
    subset: subset.name || undefined,
    policy,
    automaticTls: automaticTls(namespaceTls, rule, subset, port),
    selected: rule.selected ?? false,
    localityWeighted: isLocalityWeighted(preferenceOf(policy)),
    subjectAltNames: names,
    sources: [...(subset === NO_SUBSET ? [] : [subset.source]), ...rule.sources, service.source, ...service.otherSources],
  };
}

const assignmentOf = memoize(
  (service: Service, port: ServicePort, subset: Subset, localities: readonly LocalityGroup[]): LoadAssignment => {
    const endpoints = localities.flatMap((group) => group.endpoints);
    return {
      cluster: clusterName(service.host, port.number, subset.name),
      port,
      endpoints,
      localities,
      sources: [service.source, ...service.otherSources, ...endpoints.filter(({ workload }) => workload).map(({ source }) => source)],
    };
  },
);

function portOf(
  service: Service,
  port: ServicePort,
  surroundings: Surroundings,
  inputs: TcpInputs & { readonly pool: Pool },
): OutboundPort {
  if (isHttp(port.protocol)) return httpPort(service, port);
  const tcp = tcpRoutes(service, port, surroundings, inputs);
  return inputs.pool.keep(`tcp ${service.host} ${JSON.stringify([tcp, service, port])}`, () => ({ ...httpPort(service, port), tcp }));
}

const httpPort = memoize(
  (service: Service, port: ServicePort): OutboundPort => ({ service, port, addresses: service.addresses.filter(isIpAddress) }),
);

function sameView(a: OutboundView, b: OutboundView): boolean {
  const sameRoutes = a.routes.size === b.routes.size && [...a.routes].every(([name, table]) => b.routes.get(name) === table);
  const sameScope = a.namespace === b.namespace && sameProvenance(a.scope, b.scope) && a.unknown === b.unknown;
  const sameLists = a.clusters === b.clusters && a.assignments === b.assignments && a.ports === b.ports && a.listeners === b.listeners;
  return sameScope && sameRoutes && sameLists;
}
