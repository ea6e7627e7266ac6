/** Which WorkloadEntries each ServiceEntry selects: same namespace, all labels (Istio, conversion.go, services). */

import { PersistentMap } from "../lib/persistent-map.ts";
import { isIpAddress } from "../model/check.ts";
import type { Resource } from "../model/resource.ts";
import { isPassthrough } from "../model/service-entry.ts";
import { internList } from "./memo.ts";
import { byAge, scopeKey } from "./policy-scope.ts";
import { firstAfter, listChange } from "./resource-set.ts";
import type { Settings } from "./types.ts";

export type ServiceEntry = Resource<"ServiceEntry">;
export type WorkloadEntry = Resource<"WorkloadEntry">;

/** Keys are "ns/name"; all lists oldest first. */
export interface Selection {
  readonly workloadEntries: PersistentMap<WorkloadEntry>;
  /** By ServiceEntry; those that select none have no entry. */
  readonly workloads: PersistentMap<readonly WorkloadEntry[]>;
  /** By WorkloadEntry; those that none selects have no entry. */
  readonly entries: PersistentMap<readonly ServiceEntry[]>;
  /** WorkloadEntries of a namespace, and those of it with a label (scopeKey). */
  readonly byLabel: PersistentMap<readonly WorkloadEntry[]>;
  /** ServiceEntries by the scope in which they look for workloads. */
  readonly selectors: PersistentMap<readonly ServiceEntry[]>;
  /** What it was made of. */
  readonly from: { readonly entries: readonly ServiceEntry[]; readonly workloads: readonly WorkloadEntry[] };
}

const NOTHING: Selection = {
  workloadEntries: PersistentMap.of([]),
  workloads: PersistentMap.of([]),
  entries: PersistentMap.of([]),
  byLabel: PersistentMap.of([]),
  selectors: PersistentMap.of([]),
  from: { entries: [], workloads: [] },
};

/** Costs what changed since `previous`. */
export function buildSelection(
  entries: readonly ServiceEntry[],
  workloads: readonly WorkloadEntry[],
  previous: Selection = NOTHING,
): Selection {
  const { from } = previous;
  if (from.entries === entries && from.workloads === workloads) return previous;
  if (previous === NOTHING) return firstSelection(entries, workloads);
  const [changedEntries, changedWorkloads] = [listChange(from.entries, entries), listChange(from.workloads, workloads)];
  const byLabel = new ListEdits(previous.byLabel);
  for (const one of changedWorkloads.gone) for (const scope of scopesOf(one)) byLabel.remove(scope, one);
  for (const one of changedWorkloads.added) for (const scope of scopesOf(one)) byLabel.add(scope, one);
  const selectors = new ListEdits(previous.selectors);
  for (const one of changedEntries.gone) selectors.remove(selectorScope(one), one);
  for (const one of changedEntries.added) selectors.add(selectorScope(one), one);

  const selected = new ListEdits(previous.workloads);
  const selecting = new ListEdits(previous.entries);
  for (const entry of changedEntries.gone) {
    for (const workload of selected.clear(keyOf(entry))) selecting.remove(keyOf(workload), entry);
  }
  for (const workload of changedWorkloads.gone) {
    for (const entry of selecting.clear(keyOf(workload))) selected.remove(keyOf(entry), workload);
  }
  const fresh = new Set(changedWorkloads.added);
  const link = (entry: ServiceEntry, workload: WorkloadEntry) => {
    selected.add(keyOf(entry), workload);
    selecting.add(keyOf(workload), entry);
  };
  for (const entry of changedEntries.added) {
    for (const workload of byLabel.get(selectorScope(entry))) if (!fresh.has(workload) && selects(entry, workload)) link(entry, workload);
  }
  for (const workload of changedWorkloads.added) {
    for (const scope of scopesOf(workload)) for (const entry of selectors.get(scope)) if (selects(entry, workload)) link(entry, workload);
  }
  return {
    workloadEntries: previous.workloadEntries.with([
      ...changedWorkloads.gone.map((one) => [keyOf(one), undefined] as const),
      ...changedWorkloads.added.map((one) => [keyOf(one), one] as const),
    ]),
    workloads: selected.done(),
    // A workload that changed is made of the same list again.
    entries: selecting.done(internList),
    byLabel: byLabel.done(),
    selectors: selectors.done(),
    from: { entries, workloads },
  };
}

/** The same of nothing before: lists are oldest first as they come. */
function firstSelection(entries: readonly ServiceEntry[], workloads: readonly WorkloadEntry[]): Selection {
  const selectors = new Map<string, ServiceEntry[]>();
  for (const entry of entries) push(selectors, selectorScope(entry), entry);
  const keys = new Map(entries.map((entry) => [entry, keyOf(entry)]));
  const workloadEntries = new Map<string, WorkloadEntry>();
  const selected = new Map<string, WorkloadEntry[]>();
  const selecting = new Map<string, readonly ServiceEntry[]>();
  for (const workload of workloads) {
    const key = keyOf(workload);
    workloadEntries.set(key, workload);
    const own: ServiceEntry[] = [];
    for (const scope of scopesOf(workload)) {
      for (const entry of selectors.get(scope) ?? NO_ENTRIES) if (selects(entry, workload)) own.push(entry);
    }
    for (const entry of own) push(selected, keys.get(entry) ?? keyOf(entry), workload);
    if (own.length > 0) selecting.set(key, internList(own.length > 1 ? own.sort(byAge) : own));
  }
  const all = PersistentMap.of(workloadEntries);
  let [labelled, looking]: [Selection["byLabel"] | undefined, Selection["selectors"] | undefined] = [undefined, undefined];
  return {
    workloadEntries: all,
    workloads: PersistentMap.of(selected),
    entries: all.withValues(selecting),
    // Only the next build asks for these.
    get byLabel() {
      labelled ??= PersistentMap.of(byScope(workloads));
      return labelled;
    },
    get selectors() {
      looking ??= PersistentMap.of(selectors);
      return looking;
    },
    from: { entries, workloads },
  };
}

const NO_ENTRIES: readonly ServiceEntry[] = [];

function byScope(workloads: readonly WorkloadEntry[]): ReadonlyMap<string, WorkloadEntry[]> {
  const lists = new Map<string, WorkloadEntry[]>();
  for (const workload of workloads) for (const scope of scopesOf(workload)) push(lists, scope, workload);
  return lists;
}

function push<T>(lists: Map<string, T[]>, key: string, one: T): void {
  const known = lists.get(key);
  if (known) known.push(one);
  else lists.set(key, [one]);
}

/** "ns/name" */
export function keyOf({ metadata }: Pick<Resource, "metadata">): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Lists by key, oldest first, of which some change. */
class ListEdits<R extends Resource> {
  readonly #before: PersistentMap<readonly R[]>;
  readonly #edited = new Map<string, R[]>();

  constructor(before: PersistentMap<readonly R[]>) {
    this.#before = before;
  }

  get(key: string): readonly R[] {
    return this.#edited.get(key) ?? this.#before.get(key) ?? [];
  }

  add(key: string, one: R): void {
    const list = this.#edit(key);
    list.splice(firstAfter(list, one), 0, one);
  }

  remove(key: string, one: R): void {
    const list = this.#edit(key);
    const at = list.indexOf(one);
    if (at >= 0) list.splice(at, 1);
  }

  /** What was there. */
  clear(key: string): readonly R[] {
    return this.#edit(key).splice(0);
  }

  done(keep: (list: readonly R[]) => readonly R[] = (list) => list): PersistentMap<readonly R[]> {
    return this.#before.with([...this.#edited].map(([key, list]) => [key, list.length > 0 ? keep(list) : undefined] as const));
  }

  #edit(key: string): R[] {
    const known = this.#edited.get(key);
    if (known) return known;
    const copy = this.#before.get(key)?.slice() ?? [];
    this.#edited.set(key, copy);
    return copy;
  }
}

/** Labels of metadata win over those of spec (ConvertWorkloadEntry). */
export function labelsOf({ metadata, spec }: WorkloadEntry): Readonly<Record<string, string>> {
  const { labels } = spec;
  return withNetwork(labels && isEmpty(metadata.labels) ? labels : { ...labels, ...metadata.labels }, spec.network);
}

function isEmpty(labels: Readonly<Record<string, string>>): boolean {
  for (const _ in labels) return false;
  return true;
}

const NETWORK = "topology.istio.io/network";

/** Without gateways between networks, an instance's network is a label of it (AugmentLabels), which subsets and failoverPriority may name. */
export function withNetwork(labels: Readonly<Record<string, string>>, network: string | undefined): Readonly<Record<string, string>> {
  return network && !labels[NETWORK] ? { ...labels, [NETWORK]: network } : labels;
}

/** "region/zone/subzone" or "". A label cannot hold "/", so "." stands for it there (SanitizeLocalityLabel). */
export function localityOf(locality: string | undefined, labels: Readonly<Record<string, string>>): string {
  const label = labels["istio-locality"];
  return locality || (label?.includes("/") ? label : label?.replaceAll(".", "/")) || "";
}

function selects({ spec }: ServiceEntry, workload: WorkloadEntry): boolean {
  if (!spec.workloadSelector || isPassthrough(spec) || spec.resolution === "DYNAMIC_DNS") return false;
  // An instance known by name or by a Unix socket serves DNS services only (DNSServiceEntryOnly).
  if (!isIpAddress(workload.spec.address ?? "") && spec.resolution === "STATIC") return false;
  const labels = labelsOf(workload);
  return Object.entries(spec.workloadSelector.labels ?? {}).every(([key, value]) => labels[key] === value);
}

function scopesOf(workload: WorkloadEntry): readonly string[] {
  const { namespace } = workload.metadata;
  return [scopeKey(namespace), ...Object.entries(labelsOf(workload)).map((label) => scopeKey(namespace, label))];
}

/** The first label stands for all: few workloads are then left to look at. */
function selectorScope({ metadata, spec }: ServiceEntry): string {
  const [first] = Object.entries(spec.workloadSelector?.labels ?? {});
  return scopeKey(metadata.namespace, first);
}

interface Selective {
  readonly metadata: Resource["metadata"];
  readonly spec: { readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } };
}

/** The workloads for which policies that came, went or changed may hold, by key; undefined where one reaches into every namespace. */
export function reachedBy<P extends Selective>(
  before: readonly P[],
  after: readonly P[],
  { byLabel }: Selection,
  { rootNamespace }: Settings,
): readonly string[] | undefined {
  const { gone, added } = listChange(before, after);
  const changed = [...gone, ...added];
  if (changed.some(({ metadata }) => metadata.namespace === rootNamespace)) return undefined;
  return changed.flatMap(({ metadata, spec }) => {
    const [first] = Object.entries(spec.selector?.matchLabels ?? {});
    return (byLabel.get(scopeKey(metadata.namespace, first)) ?? []).map(keyOf);
  });
}
