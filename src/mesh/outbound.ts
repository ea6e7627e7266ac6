/**
 * What a workload's calls out meet: clusters, endpoints, route tables, TCP routes. Workloads of one namespace share it, unless a rule tells
 * them apart (callers.ts).
 */
import type { Provenance } from "../lib/provenance.ts";
import type { AutomaticTls } from "./automatic-tls.ts";
import { type Caller, groupCallers } from "./callers.ts";
import { type DestinationRule, type DestinationRuleIndex, overDefaults, ruleFor } from "./destination-rules.ts";
import { buildEgressListener, type EgressListener } from "./egress-listeners.ts";
import { compareText } from "./hosts.ts";
import type { Surroundings } from "./http-routes.ts";
import { type Nearness, NOWHERE, nearnessLookedAt } from "./localities.ts";
import { internList, type Pool } from "./memo.ts";
import { clustersOf, type LoadAssignment, type OutboundCluster } from "./outbound-clusters.ts";
import { listenedPorts, type OutboundPort, portOf } from "./outbound-ports.ts";
import { sameProvenance } from "./policy-scope.ts";
import { buildRouteTables, type RouteTable } from "./route-tables.ts";
import { type ServiceIndex, type ServiceParts, serviceFor } from "./services.ts";
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
import type { Endpoint, Mesh, Service, Settings, Workload } from "./types.ts";
import { type UnknownHosts, unknownCluster, unknownHosts } from "./unknown-hosts.ts";
import { labelsLookedAt, seenBy, type VirtualService, type VirtualServiceIndex, visibleFrom } from "./virtual-services.ts";

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

function sameView(a: OutboundView, b: OutboundView): boolean {
  const sameRoutes = a.routes.size === b.routes.size && [...a.routes].every(([name, table]) => b.routes.get(name) === table);
  const sameScope = a.namespace === b.namespace && sameProvenance(a.scope, b.scope) && a.unknown === b.unknown;
  const sameLists = a.clusters === b.clusters && a.assignments === b.assignments && a.ports === b.ports && a.listeners === b.listeners;
  return sameScope && sameRoutes && sameLists;
}
