/** The nodes' cards: this one's, which is posted as long as weft runs, and the others', with when each was there last. */
import type { Stale } from "../admin/nodes.ts";
import type { LedgerReader } from "../ads/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { reasonText } from "../store/behind.ts";
import type { Board } from "../store/shared/board.ts";
import type { Standing, Store } from "../store/store.ts";
import type { Cluster } from "./cluster.ts";
import { inForceHere } from "./in-force.ts";
import type { NodeCard } from "./node-card.ts";
import type { Presence } from "./presence.ts";

/**
 * How long a card outlives its last renewal, and how often it is renewed: three renewals may be lost. What it says is looked at once a second, and
 * posted at once where it changed; a renewal of the same text is a lease's renewal to the engine, and news to nobody.
 */
const TTL_MS = 15_000;
const RENEW_MS = 4_000;
const LOOK_MS = 1_000;
/**
 * Each card goes to every node: where all change at once, as with each revision, that is the square of their number. What only people look at waits, so that such changes
 * make no more deliveries a second than this in the whole mesh: up to 141 nodes it is told at once.
 */
const DELIVERIES_A_SECOND = 20_000;
const spacingMs = (nodes: number): number => Math.max(LOOK_MS, (nodes * nodes * 1_000) / DELIVERIES_A_SECOND);
/**
 * Who waits for a revision is told as soon as the proxies have answered it, the first after a calm while: this node looks so soon after it, and so often. All nodes
 * do so at once, so only where that makes few deliveries: up to 44 nodes.
 */
const ANSWERS_MS = 100;
const ANSWERS_LOOKS = 5;
/** Board.post. */
const MOST_BYTES = 512 * 1024;

export interface NodeCardsOptions {
  readonly node: string;
  readonly board: Board | undefined;
  /** What there is to say now. */
  readonly card: () => Omit<NodeCard, "at">;
  /** Of the shared store. */
  readonly standing?: () => Standing | undefined;
  readonly clock: Clock;
  readonly onTrouble: (message: string) => void;
}

export class NodeCards {
  readonly #options: NodeCardsOptions;
  #all: ReadonlyMap<string, NodeCard> = new Map();
  readonly #lastSeen = new Map<string, number>();
  #said = "";
  /** What of that is on the board, as it was posted, and what of it others act on. */
  #posted = { said: "", text: "", acted: "" };
  #changedAt = Number.NEGATIVE_INFINITY;
  #at = "";
  #postedAt = Number.NEGATIVE_INFINITY;
  #posting: Promise<void> | undefined;
  #cancelAnswers: (() => void) | undefined;
  #isLost = false;
  /** Since when the board proves nothing, in ms since the epoch, and why; undefined where it is read. */
  #doubt: { readonly since?: number; readonly reason: string } | undefined = { reason: "the board of the nodes has not been read yet" };
  #cancel = () => {};
  #closed = false;

  constructor(options: NodeCardsOptions) {
    this.#options = options;
  }

  /** All that are on the board. */
  get all(): ReadonlyMap<string, NodeCard> {
    return this.#all;
  }

  /** This node's, as it is now. */
  own(): NodeCard {
    const { card, clock } = this.#options;
    const now = card();
    const said = JSON.stringify(now);
    if (said !== this.#said) {
      this.#said = said;
      this.#at = new Date(clock.now()).toISOString();
    }
    return { ...now, at: this.#at };
  }

  /** When it was on the board last, if it is not: ms since the epoch. */
  lastSeen(node: string): number | undefined {
    return this.#lastSeen.get(node);
  }

  /** To be called with what followCards tells. A board that has lost this node's own card has lost what it held: what was known before holds. */
  take(cards: ReadonlyMap<string, NodeCard>): void {
    const { node: own, clock } = this.#options;
    if (!cards.has(own) && this.#all.has(own)) {
      this.lost("this node's own card is not on the board of the nodes");
      return;
    }
    for (const node of this.#all.keys()) if (!cards.has(node)) this.#lastSeen.set(node, clock.now());
    this.#all = cards;
    this.#doubt = cards.has(own) ? undefined : { reason: "this node's own card is not on the board of the nodes yet" };
  }

  /** The board cannot be read: what was known of the others holds, and is as old as that. */
  lost(reason: string): void {
    this.#doubt = { reason, since: this.#doubt ? this.#doubt.since : this.#options.clock.now() };
  }

  /** As of when, and why only then, `all` is known; undefined where it is up to date, and where there is no board. */
  stale(): Stale | undefined {
    const { board, clock, standing } = this.#options;
    if (!board) return undefined;
    const store = standing?.();
    const isAway = store !== undefined && !store.inTouch;
    if (!this.#doubt && !isAway) return undefined;
    // The store is found to be away a while after it was heard of last.
    const heard = isAway && store.behindMs !== undefined ? clock.now() - store.behindMs : Number.POSITIVE_INFINITY;
    const since = Math.min(heard, (this.#doubt ? this.#doubt.since : undefined) ?? Number.POSITIVE_INFINITY);
    const isKnown = Number.isFinite(since) && this.#all.size > 0;
    const reason = isAway ? `the shared store is away: ${reasonText(store)}` : (this.#doubt?.reason ?? "");
    return { ...(isKnown ? { as_of: new Date(since).toISOString() } : {}), reason };
  }

  start(): void {
    if (this.#options.board) this.#look();
  }

  /** Another revision is served. */
  served(): void {
    const isStarted = this.#postedAt > Number.NEGATIVE_INFINITY;
    const isFew = (this.#all.size ** 2 * 1_000) / DELIVERIES_A_SECOND <= ANSWERS_MS;
    if (!this.#closed && isStarted && isFew && !this.#cancelAnswers) this.#awaitAnswers(ANSWERS_LOOKS);
  }

  #awaitAnswers(looks: number, inMs = ANSWERS_MS): void {
    const { clock } = this.#options;
    this.#cancelAnswers = clock.after(inMs, () => {
      this.#cancelAnswers = undefined;
      const { inForce } = this.own();
      const isAnswered = inForce?.behind === undefined && inForce?.more === undefined;
      const leftMs = this.#changedAt + spacingMs(this.#all.size) - clock.monotonic();
      if (isAnswered && leftMs <= 0) void this.#post();
      else if (looks > 1) this.#awaitAnswers(looks - 1, isAnswered ? leftMs : ANSWERS_MS);
    });
  }

  /** Takes this node's card down, where the board can be reached. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    this.#cancelAnswers?.();
    await this.#posting;
    const { board, node } = this.#options;
    await board?.withdraw(node).catch(() => {});
  }

  #look(): void {
    if (this.#closed) return;
    void this.#post().finally(() => {
      if (!this.#closed) this.#cancel = this.#options.clock.after(LOOK_MS, () => this.#look());
    });
  }

  #post(): Promise<void> {
    this.#posting ??= this.#postNews().finally(() => {
      this.#posting = undefined;
    });
    return this.#posting;
  }

  async #postNews(): Promise<void> {
    const { board, node, clock, onTrouble } = this.#options;
    const card = this.own();
    const said = this.#said;
    const now = clock.monotonic();
    const acted = actedOn(card);
    const isNews = said !== this.#posted.said && (acted !== this.#posted.acted || now - this.#changedAt >= spacingMs(this.#all.size));
    if (!board || (!isNews && now - this.#postedAt < RENEW_MS)) return;
    const next = isNews ? { said, text: textOf(card), acted } : this.#posted;
    try {
      await board.post(node, next.text, TTL_MS);
      if (isNews) this.#changedAt = now;
      this.#posted = next;
      this.#postedAt = now;
      this.#isLost = false;
    } catch (reason) {
      // Tried again at the next look.
      this.#postedAt = Number.NEGATIVE_INFINITY;
      if (!this.#isLost) onTrouble(`this node could not say on the board that it is there: ${WeftError.from(reason).message}`);
      this.#isLost = true;
    }
  }
}

export interface NodeCardParts {
  readonly node: string;
  readonly presence: Pick<Presence, "ownCard">;
  readonly store: Pick<Store, "standing">;
  readonly cluster: Pick<Cluster, "address" | "certificate" | "trusted"> | undefined;
  readonly revision: number;
  readonly version: string;
  readonly ledger: LedgerReader | undefined;
}

/** Time since the engine was heard of is told where it says something: a card that changes each second is news each second. */
const BEHIND_STEP_MS = 10_000;

export function nodeCard({ node, presence, store, cluster, revision, version, ledger }: NodeCardParts): Omit<NodeCard, "at"> {
  const standing = store.standing?.();
  const behindMs = standing === undefined || standing.inTouch ? 0 : standing.behindMs;
  const notAfter = cluster?.certificate.notAfter;
  const own = presence.ownCard();
  return {
    node,
    revision,
    behindMs: behindMs === undefined ? null : Math.floor(behindMs / BEHIND_STEP_MS) * BEHIND_STEP_MS,
    ...own,
    certificateNotAfter: notAfter === undefined ? null : new Date(notAfter).toISOString(),
    version,
    address: cluster?.address ?? "",
    trusts: cluster?.trusted ?? [],
    // Nobody is connected before there is a ledger.
    inForce: ledger ? inForceHere(revision, [...own.proxies, ...ledger.connected().map(({ id }) => id)], ledger) : { revision },
  };
}

/** A card without what is only looked at. */
function actedOn({ revision: _revision, behindMs: _behindMs, inForce: _inForce, at: _at, ...rest }: NodeCard): string {
  return JSON.stringify(rest);
}

/** Of a card that is too large what its workloads say in words is shortened: that they are not ready is what counts. */
function textOf(card: NodeCard): string {
  const text = JSON.stringify(card);
  if (Buffer.byteLength(text) <= MOST_BYTES) return text;
  return JSON.stringify({ ...card, notReady: Object.fromEntries(Object.keys(card.notReady).map((key) => [key, "not ready"])) });
}
