/**
 * Which nodes are there, by their cards on the board. A card is a hint: a node that cannot reach the engine serves on, and so do its workloads. So one
 * whose card is gone is given up only after a grace, and none is while more than half of all nodes are gone at once: that is what a partition, or an
 * engine that lost its leases, looks like from here, and whoever sees a minority knows least. (Eureka's self-preservation stops evicting at 15 % for
 * the same reason; with half, one node of two or three can still be given up.)
 */

import { GoneTimes } from "./presence-gone.ts";

/**
 * For how long a node's card may be gone, on top of the card's own lease. It is longer than a restart of weft with its catching up (seconds), and than an
 * election in the engine during which no lease is renewed. Kubernetes gives a node up after 40 to 50 s in all.
 */
export const NODE_GRACE_MS = 30_000;

interface NodeState {
  isThere: boolean;
  /** Since when, by Clock.monotonic. */
  since: number;
  /** Whether it was given up. */
  isOut: boolean;
  /** Whether it ever was there: a name that only a WorkloadEntry knows does not count among the nodes. */
  wasSeen: boolean;
}

export interface NodesPresenceOptions {
  readonly graceMs: number;
  /** Clock.monotonic. */
  readonly now: () => number;
  /** Nodes that were taken out of the mesh. */
  readonly removed?: () => ReadonlySet<string>;
}

/** The other nodes. */
export class NodesPresence {
  readonly #options: NodesPresenceOptions;
  readonly #nodes = new Map<string, NodeState>();
  /** `since` is for the grace, which begins anew whenever the board was away. */
  readonly #gone: GoneTimes;
  #held: ReadonlySet<string> = new Set();

  constructor(options: NodesPresenceOptions) {
    this.#options = options;
    this.#gone = new GoneTimes(options.now);
  }

  /** It was there before weft started, or is known to be a node of the mesh. */
  remember(name: string, isOut: boolean): void {
    this.#nodes.set(name, { isThere: false, since: this.#options.now(), isOut, wasSeen: true });
  }

  /** For how long it was seen to be gone before weft started, in milliseconds. */
  rememberGone(name: string, milliseconds: number): void {
    this.#gone.recall(name, milliseconds);
  }

  /** A workload names it. */
  expect(name: string): void {
    if (!this.#nodes.has(name)) this.#nodes.set(name, { isThere: false, since: this.#options.now(), isOut: false, wasSeen: false });
  }

  /** Whose cards are on the board. */
  see(names: ReadonlySet<string>): void {
    const now = this.#options.now();
    for (const name of names) {
      const known = this.#nodes.get(name);
      this.#gone.there(name);
      if (known?.isThere) continue;
      this.#nodes.set(name, { isThere: true, since: now, isOut: false, wasSeen: true });
    }
    for (const [name, node] of this.#nodes) {
      if (names.has(name)) continue;
      this.#gone.gone(name);
      if (!node.isThere) continue;
      node.isThere = false;
      node.since = now;
    }
  }

  /** The board cannot be read any more. */
  pause(): void {
    this.#gone.pause();
  }

  /** The board could not be read until now: how long those have been gone that are not on it is not known. */
  startAnew(): void {
    for (const node of this.#nodes.values()) if (!node.isThere) node.since = this.#options.now();
  }

  /**
   * Gives up those whose grace is over. `held`: those that would be, were they not the larger part. `nextIn`: milliseconds until the next is. One that was
   * removed is none of them any more: else it would be gone for ever, and the mesh would seem to be in parts.
   */
  judge(): { readonly given: readonly string[]; readonly held: readonly string[]; readonly nextIn?: number } {
    const now = this.#options.now();
    const nodes = this.#members();
    const counted = nodes.map(([, node]) => node).filter(({ wasSeen, isOut }) => wasSeen && !isOut);
    // This node is one of them, and there.
    const isLargerPart = counted.filter(({ isThere }) => !isThere).length * 2 > counted.length + 1;
    const given: string[] = [];
    const held: string[] = [];
    let nextIn: number | undefined;
    for (const [name, node] of nodes) {
      if (node.isThere || node.isOut) continue;
      // A partition that ends lets the nodes come back one by one: those that were kept have their grace anew.
      if (!isLargerPart && this.#held.has(name)) node.since = now;
      const leftMs = node.since + this.#options.graceMs - now;
      if (leftMs > 0) nextIn = Math.min(nextIn ?? leftMs, leftMs);
      else if (isLargerPart && node.wasSeen) held.push(name);
      else given.push(name);
    }
    for (const name of given) {
      const node = this.#nodes.get(name);
      if (node) node.isOut = true;
    }
    this.#held = new Set(held);
    return { given, held: held.sort(), ...(nextIn === undefined ? {} : { nextIn }) };
  }

  isOut(name: string): boolean {
    return this.#nodes.get(name)?.isOut === true;
  }

  /** For how long its card has been seen to be gone, in milliseconds; undefined where it is there, or nobody knows of it. */
  goneMs(name: string): number | undefined {
    const node = this.#nodes.get(name);
    return node && !node.isThere ? this.#gone.ms(name) : undefined;
  }

  /** All that have been seen to be gone, for how many milliseconds. */
  allGone(): ReadonlyMap<string, number> {
    return this.#gone.all();
  }

  /** Those that were ever there and are of the mesh, by name; the value says whether it was given up. */
  seen(): ReadonlyMap<string, boolean> {
    return new Map(this.#members().flatMap(([name, { wasSeen, isOut }]) => (wasSeen ? [[name, isOut] as const] : [])));
  }

  #members(): readonly (readonly [string, NodeState])[] {
    const removed = this.#options.removed?.();
    return [...this.#nodes].filter(([name]) => !removed?.has(name));
  }
}
