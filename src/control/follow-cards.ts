/** Reads the other nodes' cards from the board for as long as weft runs, and tells when it cannot. */
import * as v from "valibot";
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Board } from "../store/shared/board.ts";
import { InForceSchema } from "./in-force.ts";
import type { NodeCard } from "./node-card.ts";

/** Between tries to reach a board that is away: doubles from the first to the longest, each up to a half shorter. Milliseconds. */
const RETRY_MS = { first: 500, longest: 10_000 } as const;

/** What a newer weft says besides is left alone. */
const CardSchema = v.object({
  node: v.string(),
  revision: v.number(),
  behindMs: v.nullable(v.number()),
  proxies: v.array(v.string()),
  notReady: v.record(v.string(), v.string()),
  certificateNotAfter: v.nullable(v.string()),
  version: v.string(),
  address: v.string(),
  trusts: v.optional(v.array(v.string()), []),
  // What people look at only: where it cannot be read, the rest of the card counts all the same.
  inForce: v.fallback(v.optional(InForceSchema), undefined),
  at: v.string(),
});

export interface FollowCardsOptions {
  readonly board: Pick<Board, "watch">;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** All cards by node, this one's among them; a card whose text is the same is the same object. */
  readonly onCards: (cards: ReadonlyMap<string, NodeCard>) => void;
  /** The board cannot be read, and why; told again with each try. */
  readonly onLost: (reason: string) => void;
  /** Of a card that cannot be read, once for each node. */
  readonly onTrouble: (message: string) => void;
}

/** @returns what ends it */
export function followCards(options: FollowCardsOptions): () => Promise<void> {
  const stop = new AbortController();
  const following = follow(options, stop.signal);
  return async () => {
    stop.abort();
    await following;
  };
}

async function follow({ board, clock, random, onCards, onLost, onTrouble }: FollowCardsOptions, signal: AbortSignal): Promise<void> {
  const reader = new CardReader(onTrouble);
  const pace = new Pace<ReadonlyMap<string, string>>(clock, (texts) => onCards(reader.read(texts)));
  const lost = (reason: string) => {
    pace.drop();
    onLost(reason);
  };
  let waitMs: number = RETRY_MS.first;
  while (!signal.aborted) {
    try {
      for await (const texts of board.watch(signal)) {
        waitMs = RETRY_MS.first;
        pace.take(texts);
      }
      if (!signal.aborted) lost("the watch of the board ended");
    } catch (reason) {
      if (!signal.aborted) lost(WeftError.from(reason).message);
    }
    if (signal.aborted) {
      pace.drop();
      return;
    }
    await sleep(clock, waitMs * (1 - random() / 2), signal);
    waitMs = Math.min(waitMs * 2, RETRY_MS.longest);
  }
}

/** Passes the newest on. With ten thousand nodes that takes a while, and some card changes all the time: no more than a fifth of the time goes into it. */
class Pace<T> {
  readonly #clock: Clock;
  readonly #pass: (value: T) => void;
  #newest: { readonly value: T } | undefined;
  #freeAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, pass: (value: T) => void) {
    this.#clock = clock;
    this.#pass = pass;
  }

  take(value: T): void {
    this.#newest = { value };
    const inMs = this.#freeAt - this.#clock.monotonic();
    if (inMs <= 0) this.#run();
    else this.#cancel ??= this.#clock.after(inMs, () => this.#run());
  }

  /** Forgets what was not passed on yet. */
  drop(): void {
    this.#newest = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #run(): void {
    const newest = this.#newest;
    this.drop();
    if (!newest) return;
    const began = this.#clock.monotonic();
    this.#pass(newest.value);
    const ended = this.#clock.monotonic();
    this.#freeAt = ended + 4 * (ended - began);
  }
}

class CardReader {
  readonly #onTrouble: (message: string) => void;
  readonly #told = new Set<string>();
  #known = new Map<string, { readonly text: string; readonly card: NodeCard }>();

  constructor(onTrouble: (message: string) => void) {
    this.#onTrouble = onTrouble;
  }

  /** Of a card that cannot be read the one before holds. */
  read(texts: ReadonlyMap<string, string>): ReadonlyMap<string, NodeCard> {
    const read = new Map<string, { readonly text: string; readonly card: NodeCard }>();
    for (const [node, text] of texts) {
      const known = this.#known.get(node);
      const card = known?.text === text ? known.card : (parseCard(node, text) ?? known?.card);
      if (card) read.set(node, { text, card });
      else if (!this.#told.has(node)) {
        this.#told.add(node);
        this.#onTrouble(`the card of node ${node} on the board cannot be read: nothing is known of what it has`);
      }
    }
    this.#known = read;
    return new Map([...read].map(([node, { card }]) => [node, card]));
  }
}

function parseCard(node: string, text: string): NodeCard | undefined {
  try {
    const parsed = v.safeParse(CardSchema, JSON.parse(text));
    return parsed.success && parsed.output.node === node ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}
