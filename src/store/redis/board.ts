/** The board as one hash in Redis, swept by whoever reads or posts. A stream of one entry wakes the readers; a look every so often is the truth. */
import { type Clock, sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import type { Board } from "../shared/board.ts";
import type { Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { replicationOf } from "./replication.ts";
import { POST, READ_BOARD, WITHDRAW } from "./scripts.ts";
import type { SharedConnection } from "./shared-connection.ts";

const LARGEST_CARD_BYTES = 512 * 1024;
/** A card whose time is over is noticed this much later at most. */
const LOOK_EVERY_MS = 1_000;
const LOOK_LIMIT_MS = LOOK_EVERY_MS + 3_000;
/** So many nodes' changes at once are told together. */
const GATHER_MS = 25;
/** How often it is asked whether this is still the master, and has been all the while. */
const DOUBT_EVERY_MS = 10_000;

export interface BoardParts {
  readonly name: string;
  readonly keys: Keys;
  readonly connections: SharedConnection;
  readonly clock: Clock;
}

export class RedisBoard implements Board {
  readonly #parts: BoardParts;

  constructor(parts: BoardParts) {
    this.#parts = parts;
  }

  async post(name: string, text: string, ttlMs: number): Promise<void> {
    if (Buffer.byteLength(text) > LARGEST_CARD_BYTES) {
      throw new WeftError("too_large", `the card "${name}" has more than ${LARGEST_CARD_BYTES / 1024} KiB`);
    }
    await (await this.#parts.connections.get()).run(POST, this.#parts.keys.board, [name, text, Math.ceil(ttlMs)]);
  }

  async withdraw(name: string): Promise<void> {
    await (await this.#parts.connections.get()).run(WITHDRAW, this.#parts.keys.board, [name]);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ReadonlyMap<string, string>, void, undefined> {
    const { name, keys, clock, connections } = this.#parts;
    const until = AbortSignal.any([signal, connections.closing]);
    if (until.aborted) return;
    let connection: Connection | undefined;
    try {
      connection = await connections.own(until);
      let cards: ReadonlyMap<string, string> | undefined;
      let [version, base, history] = [0, "", ""];
      let asked = Number.NEGATIVE_INFINITY;
      while (!until.aborted) {
        if (clock.monotonic() - asked >= DOUBT_EVERY_MS) {
          asked = clock.monotonic();
          const replication = await replicationOf(connection);
          if (replication.doubt !== undefined) {
            throw new WeftError("unavailable", `${name}: ${replication.doubt}`, { help: "let --store name the master" });
          }
          // It was a replica meanwhile, and may have lost some: what was counted before is worth nothing.
          if (replication.history !== history) base = "";
          history = replication.history;
        }
        const answer = await connection.run(READ_BOARD, keys.board, [version, base]);
        [version, base] = [Number(answer[0]), String(answer[1])];
        const next = nextCards(cards ?? new Map(), answer.slice(3));
        if (cards === undefined || !sameCards(cards, next)) {
          cards = next;
          yield new Map(cards);
          if (until.aborted) return;
        }
        const wake = ["BLOCK", LOOK_EVERY_MS, "STREAMS", keys.boardWake, String(answer[2])];
        if ((await connection.send("XREAD", wake, LOOK_LIMIT_MS)) !== null) await sleep(clock, GATHER_MS);
      }
    } catch (reason) {
      if (!until.aborted) throw reason;
    } finally {
      connection?.close();
    }
  }
}

/** @param answer "all" or "changes", then names, each with its text or null */
function nextCards(before: ReadonlyMap<string, string>, [kind, ...rest]: readonly unknown[]): ReadonlyMap<string, string> {
  const next = new Map(kind === "all" ? [] : before);
  for (let index = 0; index + 1 < rest.length; index += 2) {
    const text = rest[index + 1];
    if (typeof text === "string") next.set(String(rest[index]), text);
    else next.delete(String(rest[index]));
  }
  return next;
}

const sameCards = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>) =>
  a.size === b.size && [...a].every(([name, text]) => b.get(name) === text);
