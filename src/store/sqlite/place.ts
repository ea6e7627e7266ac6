/** Where in a shared log the database stands, committed with what it took from there. */
import { GENESIS } from "../../lib/audit.ts";
import { writeMarks } from "./audit.ts";
import type { Connection } from "./connection.ts";
import { writeMeta } from "./rows.ts";

export interface StoredPlace {
  /** SharedLog.name, for people. */
  readonly engine: string;
  /** UUID of the log itself, made with its first entry; "" while it has none. */
  readonly log: string;
  readonly sequence: number;
  /** Place.id. */
  readonly entry: string;
  /** Of all entries until here. */
  readonly bytes: number;
  readonly snapshot: SnapshotMark;
  /** When the engine was last known to have nothing more: RFC 3339. */
  readonly seenAt: string;
}

/** The newest snapshot that is known of. */
export interface SnapshotMark {
  readonly sequence: number;
  /** StoredPlace.bytes there. */
  readonly bytes: number;
  /** Of the snapshot itself, in bytes. */
  readonly size: number;
}

interface Row extends Omit<StoredPlace, "snapshot"> {
  readonly snapshotSequence: number;
  readonly snapshotBytes: number;
  readonly snapshotSize: number;
}

export function readPlace(connection: Connection): StoredPlace | undefined {
  const row = connection.get<Row>(`SELECT engine, log, sequence, entry, bytes, snapshot_sequence AS snapshotSequence,
    snapshot_bytes AS snapshotBytes, snapshot_size AS snapshotSize, seen_at AS seenAt FROM place WHERE id = 1`);
  if (!row) return undefined;
  const { snapshotSequence: sequence, snapshotBytes: bytes, snapshotSize: size, ...place } = row;
  return { ...place, snapshot: { sequence, bytes, size } };
}

/** Within a transaction that writes. */
export function writePlace(connection: Connection, { snapshot, ...place }: StoredPlace): void {
  connection.run(
    `INSERT OR REPLACE INTO place VALUES
       (1, $engine, $log, $sequence, $entry, $bytes, $snapshotSequence, $snapshotBytes, $snapshotSize, $seenAt)`,
    { ...place, snapshotSequence: snapshot.sequence, snapshotBytes: snapshot.bytes, snapshotSize: snapshot.size },
  );
}

/** The sequence of a database that is being filled for the first time, in several transactions: what is in it is a part of something. */
const FILLING = -1;

/** Notes that an empty database is being filled; the last transaction of that writes its place. */
export function writeFilling(connection: Connection, place: StoredPlace): void {
  connection.write(() => writePlace(connection, { ...place, sequence: FILLING }));
}

/** Empties a database whose filling was cut short. */
export function dropUnfinished(connection: Connection): void {
  if (readPlace(connection)?.sequence !== FILLING) return;
  connection.write(() => {
    for (const table of ["resources", "history", "audit", "private", "place"]) connection.run(`DELETE FROM ${table}`);
    writeMeta(connection, { revision: 0, compacted: 0, historyBytes: 0 });
    writeMarks(connection, { head: GENESIS, anchor: GENESIS });
  });
}

export function removePlace(connection: Connection): void {
  connection.run("DELETE FROM place");
}
