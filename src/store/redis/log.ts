/** The shared log as one stream in Redis (scripts.ts says how it lies there). */
import { type Clock, sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import type { LogEntry, LogEvent, Place, SharedLog } from "../shared/log.ts";
import { UnknownOutcome } from "../shared/unknown-outcome.ts";
import type { Connection } from "./connection.ts";
import { ConnectionLost, Refused } from "./errors.ts";
import { follow } from "./follow.ts";
import { type Keys, partKeys } from "./keys.ts";
import { collect, stage } from "./parts.ts";
import { APPEND, CHECK, PROBE, PUT_SNAPSHOT, SETTLE, TRIM } from "./scripts.ts";
import type { SharedConnection } from "./shared-connection.ts";
import { unreachableWarning, warningsOf } from "./warnings.ts";

/** Larger entries go into parts of their own: what stands in the stream is base64, and is read many at a time. */
const INLINE_BYTES = 16 * 1024;
/** How long the outcome of a write whose answer was lost is sought. */
const SETTLE_MS = 2_000;
const SETTLE_PAUSE_MS = 100;
/** A replica in touch has an entry within its round trip; one that has not is not waited for. */
const REPLICA_MS = 500;
/** Redis does nothing else meanwhile. */
const TRIMMED_AT_ONCE = 200;
/** Only a snapshot that was replaced while it was read is read again, and it stays for minutes. */
const SNAPSHOT_TRIES = 3;

export interface LogParts {
  readonly name: string;
  readonly keys: Keys;
  readonly connections: SharedConnection;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
}

export class RedisLog implements SharedLog {
  readonly name: string;
  readonly #parts: LogParts;
  #attempts = 0;
  /** The last attempt whose outcome nobody knows; readers fence it off before they say that nothing is missing. */
  #unsettled = 0;
  #replicas = 0;
  /** Whether the last entry that was to be confirmed by a replica was. */
  #confirmed = true;

  constructor(parts: LogParts) {
    this.#parts = parts;
    this.name = parts.name;
  }

  async snapshot(signal: AbortSignal): Promise<LogEntry | undefined> {
    const { keys } = this.#parts;
    const connection = await this.#parts.connections.own(signal);
    try {
      for (let tries = 1; tries <= SNAPSHOT_TRIES; tries++) {
        const pointer = await connection.send("HMGET", [keys.snapshot, "sequence", "id", "prefix", "parts"]);
        const [sequence, id, prefix, parts] = pointer as readonly (string | null)[];
        if (typeof prefix !== "string" || typeof id !== "string") return undefined;
        const bytes = await collect(connection, prefix, Number(parts));
        if (bytes !== undefined) return { place: { sequence: Number(sequence), id }, bytes };
      }
    } finally {
      connection.close();
    }
    throw new WeftError("unavailable", `${this.name}: a part of the snapshot is missing`, {
      help: "see whether Redis evicts keys (maxmemory-policy), or somebody deleted some; the next snapshot mends it",
    });
  }

  follow(after: Place, signal: AbortSignal): AsyncIterable<LogEvent> {
    const { keys, clock, random, connections } = this.#parts;
    return follow(
      {
        name: this.name,
        keys,
        clock,
        random,
        connect: (until) => connections.own(until),
        unsettled: () => this.#unsettled,
        noteReplicas: (count) => {
          this.#replicas = count;
        },
      },
      after,
      AbortSignal.any([signal, connections.closing]),
    );
  }

  async append(after: Place, entry: { readonly id: string; readonly bytes: Uint8Array }): Promise<"appended" | "behind"> {
    const { keys, newId } = this.#parts;
    const connection = await this.#parts.connections.get();
    const inline = entry.bytes.length <= INLINE_BYTES;
    // A name of its own for each try: one that is late may have committed its parts while another with the same entry stages.
    const prefix = `${keys.entryParts}${newId()}`;
    let staged: string[] = [];
    if (!inline) {
      // Spares who is behind the staging; what counts is looked at again in the script.
      const [status] = await connection.run(CHECK, [keys.log, keys.snapshot, keys.fence], [after.sequence, after.id, 0]);
      if (status !== "at") return "behind";
      staged = await stage(connection, prefix, entry.bytes);
    }
    const attempt = ++this.#attempts;
    const data = inline ? Buffer.from(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.byteLength).toString("base64") : prefix;
    let outcome: unknown;
    try {
      [outcome] = await connection.run(
        APPEND,
        [keys.log, keys.snapshot, keys.fence, ...staged],
        [after.sequence, after.id, entry.id, attempt, staged.length, data],
      );
    } catch (reason) {
      if (!(reason instanceof ConnectionLost) || !reason.sent) throw reason;
      return await this.#settle(after, entry.id, attempt, reason);
    }
    if (outcome === "appended") {
      await this.#confirm(connection);
      return "appended";
    }
    if (outcome === "behind") return "behind";
    throw new WeftError("unavailable", `${this.name}: the entry was given up before it was written (${String(outcome)})`, {
      help: outcome === "unstaged" ? "see whether Redis evicts keys (maxmemory-policy), then try again" : "try again",
    });
  }

  async putSnapshot(snapshot: LogEntry, trimThrough: number): Promise<void> {
    const { keys, newId } = this.#parts;
    const connection = await this.#parts.connections.own(this.#parts.connections.closing);
    try {
      const { sequence, id } = snapshot.place;
      const prefix = `${keys.snapshotParts}${newId()}`;
      const staged = await stage(connection, prefix, snapshot.bytes);
      const [outcome] = await connection.run(PUT_SNAPSHOT, [keys.log, keys.snapshot, ...staged], [sequence, id, prefix, staged.length]);
      if (outcome !== "put") await connection.send("UNLINK", partKeys(prefix, staged.length));
      if (outcome === "parted" || outcome === "unstaged") {
        throw new WeftError("unavailable", `${this.name}: the log does not hold entry ${sequence} as this snapshot has it`, {
          help: "read the log again: its history has parted from this node's",
        });
      }
      for (;;) {
        const [dropped] = await connection.run(TRIM, [keys.log, keys.snapshot], [trimThrough, TRIMMED_AT_ONCE]);
        if (Number(dropped) < TRIMMED_AT_ONCE) return;
      }
    } finally {
      connection.close();
    }
  }

  async checkWritable(): Promise<void> {
    await (await this.#parts.connections.get()).run(PROBE, [this.#parts.keys.probe], []);
  }

  async warnings(): Promise<readonly string[]> {
    try {
      const connection = await this.#parts.connections.get();
      return await warningsOf(connection, { confirmed: this.#confirmed });
    } catch (reason) {
      if (!(reason instanceof WeftError)) throw reason;
      return [unreachableWarning(reason)];
    }
  }

  close(): Promise<void> {
    return this.#parts.connections.close();
  }

  /** After a write whose answer was lost: fences it off and looks. @throws UnknownOutcome where Redis cannot be asked in time */
  async #settle(after: Place, id: string, attempt: number, lost: ConnectionLost): Promise<"appended" | "behind"> {
    const { keys, clock, connections } = this.#parts;
    this.#unsettled = Math.max(this.#unsettled, attempt);
    const began = clock.monotonic();
    while (clock.monotonic() - began < SETTLE_MS && !connections.closing.aborted) {
      try {
        const connection = await connections.get();
        const [outcome] = await connection.run(SETTLE, [keys.log, keys.snapshot, keys.fence], [after.sequence, after.id, id, attempt]);
        if (outcome === "appended" || outcome === "behind") return outcome;
        if (outcome === "absent")
          throw new WeftError("unavailable", `${lost.message}; nothing was written`, { help: "try again", cause: lost });
        break;
      } catch (reason) {
        if (!(reason instanceof ConnectionLost || reason instanceof Refused)) throw reason;
        await sleep(clock, SETTLE_PAUSE_MS);
      }
    }
    throw new UnknownOutcome(`${this.name}: nobody knows whether entry ${after.sequence + 1} was written: ${lost.message}`, lost);
  }

  /**
   * Redis answers before its replicas have an entry, so a failover just then would lose it. Waiting for one of them makes that rare, not impossible; an entry that
   * none has confirmed is in the log all the same, and acknowledged.
   */
  async #confirm(connection: Connection): Promise<void> {
    if (this.#replicas === 0) return;
    try {
      this.#confirmed = Number(await connection.send("WAIT", [1, REPLICA_MS])) > 0;
    } catch (reason) {
      if (!(reason instanceof ConnectionLost || reason instanceof Refused)) throw reason;
      this.#confirmed = false;
    }
  }
}
