/**
 * Following the log: read what is after the place at revision R, watch from R + 1, and ask again every few seconds. Entries are taken from
 * whichever tells of them first, each by its sequence and the id of the one before. So nothing hangs on the watch: a member that is cut off and hears nothing,
 * a compaction, or a watch that loses events (etcd before 3.5.33 and 3.6.14) cost time, never an entry; and "current" is said on the
 * word of a quorum alone.
 */

import { Event_EventType } from "../../gen/etcd/kv_pb.ts";
import { WatchCreateRequest_FilterType } from "../../gen/etcd/rpc_pb.ts";
import { backoff, jittered } from "../shared/backoff.ts";
import type { LogEvent, Place } from "../shared/log.ts";
import type { EtcdClient } from "./client.ts";
import { type EntryReader, type Record, samePlace } from "./entries.ts";
import { EtcdFailure } from "./failure.ts";
import { type Keys, range } from "./keys.ts";
import { type Watched, Watching } from "./watching.ts";

/** "current" is promised every 10 s; a member that does not answer is left after 3 s. */
const ASK_EVERY_MS = 5_000;

interface Parts {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly reader: EntryReader;
}

/** SharedLog.follow */
export async function* followLog(parts: Parts, after: Place, signal: AbortSignal): AsyncGenerator<LogEvent> {
  const follower = new Follower(parts, after, signal);
  try {
    yield* follower.events();
  } catch (reason) {
    if (!signal.aborted && !parts.client.closed.aborted) throw reason;
  } finally {
    follower.close();
  }
}

class Follower {
  readonly #parts: Parts;
  readonly #signal: AbortSignal;
  #place: Place;
  #revision = 0n;
  #watching: Watching | undefined;
  #watchFailures = 0;

  constructor(parts: Parts, after: Place, signal: AbortSignal) {
    this.#parts = parts;
    this.#place = after;
    this.#signal = signal;
  }

  close(): void {
    this.#watching?.close();
    this.#watching = undefined;
  }

  get #stopped(): boolean {
    return this.#signal.aborted || this.#parts.client.closed.aborted;
  }

  async *events(): AsyncGenerator<LogEvent> {
    for (;;) {
      for await (const event of this.#catchUp()) {
        if (this.#stopped) return;
        yield event;
        if (event.type === "lost") return;
      }
      const watched = await this.#wait();
      if (this.#stopped) return;
      if (watched === undefined) continue;
      for await (const event of this.#take(watched)) {
        if (this.#stopped) return;
        yield event;
      }
    }
  }

  /** All that is there, and the proof that it is all. */
  async *#catchUp(): AsyncGenerator<LogEvent> {
    for (;;) {
      const reading = await this.#parts.reader.after(this.#place, this.#signal);
      if (reading.type === "lost") return yield reading;
      // A backup was restored that holds our place: the watch would wait for a revision that is far away now.
      if (reading.revision < this.#revision) this.close();
      this.#revision = reading.revision;
      if (samePlace(reading.head, this.#place)) return yield { type: "current", head: reading.head };
      yield* this.#entries(reading.records);
    }
  }

  /** Those of `records` that come next, up to the first that does not: then it is read again. */
  async *#entries(records: readonly Record[]): AsyncGenerator<LogEvent> {
    for (const record of records) {
      if (record.place.sequence <= this.#place.sequence) continue;
      if (record.place.sequence !== this.#place.sequence + 1 || record.previous !== this.#place.id) return;
      const entry = await this.#parts.reader.whole(record, this.#signal);
      // Trimmed since: reading again finds that the place is lost.
      if (!entry) return;
      this.#place = entry.place;
      yield { type: "entry", ...entry };
    }
  }

  async *#take({ response }: Extract<Watched, { type: "events" }>): AsyncGenerator<LogEvent> {
    const decoder = new TextDecoder();
    const records = response.events.flatMap(({ type, kv }) =>
      kv && type === Event_EventType.PUT ? [this.#parts.reader.record(decoder.decode(kv.key), kv.value)] : [],
    );
    yield* this.#entries(records);
  }

  /** Until the watch tells of entries (they are returned), or it is time to ask. */
  async #wait(): Promise<Extract<Watched, { type: "events" }> | undefined> {
    const { client } = this.#parts;
    const asking = jittered(ASK_EVERY_MS, client.random);
    const watching = await this.#watch();
    if (!watching) {
      // Asking finds another member, or that there is none; where it does, and there can be no watch all the same, there is time.
      if (this.#watchFailures++ > 0) await client.pause(asking, this.#signal);
      return undefined;
    }
    const watched = await watching.next(asking);
    if (watched?.type !== "ended") {
      this.#watchFailures = 0;
      return watched;
    }
    this.close();
    if (watched.reason?.cure === "never") throw watched.reason.unavailable();
    // A watch that was compacted away, or whose token had expired, is made again at once; one that fails again and again, later and later.
    if (this.#watchFailures++ > 0) await client.pause(backoff(this.#watchFailures, client.random), this.#signal);
    return undefined;
  }

  /** The watch on the member that answers; undefined where there can be none now. */
  async #watch(): Promise<Watching | undefined> {
    const { client, keys } = this.#parts;
    if (this.#watching && this.#watching.member !== client.preferred) this.close();
    if (this.#watching) return this.#watching;
    const create = {
      ...range(keys.entries),
      startRevision: this.#revision + 1n,
      filters: [WatchCreateRequest_FilterType.NODELETE],
      fragment: true,
    };
    try {
      this.#watching = await Watching.open(client, create, this.#signal);
      return this.#watching;
    } catch (reason) {
      if (!(reason instanceof EtcdFailure) || reason.cure === "never") throw reason instanceof EtcdFailure ? reason.unavailable() : reason;
      return undefined;
    }
  }
}
