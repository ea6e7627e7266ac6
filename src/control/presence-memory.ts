/** What presence remembers besides what it sees: over a restart of weft, and of workloads that are not in the mesh just now. */
import type { Clock } from "../lib/clock.ts";
import type { CardIndex } from "./presence-cards.ts";
import { timesAt } from "./presence-damping.ts";
import { type KeptPresence, readPresence, writePresence } from "./presence-file.ts";
import type { NodesPresence } from "./presence-nodes.ts";
import type { WorkloadState } from "./presence-state.ts";

/** How long what changed may be unwritten. */
const WRITE_AFTER_MS = 2_000;
/** That nodes stay gone is no change, and is written so often all the same: a weft that is killed forgets no more of it. */
const WRITE_GONE_MS = 3_600_000;
/** Of workloads that left the mesh and flapped; the oldest are forgotten first. */
const MOST_GONE = 10_000;

export interface PresenceMemoryOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly onTrouble: (message: string) => void;
  readonly states: () => ReadonlyMap<string, WorkloadState>;
  readonly cards: CardIndex;
  readonly nodes: NodesPresence;
}

export class PresenceMemory {
  readonly #options: PresenceMemoryOptions;
  readonly #kept: KeptPresence;
  readonly #gone = new Map<string, WorkloadState>();
  #cancel: (() => void) | undefined;
  #cancelGone = () => {};
  #isTroubled = false;

  constructor(options: PresenceMemoryOptions) {
    this.#options = options;
    this.#kept = readPresence(options.path, options.onTrouble);
    for (const [name, isOut] of Object.entries(this.#kept.nodes)) options.nodes.remember(name, isOut);
    for (const [name, milliseconds] of Object.entries(this.#kept.gone)) options.nodes.rememberGone(name, milliseconds);
    for (const [node, notReady] of Object.entries(this.#kept.notReady)) options.cards.remember(node, notReady);
    this.#writeGoneLater();
  }

  /** The workload leaves the mesh: an instance that comes and goes is the same one when it is back. */
  keep(key: string, state: WorkloadState): void {
    if (timesAt(state.flaps, this.#options.clock.monotonic()) === 0) return;
    this.#gone.delete(key);
    this.#gone.set(key, state);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > MOST_GONE && oldest !== undefined) this.#gone.delete(oldest);
  }

  /** What is known of a workload that comes into the mesh, or was there before weft started. */
  recall(key: string): Pick<WorkloadState, "isIn" | "wasThere" | "flaps"> | undefined {
    const gone = this.#gone.get(key);
    this.#gone.delete(key);
    if (gone) return { ...gone, isIn: false };
    const kept = Object.hasOwn(this.#kept.workloads, key) ? this.#kept.workloads[key] : undefined;
    delete this.#kept.workloads[key];
    return kept && { isIn: kept.isIn, wasThere: kept.wasThere, flaps: { times: kept.times, at: this.#options.clock.monotonic() } };
  }

  changed(): void {
    this.#cancel ??= this.#options.clock.after(WRITE_AFTER_MS, () => {
      this.#cancel = undefined;
      this.#write();
    });
  }

  close(): void {
    this.#cancelGone();
    if (!this.#cancel && !this.#hasGone) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#write();
  }

  /** Before there are workloads, what was kept is in the file alone. */
  get #hasGone(): boolean {
    const { states, nodes } = this.#options;
    return states().size > 0 && nodes.allGone().size > 0;
  }

  #writeGoneLater(): void {
    this.#cancelGone = this.#options.clock.after(WRITE_GONE_MS, () => {
      if (this.#hasGone) this.changed();
      this.#writeGoneLater();
    });
  }

  #write(): void {
    const { states, cards, nodes, clock, path, onTrouble } = this.#options;
    const now = clock.monotonic();
    const all = states();
    const named = new Set([...all.values()].map(({ node }) => node));
    const workloads = [...all].flatMap(([key, { isIn, wasThere, flaps }]) => {
      const times = timesAt(flaps, now);
      return isIn && times === 0 ? [] : [[key, { isIn, wasThere, times }] as const];
    });
    const trouble = writePresence(path, {
      workloads: Object.fromEntries(workloads),
      notReady: cards.allNotReady(),
      nodes: Object.fromEntries([...nodes.seen()].filter(([name, isOut]) => !isOut || named.has(name))),
      gone: Object.fromEntries([...nodes.allGone()].filter(([name]) => named.has(name))),
    });
    if (trouble !== undefined && !this.#isTroubled) onTrouble(trouble);
    this.#isTroubled = trouble !== undefined;
  }
}
