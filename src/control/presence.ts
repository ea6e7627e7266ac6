/**
 * Which workloads are there. Of a workload that belongs to a node (annotation weft.dev/node) its proxy is asked for: this node knows its own by their
 * streams, and others' by the cards of their nodes. Who is away for a while leaves the endpoints, unless too many would leave at once; who goes
 * and comes again and again is held back; and the endpoints change for it once a second at most. It makes no revision.
 */
import { NOT_YET } from "../mesh/readiness.ts";
import type { WorkloadHealth } from "../mesh/settings.ts";
import type { Mesh } from "../mesh/types.ts";
import type { Resource } from "../model/resource.ts";
import type { NodeCard } from "./node-card.ts";
import { CardIndex, type Cards } from "./presence-cards.ts";
import { holdMs, timesAt } from "./presence-damping.ts";
import { decide } from "./presence-decide.ts";
import { mergeHealth } from "./presence-health.ts";
import { PresenceMemory } from "./presence-memory.ts";
import { NodesPresence } from "./presence-nodes.ts";
import { PresenceRoster } from "./presence-roster.ts";
import { leave, reasonOf, type WorkloadState } from "./presence-state.ts";
import type { PresenceEvent, PresenceOptions, PresenceReport } from "./presence-types.ts";

/** How long a proxy may be away. Envoy comes back within 5 s, also after a restart of its weft. */
export const GRACE_MS = 10_000;
/** The endpoints change for presence, and for what probes say, at most so often. The first change after a calm while is made at once. */
const BATCH_MS = 1_000;
/** Streams that come and go together are looked at together. */
const STREAMS_MS = 20;

export class Presence {
  readonly #options: PresenceOptions;
  readonly #nodes: NodesPresence;
  readonly #memory: PresenceMemory;
  readonly #roster: PresenceRoster;
  #doubtful: ReadonlySet<string> = new Set();
  #held: readonly string[] = [];
  #mesh: Mesh | undefined;
  #health: ReadonlyMap<string, WorkloadHealth>;
  #changedAt = Number.NEGATIVE_INFINITY;
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #cancelStreams: (() => void) | undefined;
  /** Whether what is said of workloads may be another than the last time. */
  #isStale = true;
  #closed = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
    const { clock, hasBoard, nodeGraceMs, removed } = options;
    const cards = new CardIndex();
    this.#nodes = new NodesPresence({ graceMs: nodeGraceMs, now: () => clock.monotonic(), removed });
    this.#memory = new PresenceMemory({ ...options, states: () => this.#roster.states, cards, nodes: this.#nodes });
    this.#roster = new PresenceRoster({
      ...options,
      cards,
      nodes: this.#nodes,
      memory: this.#memory,
      frozen: hasBoard ? "the board of the nodes has not been read yet" : "there is no board",
    });
    this.#health = options.own();
  }

  /** Whether there are other nodes, whose word counts. */
  get isShared(): boolean {
    return this.#options.hasBoard;
  }

  /**
   * By workload key, for MeshOptions.health of a Mesh of these WorkloadEntries; another map after each change. A new workload must be judged before it
   * is built: else it would be in the endpoints, and be gone again a moment later.
   */
  health(entries: readonly Resource<"WorkloadEntry">[]): ReadonlyMap<string, WorkloadHealth> {
    if (this.#roster.follow(entries)) this.#health = this.#merged();
    return this.#health;
  }

  /** What this node tells others. */
  ownCard(): Pick<NodeCard, "proxies" | "notReady"> {
    const notReady: Record<string, string> = {};
    const own = this.#options.own();
    for (const [key, { node, isProbed }] of this.#roster.states) {
      if (node !== this.#options.node) continue;
      const said = own.get(key) ?? (isProbed ? { ready: false, message: NOT_YET } : { ready: true });
      if (!said.ready) notReady[key] = said.message || "its probe fails";
    }
    return { proxies: [...this.#roster.local].sort(), notReady };
  }

  report(): PresenceReport {
    const { states: all, frozen } = this.#roster;
    const states = [...all.values()];
    return {
      ...(frozen !== undefined && this.#options.hasBoard ? { frozen } : {}),
      held: this.#held,
      kept: [...this.#doubtful].sort(),
      away: states.filter(({ isIn, evidence }) => !isIn && evidence !== "there").length,
      heldBack: states.filter(({ isIn, evidence }) => !isIn && evidence === "there").length,
    };
  }

  /** How long an instance that went away may keep its WorkloadEntry: one that keeps doing so makes no revision each time. */
  awayMs(key: string): number {
    const flaps = this.#roster.states.get(key)?.flaps;
    return Math.max(this.#options.graceMs, flaps ? holdMs(timesAt(flaps, this.#options.clock.monotonic())) : 0);
  }

  /** For how long a node has been gone from a board that could be read; undefined where it is there, or nothing is known. */
  goneMs(node: string): number | undefined {
    return this.#roster.frozen === undefined ? this.#nodes.goneMs(node) : undefined;
  }

  /** To be called after each build of the Mesh. */
  follow(mesh: Mesh): void {
    const before = this.#mesh;
    this.#mesh = mesh;
    if (before?.workloads !== mesh.workloads || this.#roster.pending.size > 0) this.#touch();
  }

  /** A stream came or went. */
  streamsChanged(): void {
    if (this.#closed) return;
    this.#cancelStreams ??= this.#options.clock.after(STREAMS_MS, () => {
      this.#cancelStreams = undefined;
      if (this.#roster.connected(new Set(this.#options.connected()))) this.#touch();
    });
  }

  /** What proxies and probes say, or which nodes are removed, changed. */
  changed(): void {
    if (this.#closed) return;
    this.#isStale = true;
    this.#roster.observeAll();
    this.#touch();
  }

  /** The cards on the board, by node. Where this node's own is not among them, the board has lost what it held, and proves nothing. */
  cards(all: Cards): void {
    if (this.#closed) return;
    const { node } = this.#options;
    if (!all.has(node)) {
      this.boardLost("this node's own card is not on the board of the nodes");
      return;
    }
    if (this.#roster.read(new Map([...all].filter(([name]) => name !== node)))) this.#isStale = true;
    this.#touch();
  }

  /** The board cannot be read: what was known of others holds until it can. */
  boardLost(reason: string): void {
    if (this.#closed) return;
    this.#roster.freeze(reason);
    this.#touch();
  }

  /** To be called before the streams end: they end with weft, and not because proxies went away. */
  close(): void {
    this.#closed = true;
    this.#cancelStreams?.();
    this.#timer?.cancel();
    this.#memory.close();
  }

  /** Looks at what is due: at once, or where something changed a moment ago, with what else changes until its second is over. */
  #touch(inMs = 0): void {
    if (this.#closed || !this.#mesh) return;
    const { clock } = this.#options;
    const now = clock.monotonic();
    const at = Math.max(now + inMs, this.#changedAt + BATCH_MS);
    if (at <= now) {
      this.#settle();
      return;
    }
    if (this.#timer && this.#timer.at <= at) return;
    this.#timer?.cancel();
    this.#timer = { at, cancel: clock.after(at - now, () => this.#settle()) };
  }

  #settle(): void {
    const mesh = this.#mesh;
    if (this.#closed || !mesh) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { node, graceMs, clock, onChange } = this.#options;
    const now = clock.monotonic();
    const { states, pending, frozen } = this.#roster;
    const nodes = frozen === undefined ? this.#nodes.judge() : undefined;
    const given = nodes?.given ?? [];
    this.#held = nodes?.held ?? this.#held;
    const decision = decide({
      node,
      mesh,
      states,
      pending,
      isOut: (name) => this.#nodes.isOut(name),
      doubtful: this.#doubtful,
      held: new Set(this.#held),
      graceMs,
      now,
    });
    const kept = [...decision.doubtful].filter((key) => !this.#doubtful.has(key));
    const doubts = this.#doubtful.size;
    const confirmed = [...this.#doubtful].filter((key) => !decision.doubtful.has(key) && states.get(key)?.evidence === "there");
    for (const key of decision.leaving) this.#tell(key, "left", (state) => leave(state, now));
    for (const key of decision.returning) {
      this.#tell(key, states.get(key)?.isNew ? "arrived" : "returned", (state) => {
        state.isIn = true;
        state.isNew = false;
      });
    }
    for (const key of decision.pardoned) this.#pardon(key, now);
    for (const key of kept) this.#pardon(key, undefined);
    this.#doubtful = decision.doubtful;
    for (const key of kept) this.#tell(key, "kept");
    for (const key of confirmed) this.#tell(key, "confirmed");
    if (decision.leaving.length + decision.returning.length + kept.length > 0 || doubts !== decision.doubtful.size) this.#isStale = true;
    const health = this.#isStale ? this.#merged() : this.#health;
    this.#isStale = false;
    const nextIn = [decision.nextIn, nodes?.nextIn].filter((one) => one !== undefined);
    if (health !== this.#health) {
      this.#health = health;
      this.#changedAt = clock.monotonic();
      this.#memory.changed();
      onChange();
    } else if (given.length > 0) this.#memory.changed();
    if (nextIn.length > 0) this.#touch(Math.max(1, Math.min(...nextIn)));
  }

  #pardon(key: string, at: number | undefined): void {
    const state = this.#roster.states.get(key);
    if (state) state.pardonedAt = at;
  }

  #merged(): ReadonlyMap<string, WorkloadHealth> {
    const { node, own, clock } = this.#options;
    const { states, cards } = this.#roster;
    return mergeHealth({ node, own: own(), states, doubtful: this.#doubtful, cards, now: clock.monotonic() }, this.#health);
  }

  #tell(workload: string, change: PresenceEvent["change"], act: (state: WorkloadState) => void = () => {}): void {
    const state = this.#roster.states.get(workload);
    if (!state) return;
    const { clock, onEvent } = this.#options;
    const { message, since } = reasonOf(state, clock.monotonic());
    act(state);
    this.#roster.sort(workload);
    const seconds = since === undefined ? "" : ` for ${Math.round((clock.now() - since) / 1_000)} s`;
    onEvent({ workload, change, reason: state.evidence === "there" ? "its proxy is connected" : `${message}${seconds}` });
  }
}
