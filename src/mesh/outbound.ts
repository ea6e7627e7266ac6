/**
 * What workloads' calls out meet, by workload. Workloads of one namespace share a view, unless a rule tells them apart (callers.ts).
 */
import { changedKeys, type PersistentMap } from "../lib/persistent-map.ts";
import type { Resource } from "../model/resource.ts";
import { buildNamespaceTls } from "./automatic-tls.ts";
import { type Caller, callerOf, type Distinctions } from "./callers.ts";
import type { DestinationRuleIndex } from "./destination-rules.ts";
import type { Instances } from "./instances.ts";
import { nearnessLookedAt } from "./localities.ts";
import { memoize, type Pool } from "./memo.ts";
import type { OutboundCluster } from "./outbound-clusters.ts";
import { buildView, type OutboundView, type ViewState } from "./outbound-view.ts";
import { keepList } from "./resource-set.ts";
import type { ServiceIndex } from "./services.ts";
import { egressScope, type SidecarLookup } from "./sidecars.ts";
import type { Stages } from "./stages.ts";
import type { Settings, Workload } from "./types.ts";
import { unknownHosts } from "./unknown-hosts.ts";
import { labelsLookedAt, type VirtualService, visibleFrom } from "./virtual-services.ts";

export { type OutboundView, surroundingsOf } from "./outbound-view.ts";

export interface OutboundInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly stages: Stages;
  readonly services: ServiceIndex;
  readonly instances: Instances;
  readonly workloads: PersistentMap<Workload>;
  readonly rules: DestinationRuleIndex;
  readonly virtualServices: readonly VirtualService[];
  readonly sidecars: SidecarLookup;
  readonly peers: readonly Resource<"PeerAuthentication">[];
}

/** By key of the calling workload, sorted. */
export class OutboundViews implements ReadonlyMap<string, OutboundView> {
  readonly size: number;
  /** The clusters of each view. */
  readonly clusterLists: readonly (readonly OutboundCluster[])[];
  readonly #callers: PersistentMap<Caller>;
  readonly #views: ReadonlyMap<Caller, OutboundView>;

  constructor(callers: PersistentMap<Caller>, views: ReadonlyMap<Caller, OutboundView>, before?: OutboundViews) {
    this.size = callers.size;
    this.#callers = callers;
    this.#views = views;
    const lists = [...views.values()].map(({ clusters }) => clusters);
    this.clusterLists = keepList(before?.clusterLists, lists);
  }

  get(key: string): OutboundView | undefined {
    const caller = this.#callers.get(key);
    return caller && this.#views.get(caller);
  }

  has(key: string): boolean {
    return this.#callers.has(key);
  }

  forEach(each: (view: OutboundView, key: string, map: ReadonlyMap<string, OutboundView>) => void): void {
    for (const [key, view] of this) each(view, key, this);
  }

  keys(): Generator<string, undefined> {
    return this.#callers.keys();
  }

  *values(): Generator<OutboundView, undefined> {
    for (const [, view] of this) yield view;
    return undefined;
  }

  *entries(): Generator<[string, OutboundView], undefined> {
    for (const [key, caller] of this.#callers) {
      const view = this.#views.get(caller);
      if (view) yield [key, view];
    }
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, OutboundView], undefined> {
    return this.entries();
  }

  /** Whether the other is the same to every reader. */
  isLike(other: OutboundViews): boolean {
    return (
      this.#callers === other.#callers &&
      this.#views.size === other.#views.size &&
      [...this.#views].every(([caller, view]) => other.#views.get(caller) === view)
    );
  }
}

export function buildOutbound(inputs: OutboundInputs): OutboundViews {
  const { stages, services, workloads, settings, sidecars, pool, rules, virtualServices, instances, peers } = inputs;
  const looked = stages.once<LookedAt>("looked at", [virtualServices, rules, settings], (known) => {
    const now = lookedAt(inputs);
    return known?.key === now.key ? known : now;
  });
  const sidecarOf = ({ type, namespace, labels }: Workload) => {
    if (type === "gateway") return {};
    const sidecar = sidecars(namespace, labels);
    return { scope: egressScope(sidecar, namespace, settings), unknown: unknownHosts(sidecar, settings, pool) };
  };
  const callers = stages.perKey(
    "callers",
    workloads,
    [looked, sidecars, settings],
    (some) =>
      new Map([...some].map(([key, workload]) => [key, callerOf(workload, looked.of(workload.namespace), sidecarOf(workload), pool)])),
  );
  const listening = stages.perKey("listening", workloads, [], (some) => new Map([...some].filter(([, { listen }]) => listen)));
  const groups = stages.once<Groups>("groups", [callers, listening], (known) => groupCallers(callers, listening, known));
  const namespaceTls = stages.once("namespace tls", [peers, settings], () => once(buildNamespaceTls(peers, settings, pool)));
  const visible = stages.once("visible", [virtualServices], () => once((namespace: string) => visibleFrom(virtualServices, namespace)));

  const { all, ready } = instances;
  const states = stages.once<Views>("views", [groups, all, ready, namespaceTls, visible, rules, settings, services], (known) => {
    const changed = new Set(known ? [...changedKeys(known.all, all), ...changedKeys(known.ready, ready)] : []);
    const viewInputs = { settings, pool, services, instances, rules, namespaceTls, visible, changed };
    const byCaller = new Map<Caller, ViewState>();
    for (const [caller, group] of groups.byCaller)
      byCaller.set(caller, buildView(caller, group.listening, viewInputs, known?.byCaller.get(caller)));
    return { byCaller, all, ready };
  });
  return stages.once<OutboundViews>("outbound", [callers, states], (known) => {
    const views = new Map([...states.byCaller].map(([caller, { view }]) => [caller, view]));
    const now = new OutboundViews(callers, views, known);
    return known && now.isLike(known) ? known : now;
  });
}

interface Views {
  readonly byCaller: ReadonlyMap<Caller, ViewState>;
  readonly all: Instances["all"];
  readonly ready: Instances["ready"];
}

/** What rules tell callers apart by. */
interface LookedAt {
  /** Says all of it. */
  readonly key: string;
  of(namespace: string): Distinctions;
}

const labelsOfOne = memoize((one: VirtualService) => [...labelsLookedAt([one])]);

function lookedAt({ virtualServices, rules, settings }: OutboundInputs): LookedAt {
  const near = [...rules.all, { subsets: [], defaults: settings.defaults?.traffic }].map((rule) => nearnessLookedAt(rule));
  const nearLabels = [...new Set(near.flatMap(({ labels }) => labels))].sort();
  const locality = near.some((one) => one.locality);
  const looking = virtualServices.filter((one) => labelsOfOne(one).length > 0);
  const said = looking.map((one) => [one.namespace, one.resource.spec.exportTo, labelsOfOne(one)]);
  const key = JSON.stringify([nearLabels, locality, [...rules.labels].map(([namespace, labels]) => [namespace, ...labels]), said]);
  const of = once((namespace: string) => {
    const labels = labelsLookedAt(visibleFrom(looking, namespace)).union(rules.labels.get(namespace) ?? new Set<string>());
    return { labels: labels.union(new Set(nearLabels)), locality };
  });
  return { key, of };
}

/** `make`, once for each name. */
function once<T>(make: (name: string) => T): (name: string) => T {
  const made = new Map<string, T>();
  return (name) => {
    const found = made.get(name) ?? make(name);
    made.set(name, found);
    return found;
  };
}

interface Group {
  readonly count: number;
  /** Of them those that say where they listen for services. */
  readonly listening: readonly Workload[];
}

interface Groups {
  readonly callers: PersistentMap<Caller>;
  readonly byCaller: ReadonlyMap<Caller, Group>;
}

function groupCallers(callers: PersistentMap<Caller>, listening: PersistentMap<Workload>, known: Groups | undefined): Groups {
  const counts = new Map([...(known?.byCaller ?? [])].map(([caller, { count }]) => [caller, count]));
  const count = (caller: Caller | undefined, step: number) => {
    if (caller) counts.set(caller, (counts.get(caller) ?? 0) + step);
  };
  for (const key of changedKeys(known?.callers, callers)) {
    count(known?.callers.get(key), -1);
    count(callers.get(key), 1);
  }
  const byCaller = Map.groupBy(listening, ([key]) => callers.get(key));
  const groups = [...counts].filter(([, number]) => number > 0);
  return {
    callers,
    byCaller: new Map(
      groups.map(([caller, number]) => [caller, { count: number, listening: (byCaller.get(caller) ?? []).map(([, one]) => one) }]),
    ),
  };
}
