/** Reading the log: entries as they come, each only after the one that it names as the one before. */
import { type Clock, sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import { backoff } from "../shared/backoff.ts";
import type { LogEntry, LogEvent, Place } from "../shared/log.ts";
import { Unreachable } from "../shared/unreachable.ts";
import type { Connection } from "./connection.ts";
import { ConnectionLost, Refused } from "./errors.ts";
import type { Keys } from "./keys.ts";
import { collect } from "./parts.ts";
import { leastReplicas, replicationOf } from "./replication.ts";
import { CHECK } from "./scripts.ts";

/** Redis answers an XREAD that found nothing after this long; then the reader asks where the log ends. */
const BLOCK_MS = 2_000;
const BLOCK_LIMIT_MS = BLOCK_MS + 1_500;
const READ_AT_ONCE = 64;
/** An interruption that is over sooner is not told of. */
const MENDED_WITHIN_MS = 2_000;

export interface Follower {
  readonly name: string;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: () => number;
  connect(until: AbortSignal): Promise<Connection>;
  /** The last attempt to write whose outcome nobody knows; 0 where there was none. */
  unsettled(): number;
  noteReplicas(count: number): void;
}

export async function* follow(follower: Follower, after: Place, signal: AbortSignal): AsyncGenerator<LogEvent, void, undefined> {
  const { clock, random } = follower;
  let place = after;
  let failingSince: number | undefined;
  let failures = 0;
  while (!signal.aborted) {
    let connection: Connection | undefined;
    try {
      connection = await follower.connect(signal);
      for await (const event of session(follower, connection, place, signal)) {
        if (signal.aborted) return;
        failingSince = undefined;
        failures = 0;
        if (event.type === "entry") place = event.place;
        yield event;
        if (event.type === "lost") return;
      }
    } catch (reason) {
      if (signal.aborted) return;
      if (!mayPass(reason)) throw reason;
      failingSince ??= clock.monotonic();
      if (clock.monotonic() - failingSince > MENDED_WITHIN_MS) {
        if (connection !== undefined || !(reason instanceof ConnectionLost)) throw reason;
        const { message, help } = reason;
        throw new Unreachable(message, { ...(help !== undefined && { help }), cause: reason });
      }
    } finally {
      connection?.close();
    }
    failures += 1;
    await sleep(clock, backoff(failures, random), signal);
  }
}

const mayPass = (reason: unknown) => reason instanceof ConnectionLost || (reason instanceof Refused && reason.word === "LOADING");

/** Over one connection, until it or the log ends. */
async function* session(
  { name, keys, unsettled, noteReplicas }: Follower,
  connection: Connection,
  after: Place,
  signal: AbortSignal,
): AsyncGenerator<LogEvent, void, undefined> {
  let place = after;
  const least = (await leastReplicas(connection)) ?? 0;
  while (!signal.aborted) {
    const fence = unsettled();
    // Sent together, answered in this order: who says where the log ends is still the master after that.
    const [[status, sequence, id], { doubt, replicas }] = await Promise.all([
      connection.run(CHECK, [keys.log, keys.snapshot, keys.fence], [place.sequence, place.id, fence]),
      replicationOf(connection, least),
    ]);
    if (status !== "at" && status !== "more") {
      yield { type: "lost", reason: `${name}: ${lostReason(String(status), place, Number(sequence))}` };
      return;
    }
    if (status === "at") {
      if (doubt !== undefined) {
        throw new WeftError("unavailable", `${name}: ${doubt}`, { help: "let --store name the master that the others follow" });
      }
      noteReplicas(replicas);
      // A write of unknown outcome that came about meanwhile is fenced off first.
      if (unsettled() > fence) continue;
      yield { type: "current", head: { sequence: Number(sequence), id: String(id) } };
    }
    for (let block = status === "at" ? ["BLOCK", BLOCK_MS] : []; ; block = []) {
      const found = entriesOf(
        await connection.send("XREAD", ["COUNT", READ_AT_ONCE, ...block, "STREAMS", keys.log, `${place.sequence}-0`], BLOCK_LIMIT_MS),
        keys.log,
      );
      for (const one of found) {
        // What does not join on is not shown: the check above says what has become of the log.
        if (one.place.sequence !== place.sequence + 1 || one.previous !== place.id) break;
        const entry = await whole(connection, one);
        if (entry === undefined) {
          const reason = `a part of entry ${one.place.sequence} is missing: it was trimmed, or Redis evicts keys (maxmemory-policy)`;
          yield { type: "lost", reason: `${name}: ${reason}` };
          return;
        }
        place = entry.place;
        yield { type: "entry", ...entry };
        if (signal.aborted) return;
      }
      if (found.length < READ_AT_ONCE || place !== found.at(-1)?.place) break;
    }
  }
}

interface Found {
  readonly place: Place;
  readonly previous: string;
  readonly parts: number;
  /** Base64; where there are parts, what their keys begin with. */
  readonly data: string;
}

/** Of XREAD's answer: null, or by stream its entries, each an ID and its fields (scripts.ts). */
function entriesOf(answer: unknown, stream: string): readonly Found[] {
  if (answer === null || typeof answer !== "object") return [];
  const entries = (answer as Readonly<Record<string, readonly [string, readonly string[]][] | undefined>>)[stream] ?? [];
  return entries.map(([at, [, id = "", , previous = "", , parts = "0", , data = ""]]) => ({
    place: { sequence: Number(at.split("-")[0]), id },
    previous,
    parts: Number(parts),
    data,
  }));
}

async function whole(connection: Connection, { place, parts, data }: Found): Promise<LogEntry | undefined> {
  if (parts === 0) return { place, bytes: new Uint8Array(Buffer.from(data, "base64")) };
  const bytes = await collect(connection, data, parts);
  return bytes === undefined ? undefined : { place, bytes };
}

function lostReason(status: string, place: Place, last: number): string {
  if (status === "empty")
    return `it was emptied, or restarted without its data: the log has no entry, and this node knows ${place.sequence}`;
  if (status === "back") return `it has lost acknowledged writes: the log ends at entry ${last}, and this node knows ${place.sequence}`;
  if (status === "trimmed") return `the log does not reach back to entry ${place.sequence + 1} any more`;
  return `its history has parted from this node's: entry ${place.sequence} is another one (writes were lost and others made)`;
}
