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
import { buildView, type OutboundView, type ViewInputs, type ViewState } from "./outbound-view.ts";
import type { WorkloadEntry } from "./selection.ts";
import type { ServiceIndex } from "./services.ts";
import { egressScope, type SidecarLookup } from "./sidecars.ts";
import { pick, type Stages } from "./stages.ts";
import type { Settings, Workload } from "./types.ts";
import { unknownHosts } from "./unknown-hosts.ts";
import { labelsLookedAt, mayLookAtLabels, type VirtualService, visibleFrom } from "./virtual-services.ts";
import { saysWhereItListens, traitsOf, type WorkloadTraits } from "./workloads.ts";

export { type OutboundView, surroundingsOf } from "./outbound-view.ts";

export interface OutboundInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly stages: Stages;
  readonly services: ServiceIndex;
  readonly instances: Instances;
  readonly entries: PersistentMap<WorkloadEntry>;
  /** Of these. */
  readonly workloads: PersistentMap<Workload>;
  readonly rules: DestinationRuleIndex;
  readonly virtualServices: readonly VirtualService[];
  readonly sidecars: SidecarLookup;
  readonly peers: readonly Resource<"PeerAuthentication">[];
}

/** By key of the calling workload, sorted. A view is built when somebody asks for it, or when it was in the build before. */
export class OutboundViews implements ReadonlyMap<string, OutboundView> {
  readonly size: number;
  readonly #callers: PersistentMap<Caller>;
  readonly #views: Views;

  constructor(callers: PersistentMap<Caller>, views: Views) {
    this.size = callers.size;
    this.#callers = callers;
    this.#views = views;
  }

  /** The clusters of each view: builds all of them. */
  clusterLists(): readonly (readonly OutboundCluster[])[] {
    return [...this.#views.callers()].flatMap((caller) => {
      const view = this.#views.of(caller);
      return view ? [view.clusters] : [];
    });
  }

  get(key: string): OutboundView | undefined {
    const caller = this.#callers.get(key);
    return caller && this.#views.of(caller);
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
      const view = this.#views.of(caller);
      if (view) yield [key, view];
    }
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, OutboundView], undefined> {
    return this.entries();
  }

  /** Whether the other is known to be the same to every reader. */
  isLike(other: OutboundViews): boolean {
    return this.#callers === other.#callers && this.#views.isLike(other.#views);
  }
}

export function buildOutbound(inputs: OutboundInputs): OutboundViews {
  const { stages, services, entries, workloads, settings, sidecars, pool, rules, virtualServices, instances, peers } = inputs;
  const looked = stages.once<LookedAt>("looked at", [virtualServices, rules, settings], (known) => {
    const now = lookedAt(inputs);
    return known?.key === now.key ? known : now;
  });
  const sidecarOf = ({ type, namespace, labels }: WorkloadTraits) => {
    if (type === "gateway") return {};
    const sidecar = sidecars(namespace, labels);
    return { scope: egressScope(sidecar, namespace, settings), unknown: unknownHosts(sidecar, settings, pool) };
  };
  const callers = stages.perKey("callers", entries, [looked, sidecars, settings], (some) => {
    // Most workloads of a namespace are told apart by nothing.
    const plain = new Map<string, Caller>();
    const known = (workload: WorkloadTraits): Caller => {
      const distinctions = looked.of(workload.namespace);
      const seen = sidecarOf(workload);
      if (distinctions.labels.size > 0) return callerOf(workload, distinctions, seen, pool);
      const key = distinctions.locality ? `${workload.namespace} ${workload.locality}` : workload.namespace;
      const found = plain.get(key);
      if (found && found.scope === seen.scope && found.unknown === seen.unknown) return found;
      const made = callerOf(workload, distinctions, seen, pool);
      plain.set(key, made);
      return made;
    };
    return new Map(some.entries().map(([key, entry]) => [key, known(traitsOf(entry))]));
  });
  const listening = stages.perKey("listening", workloads, [], (some) =>
    pick(some, (key) => {
      const entry = entries.get(key);
      return entry !== undefined && saysWhereItListens(entry);
    }),
  );
  const groups = stages.once<Groups>("groups", [callers, listening], (known) => groupCallers(callers, listening, known));
  const namespaceTls = stages.once("namespace tls", [peers, settings], () => once(buildNamespaceTls(peers, settings, pool)));
  const visible = stages.once("visible", [virtualServices], () => once((namespace: string) => visibleFrom(virtualServices, namespace)));

  const { all, ready } = instances;
  const views = stages.once<Views>("views", [groups, all, ready, namespaceTls, visible, rules, settings, services], (known) => {
    const changed = new Set(known ? [...changedKeys(known.all, all), ...changedKeys(known.ready, ready)] : []);
    return new Views(groups.byCaller, { settings, pool, services, instances, rules, namespaceTls, visible, changed }, known);
  });
  return stages.once<OutboundViews>("outbound", [callers, views], (known) => {
    const now = new OutboundViews(callers, views);
    return known && now.isLike(known) ? known : now;
  });
}

/** The view of each caller. Those that the build before had are brought up to date at once, from what is in it; others wait until they are asked for. */
class Views {
  readonly all: Instances["all"];
  readonly ready: Instances["ready"];
  readonly #groups: Groups["byCaller"];
  readonly #inputs: ViewInputs;
  readonly #states = new Map<Caller, ViewState>();

  constructor(groups: Groups["byCaller"], inputs: ViewInputs, before: Views | undefined) {
    this.all = inputs.instances.all;
    this.ready = inputs.instances.ready;
    this.#groups = groups;
    this.#inputs = inputs;
    for (const [caller, state] of before ? before.#states : []) {
      const group = groups.get(caller);
      if (group) this.#states.set(caller, buildView(caller, group.listening, inputs, state));
    }
  }

  callers(): Iterable<Caller> {
    return this.#groups.keys();
  }

  of(caller: Caller): OutboundView | undefined {
    const known = this.#states.get(caller);
    const group = this.#groups.get(caller);
    if (known || !group) return known?.view;
    const made = buildView(caller, group.listening, this.#inputs, undefined);
    this.#states.set(caller, made);
    return made.view;
  }

  /** Not where one of them is not built yet. */
  isLike(other: Views): boolean {
    const isSame = (caller: Caller) => this.#states.has(caller) && this.#states.get(caller)?.view === other.#states.get(caller)?.view;
    return this.#groups.size === other.#groups.size && this.#groups.keys().every(isSame);
  }
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
  const looking = virtualServices.filter((one) => mayLookAtLabels(one) && labelsOfOne(one).length > 0);
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
