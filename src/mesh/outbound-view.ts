/** What the calls out of one caller meet: clusters, endpoints, route tables, TCP routes. */
import type { Provenance } from "../lib/provenance.ts";
import type { AutomaticTls } from "./automatic-tls.ts";
import type { Caller } from "./callers.ts";
import { type DestinationRule, type DestinationRuleIndex, overDefaults, ruleFor } from "./destination-rules.ts";
import { buildEgressListener, type EgressListener } from "./egress-listeners.ts";
import { compareText } from "./hosts.ts";
import type { Surroundings } from "./http-routes.ts";
import type { Instances } from "./instances.ts";
import { linkLists, patchSorted } from "./lists.ts";
import { type Nearness, NOWHERE, nearnessLookedAt } from "./localities.ts";
import { internList, memoize, type Pool } from "./memo.ts";
import { clustersOf, type LoadAssignment, type OutboundCluster } from "./outbound-clusters.ts";
import { listenedPorts, type OutboundPort, portOf } from "./outbound-ports.ts";
import { sameProvenance } from "./policy-scope.ts";
import { buildRouteTables, type RouteTable } from "./route-tables.ts";
import { type ServiceIndex, type ServiceParts, serviceFor } from "./services.ts";
import { type EgressScope, importedServices, importsRoutes, inferredServices, joinKnown, type KnownService } from "./sidecars.ts";
import type { Endpoint, Service, Settings, Workload } from "./types.ts";
import { type UnknownHosts, unknownCluster } from "./unknown-hosts.ts";
import { seenBy, type VirtualService, type VirtualServiceIndex } from "./virtual-services.ts";

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

export interface ViewInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly services: ServiceIndex;
  readonly instances: Instances;
  readonly rules: DestinationRuleIndex;
  /** By a service's namespace. */
  namespaceTls(namespace: string): AutomaticTls;
  /** By the caller's namespace; a function of its own for each list of VirtualServices. */
  readonly visible: (namespace: string) => readonly VirtualService[];
  /** Keys of the ServiceParts whose instances are other ones than in the build before. */
  readonly changed: ReadonlySet<string>;
}

/** A view, with what the next build needs to make only what is new in it. */
export interface ViewState {
  readonly view: OutboundView;
  readonly inputs: ViewInputs;
  readonly frame: Frame;
}

/** What of a view does not depend on endpoints. */
interface Frame {
  /** Host and port of the services that callers ask to be listened for. */
  readonly asked: string;
  readonly known: readonly KnownService[];
  readonly surroundings: Surroundings;
  readonly rest: Pick<OutboundView, "scope" | "listeners" | "routes" | "ports">;
}

interface Built {
  readonly clusters: readonly OutboundCluster[];
  readonly assignments: readonly LoadAssignment[];
}

/** `listening`: those of the caller's workloads that say where they listen; `before`: the caller's view in the build before. */
export function buildView(caller: Caller, listening: readonly Workload[], inputs: ViewInputs, before: ViewState | undefined): ViewState {
  const frame = frameOf(caller, listening, inputs, before);
  const { clusters, assignments } = (before && patched(caller, frame, inputs, before)) ?? whole(caller, frame, inputs, before);
  const view = { namespace: caller.namespace, unknown: caller.unknown, ...frame.rest, clusters, assignments };
  return { view: before && sameView(before.view, view) ? before.view : view, inputs, frame };
}

function frameOf(caller: Caller, listening: readonly Workload[], inputs: ViewInputs, before: ViewState | undefined): Frame {
  const places = listening.flatMap(({ listen }) => listen ?? []).map(({ host, port }) => `${host}:${port}`);
  const asked = [...new Set(places)].sort(compareText).join();
  const { services, rules, settings, visible } = inputs;
  const old = before?.inputs;
  const isSame = old?.services === services && old.rules === rules && old.settings === settings && old.visible === visible;
  if (before && isSame && before.frame.asked === asked) return before.frame;
  const seen = visible(caller.namespace);
  return {
    asked,
    ...(caller.scope ? scopedFrame(caller, caller.scope, listening, seen, inputs) : wholeFrame(caller, listening, seen, inputs)),
  };
}

function wholeFrame(
  caller: Caller,
  listening: readonly Workload[],
  visible: readonly VirtualService[],
  inputs: ViewInputs,
): Omit<Frame, "asked"> {
  const known = importedServices(inputs.services, caller.namespace, undefined);
  const surroundings = surroundingsOf(caller, inputs);
  const services = known.map(({ service }) => service);
  const others = otherCalls(caller, services, seenBy(visible, caller), surroundings, listening, inputs);
  return { known, surroundings, rest: { listeners: NO_LISTENERS, ...others } };
}

const NO_LISTENERS: readonly EgressListener[] = internList<EgressListener>([]);

/** As a Sidecar limits it, listener by listener; to its clusters all of them lead. */
function scopedFrame(
  caller: Caller,
  scope: EgressScope,
  listening: readonly Workload[],
  visible: readonly VirtualService[],
  inputs: ViewInputs,
): Omit<Frame, "asked"> {
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
  const others = otherCalls(caller, rest?.services ?? [], rest?.virtualServices ?? seenBy([], caller), surroundings, listening, inputs);
  return {
    known,
    surroundings,
    rest: {
      scope: scope.source,
      listeners: internList(built.map(({ listener }) => listener)),
      ports: others.ports,
      // Of one name the listener's own stands: it was said by hand (GetEgressListenerForRDS).
      routes: new Map([...others.routes, ...built.flatMap(({ table }) => (table ? [[table.name, table] as const] : []))]),
    },
  };
}

function builtAt(caller: Caller, { parts, service }: KnownService, { surroundings }: Frame, inputs: ViewInputs): Built {
  const { pool, instances } = inputs;
  return clustersOf(
    service,
    instances.ready.get(parts.key) ?? NOBODY,
    surroundings.rule(service),
    subjectAltNames(pool, parts, instances.all.get(parts.key) ?? NOBODY),
    nearnessOf(caller, surroundings.rule(service), pool),
    inputs.namespaceTls(service.namespace),
  );
}

const NOBODY: readonly Endpoint[] = [];

type Clusters = Pick<OutboundView, "clusters" | "assignments">;

function whole(caller: Caller, frame: Frame, inputs: ViewInputs, before: ViewState | undefined): Clusters {
  const built = frame.known.map((one) => builtAt(caller, one, frame, inputs));
  const { unknown } = caller;
  const others = unknown && !unknown.egressProxy ? [unknownCluster(unknown)] : [];
  const clusters = internList([...built.flatMap((one) => one.clusters), ...others].sort((a, b) => compareText(a.name, b.name)));
  const assignments = internList(built.flatMap((one) => one.assignments).sort((a, b) => compareText(a.cluster, b.cluster)));
  linkLists(before?.view.clusters, clusters);
  linkLists(before?.view.assignments, assignments);
  return { clusters, assignments };
}

/** Of the services: when so many have other instances, it costs less to make the lists anew than to patch them one by one. */
const FEW = 1 / 8;

/** Undefined where more than the instances of a few services changed. */
function patched(caller: Caller, frame: Frame, inputs: ViewInputs, before: ViewState): Clusters | undefined {
  const { known } = frame;
  const isSame =
    before.frame.known === known &&
    before.inputs.rules === inputs.rules &&
    before.inputs.settings === inputs.settings &&
    namespacesOf(known).every((namespace) => before.inputs.namespaceTls(namespace) === inputs.namespaceTls(namespace));
  if (!isSame || inputs.changed.size > Math.max(1, known.length * FEW)) return undefined;
  let { clusters, assignments } = before.view;
  const places = placesOf(known);
  for (const key of inputs.changed) {
    const one = known[places.get(key) ?? -1];
    if (!one) continue;
    const [old, now] = [builtAt(caller, one, before.frame, before.inputs), builtAt(caller, one, frame, inputs)];
    clusters = patchSorted(clusters, old.clusters, now.clusters, ({ name }) => name);
    assignments = patchSorted(assignments, old.assignments, now.assignments, ({ cluster }) => cluster);
  }
  return { clusters, assignments };
}

const namespacesOf = memoize((known: readonly KnownService[]) => [...new Set(known.map(({ service }) => service.namespace))]);
const placesOf = memoize((known: readonly KnownService[]) => new Map(known.map(({ parts }, at) => [parts.key, at])));

/** What the outbound listener leads to, and the services' own addresses. */
function otherCalls(
  { namespace, unknown }: Caller,
  services: readonly Service[],
  virtualServices: VirtualServiceIndex,
  surroundings: Surroundings,
  listening: readonly Workload[],
  { settings, pool }: ViewInputs,
): Pick<OutboundView, "routes" | "ports"> {
  return {
    routes: buildRouteTables(
      { namespace, settings, pool, services, virtualServices, unknown, surroundings },
      listenedPorts(services, listening),
    ),
    ports: internList(
      services.flatMap((service) => service.ports.map((port) => portOf(service, port, surroundings, { settings, pool, virtualServices }))),
    ),
  };
}

export function surroundingsOf(
  caller: Caller,
  { services, rules, settings }: Pick<ViewInputs, "services" | "rules" | "settings">,
): Surroundings {
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

const subjectAltNames = memoize((pool: Pool, { service }: ServiceParts, instances: readonly Endpoint[]): readonly string[] => {
  const ids = instances.flatMap(({ spiffeId }) => spiffeId ?? []);
  return pool.strings([...new Set([...service.subjectAltNames, ...ids])].sort(compareText));
});

function sameView(a: OutboundView, b: OutboundView): boolean {
  const sameRoutes = a.routes.size === b.routes.size && [...a.routes].every(([name, table]) => b.routes.get(name) === table);
  const sameScope = a.namespace === b.namespace && sameProvenance(a.scope, b.scope) && a.unknown === b.unknown;
  const sameLists = a.clusters === b.clusters && a.assignments === b.assignments && a.ports === b.ports && a.listeners === b.listeners;
  return sameScope && sameRoutes && sameLists;
}
