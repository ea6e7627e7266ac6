/** A second database beside the one that is served from, filled with what the log holds now: its snapshot, and the entries after it. */
import { rmSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import type { SharedLog } from "../shared/log.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openConnection } from "../sqlite/open.ts";
import { type StoredPlace, writePlace } from "../sqlite/place.ts";
import type { Limits } from "../sqlite/write.ts";
import { heard } from "./deadline.ts";
import { decodeEntry } from "./entry.ts";
import { disclose, type Enclosed, Unreadable } from "./format.ts";
import { loadImage } from "./image.ts";
import { takeEntries } from "./take.ts";

export interface Staged {
  readonly db: Connection;
  readonly place: StoredPlace;
  /** Closes and removes it. */
  drop(): void;
}

/** The place of a database that has followed `engine` no step yet. */
export function placeAtStart(engine: string, seenAt: string): StoredPlace {
  return { engine, log: "", sequence: 0, entry: "", bytes: 0, snapshot: { sequence: 0, bytes: 0, size: 0 }, seenAt };
}

export interface StageOptions {
  readonly limits: Limits;
  /** RFC 3339. */
  readonly seenAt: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A snapshot comes in one piece: as long as that may take. */
const SNAPSHOT_MS = 5 * 60_000;

/**
 * @param path of the database to make
 * @throws Unreadable, Diverged; WeftError "unavailable": nothing is left of it then
 */
export async function stageLog(log: SharedLog, path: string, { limits, seenAt, clock, signal }: StageOptions): Promise<Staged> {
  remove(path);
  const { connection: db } = openConnection(path);
  const drop = () => {
    db.close();
    remove(path);
  };
  try {
    // It is made anew after a crash: nothing in it has to be on the disk.
    db.script("PRAGMA synchronous = OFF");
    let place = placeAtStart(log.name, seenAt);
    const snapshot = await heard(log.snapshot(signal), clock, SNAPSHOT_MS);
    if (snapshot) {
      const what = `the snapshot at ${snapshot.place.sequence}`;
      const { sequence, id } = snapshot.place;
      const { log: name, bytes } = await loadImage(db, imageOf(disclose(snapshot.bytes, what), what), what);
      place = { ...place, log: name, sequence, entry: id, bytes, snapshot: { sequence, bytes, size: snapshot.bytes.length } };
      writePlace(db, place);
    }
    const events = log.follow({ sequence: place.sequence, id: place.entry }, signal)[Symbol.asyncIterator]();
    for (;;) {
      const { value: event, done } = await heard(events.next(), clock);
      if (done) throw new WeftError("unavailable", "the log ended while it was read");
      if (event.type === "current") {
        await events.return?.();
        return { db, place, drop };
      }
      if (event.type === "lost") throw new WeftError("unavailable", `the log moved on while it was read: ${event.reason}`);
      const what = `entry ${event.place.sequence}`;
      const enclosed = disclose(event.bytes, what);
      const size = event.bytes.length;
      if (enclosed.kind === "image") {
        if (place.sequence > 0) throw new Unreadable(`${what} of the log is an image, but not the first`);
        const { log: name } = await loadImage(db, enclosed, what);
        place = { ...place, log: name, sequence: event.place.sequence, entry: event.place.id, bytes: size };
        writePlace(db, place);
      } else {
        const entry = await decodeEntry(enclosed, what);
        place = takeEntries(db, place, [{ place: event.place, entry, size }], { limits, seenAt }).place;
      }
    }
  } catch (reason) {
    drop();
    throw reason;
  }
}

function imageOf(enclosed: Enclosed, what: string): Enclosed {
  if (enclosed.kind !== "image") throw new Unreadable(`${what} of the log is no image`);
  return enclosed;
}

function remove(path: string): void {
  for (const end of ["", "-wal", "-shm"]) rmSync(`${path}${end}`, { force: true });
}
