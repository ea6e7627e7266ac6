/** Writing entries down, with their place: the same way on every node, into the database that is served from and into one that is being made. */
import type { AuditMark, AuditRecord } from "../../lib/audit.ts";
import { WeftError } from "../../lib/errors.ts";
import type { Place } from "../shared/log.ts";
import { readMarks } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import { type StoredPlace, writePlace } from "../sqlite/place.ts";
import { Diverged, type Limits, writeDown } from "../sqlite/write.ts";
import type { Entry } from "./entry.ts";

export interface PlacedEntry {
  readonly place: Place;
  readonly entry: Entry;
  /** As it stands in the log, in bytes. */
  readonly size: number;
}

/** An entry of another log than the one that the database follows. */
export class OtherLog extends WeftError {
  constructor(engine: string) {
    super("unavailable", `the log in ${engine} is another one than this database has followed`, {
      help: "give --store the engine and prefix that it had before; or, to join the other log, start with an empty data directory",
    });
    this.name = "OtherLog";
  }
}

/**
 * In one transaction.
 * @returns the new place, and what each write of each entry left in the audit
 * @throws Diverged, OtherLog; WeftError "unavailable" (full disk, ...): nothing was written
 */
export function takeEntries(
  db: Connection,
  before: StoredPlace,
  entries: readonly PlacedEntry[],
  { limits, seenAt }: { readonly limits: Limits; readonly seenAt: string },
): { readonly place: StoredPlace; readonly records: readonly (readonly (AuditRecord | undefined)[])[] } {
  return db.write(() => {
    let place = before;
    const records = entries.map((one) => {
      const left = one.entry.writes.map((write) => writeDown(db, write, limits));
      place = after(place, one, seenAt);
      const { head } = readMarks(db);
      if (!sameMark(head, one.entry.head))
        throw new Diverged(`after entry ${one.place.sequence} the audit ends otherwise than on the node that made it`);
      return left;
    });
    writePlace(db, place);
    return { place, records };
  });
}

function after(before: StoredPlace, { place, entry, size }: PlacedEntry, seenAt: string): StoredPlace {
  if (place.sequence !== before.sequence + 1) {
    throw new WeftError("internal", `the log gave entry ${place.sequence} after entry ${before.sequence}`);
  }
  if (before.log !== "" && entry.log !== before.log) throw new OtherLog(before.engine);
  return {
    engine: before.engine,
    log: entry.log,
    sequence: place.sequence,
    entry: place.id,
    bytes: before.bytes + size,
    snapshot: entry.snapshot.sequence > before.snapshot.sequence ? entry.snapshot : before.snapshot,
    seenAt,
  };
}

export function sameMark(a: AuditMark, b: AuditMark): boolean {
  return a.sequence === b.sequence && a.hash === b.hash;
}
