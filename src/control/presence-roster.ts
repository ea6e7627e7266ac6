/** Every workload that belongs to a node, and what is seen of it now: by this node's streams, and by the cards of the others. */
import type { Clock } from "../lib/clock.ts";
import { groupOf, isProbed } from "../mesh/readiness.ts";
import { listChange } from "../mesh/resource-set.ts";
import { ANNOTATION } from "../model/annotations.ts";
import type { Resource } from "../model/resource.ts";
import type { CardIndex, Cards } from "./presence-cards.ts";
import type { PresenceMemory } from "./presence-memory.ts";
import type { NodesPresence } from "./presence-nodes.ts";
import { type Evidence, leave, observe, type WorkloadState } from "./presence-state.ts";

type WorkloadEntry = Resource<"WorkloadEntry">;

export interface RosterOptions {
  /** This node's name. */
  readonly node: string;
  readonly clock: Clock;
  readonly removed?: () => ReadonlySet<string>;
  readonly cards: CardIndex;
  readonly nodes: NodesPresence;
  readonly memory: PresenceMemory;
  /** Why nothing is known of others at first. */
  readonly frozen: string;
}

export class PresenceRoster {
  readonly #options: RosterOptions;
  readonly #states = new Map<string, WorkloadState>();
  readonly #pending = new Set<string>();
  #local: ReadonlySet<string> = new Set();
  #entries: readonly WorkloadEntry[] | undefined;
  #frozen: string | undefined;

  constructor(options: RosterOptions) {
    this.#options = options;
    this.#frozen = options.frozen;
  }

  /** By workload key. */
  get states(): ReadonlyMap<string, WorkloadState> {
    return this.#states;
  }

  /** Those whose place in the endpoints and whose evidence differ. */
  get pending(): ReadonlySet<string> {
    return this.#pending;
  }

  /** Whose proxies are connected to this node. */
  get local(): ReadonlySet<string> {
    return this.#local;
  }

  get cards(): CardIndex {
    return this.#options.cards;
  }

  /** Why nothing is known of others; undefined where the board is read. */
  get frozen(): string | undefined {
    return this.#frozen;
  }

  /** Takes the WorkloadEntries as they are now. @returns whether there is anything new */
  follow(entries: readonly WorkloadEntry[]): boolean {
    const before = this.#entries;
    if (entries === before) return false;
    this.#entries = entries;
    const { added, gone } = listChange(before ?? [], entries);
    const left = new Set(gone.map(keyOf));
    for (const entry of added) this.#register(entry, before === undefined || left.delete(keyOf(entry)));
    for (const key of left) this.#forget(key);
    return true;
  }

  #forget(key: string): void {
    const known = this.#states.get(key);
    // An instance's entry may be deleted a moment before its grace is over here: it has gone all the same.
    if (known?.isIn && known.evidence === "proxy") leave(known, this.#options.clock.monotonic());
    if (known) this.#options.memory.keep(key, known);
    this.#states.delete(key);
    this.#pending.delete(key);
  }

  /** `mayServe`: it was there before, or may have been before weft started. */
  #register(entry: WorkloadEntry, mayServe: boolean): void {
    const { annotations } = entry.metadata;
    const key = keyOf(entry);
    const node = annotations[ANNOTATION.node];
    if (node === undefined) {
      this.#forget(key);
      return;
    }
    const facts = { node, isProbed: isProbed(annotations), isInstance: groupOf(entry) !== undefined };
    const known = this.#states.get(key);
    if (known?.node === node) {
      this.#states.set(key, { ...known, ...facts });
      return;
    }
    const { now, time } = this.#moment();
    const kept = known ?? this.#options.memory.recall(key);
    if (node !== this.#options.node) this.#options.nodes.expect(node);
    const evidence = this.#evidence(key, node);
    // One that served before is taken to be there for its grace; a new one is waited for.
    const served = mayServe || evidence === "there" || evidence === "unknown";
    this.#states.set(key, {
      ...facts,
      evidence,
      since: now,
      sinceTime: time,
      isIn: kept?.isIn ?? served,
      isNew: !served && !kept,
      wasThere: evidence === "there" || (kept?.wasThere ?? served),
      flaps: kept?.flaps ?? { times: 0, at: now },
    });
    this.sort(key);
  }

  /** @returns whether anybody came or went */
  connected(local: ReadonlySet<string>): boolean {
    const before = this.#local;
    this.#local = local;
    const changed = [...[...before].filter((key) => !local.has(key)), ...[...local].filter((key) => !before.has(key))];
    this.#observe(changed);
    return changed.length > 0;
  }

  /** The cards of the others. @returns whether any says anything new */
  read(others: Cards): boolean {
    const { cards, nodes } = this.#options;
    const wasFrozen = this.#frozen !== undefined;
    this.#frozen = undefined;
    const known = cards.names;
    const changed = cards.update(others);
    nodes.see(cards.names);
    if (wasFrozen) nodes.startAnew();
    const isSame = known.size === others.size && [...others.keys()].every((name) => known.has(name));
    this.#observe(wasFrozen || !isSame ? this.#states.keys() : changed);
    return wasFrozen || !isSame || changed.size > 0;
  }

  freeze(reason: string): void {
    const wasFrozen = this.#frozen !== undefined;
    this.#frozen = reason;
    if (wasFrozen) return;
    this.#options.nodes.pause();
    this.observeAll();
  }

  observeAll(): void {
    this.#observe(this.#states.keys());
  }

  /** To be called where a state's place in the endpoints changed. */
  sort(key: string): void {
    const state = this.#states.get(key);
    const differs = state && state.evidence !== "unknown" && state.isIn !== (state.evidence === "there");
    if (differs) this.#pending.add(key);
    else this.#pending.delete(key);
  }

  #moment() {
    const { clock } = this.#options;
    return { now: clock.monotonic(), time: clock.now() };
  }

  #evidence(key: string, node: string, removed = this.#options.removed?.()): Evidence {
    const { cards, node: own } = this.#options;
    if (removed?.has(node)) return "removed";
    if (this.#local.has(key) || cards.isListed(key)) return "there";
    if (node === own) return "proxy";
    if (this.#frozen !== undefined) return "unknown";
    return cards.has(node) ? "proxy" : "node";
  }

  #observe(keys: Iterable<string>): void {
    const moment = this.#moment();
    const removed = this.#options.removed?.();
    for (const key of keys) {
      const state = this.#states.get(key);
      if (!state) continue;
      observe(state, this.#evidence(key, state.node, removed), moment);
      this.sort(key);
    }
  }
}

const keyOf = ({ metadata }: WorkloadEntry) => `${metadata.namespace}/${metadata.name}`;
