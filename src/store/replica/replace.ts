/**
 * Brings the database that is served from to what another one holds: the differences alone, rows that are gone there deleted, in one transaction, so
 * that nobody ever sees a half of it and what did not change stays as it is.
 */
import { type AuditMark, GENESIS } from "../../lib/audit.ts";
import { idKey, type LogRow } from "../plan.ts";
import { insertAudit, readAudit, readMarks, writeMarks } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import { type StoredPlace, writePlace } from "../sqlite/place.ts";
import {
  dropHistory,
  readChecksum,
  readHistory,
  readMarksOfRows,
  readMeta,
  readNextRevision,
  readResource,
  removeResource,
  writeLog,
  writeMeta,
  writeResource,
} from "../sqlite/rows.ts";
import type { ResourceId } from "../store.ts";
import { sameMark } from "./take.ts";

const ROWS_IN_A_TURN = 500;

export interface Differences {
  readonly written: readonly ResourceId[];
  readonly removed: readonly ResourceId[];
}

/** Read in turns: nothing may be written to either database meanwhile. */
export async function findDifferences(here: Connection, there: Connection): Promise<Differences> {
  const written = await filterRows(there, (row) => readChecksum(here, row) !== row.checksum);
  const removed = await filterRows(here, (row) => readChecksum(there, row) === undefined);
  return { written, removed };
}

async function filterRows(
  db: Connection,
  wanted: (row: ResourceId & { readonly checksum: string }) => boolean,
): Promise<readonly ResourceId[]> {
  const found: ResourceId[] = [];
  let after: ResourceId | undefined;
  do {
    const rows = readMarksOfRows(db, after, ROWS_IN_A_TURN);
    found.push(...rows.filter(wanted));
    after = rows.at(-1);
    await new Promise<void>((resolve) => setImmediate(resolve));
  } while (after);
  return found;
}

/** How two databases' pasts go together. */
export interface Fork {
  /** The last record of the audit that both have; undefined where what is kept does not reach so far back. */
  readonly common?: AuditMark & { readonly revision: number };
  /** Whether there is something here that never was, or is no more, there. */
  readonly parted: boolean;
}

export function findFork(here: Connection, there: Connection): Fork {
  const [a, b] = [readMarks(here), readMarks(there)];
  let low = Math.max(a.anchor.sequence, b.anchor.sequence);
  let high = Math.min(a.head.sequence, b.head.sequence);
  const common = (sequence: number) => {
    const [one, two] = [markAt(here, a.anchor, sequence), markAt(there, b.anchor, sequence)];
    // The revision of a record that was dropped is not known.
    return one && two && sameMark(one, two) ? { ...one, revision: Math.max(one.revision, two.revision) } : undefined;
  };
  // What lies between the ends is unknown: it went on there, or was cut off.
  if (low > high) return { parted: b.head.sequence < a.head.sequence };
  if (!common(low)) return { parted: true };
  // Equal hashes are equal pasts: each holds the one before.
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (common(middle)) low = middle;
    else high = middle - 1;
  }
  const found = common(low);
  return { ...(found && { common: found }), parted: low < a.head.sequence };
}

function markAt(db: Connection, anchor: AuditMark, sequence: number): (AuditMark & { readonly revision: number }) | undefined {
  if (sequence === GENESIS.sequence) return { ...GENESIS, revision: 0 };
  if (sequence === anchor.sequence) return { ...anchor, revision: 0 };
  return readAudit(db, { after: sequence - 1, limit: 1 }).records[0];
}

/** The last change of each resource after `revision`. */
export function changesAfter(db: Connection, revision: number): readonly LogRow[] {
  const last = new Map<string, LogRow>();
  for (const log of readHistory(db, { since: revision }).toReversed()) last.set(idKey(log.row), log);
  return [...last.values()];
}

/**
 * Within one transaction of `here`, or several where nobody reads it yet, in steps: the last writes its place.
 * @param place of `there`
 * @returns whether the history leads from what was here to what is now
 */
export function* replaceBy(
  here: Connection,
  there: Connection,
  { place, differences, fork }: { readonly place: StoredPlace; readonly differences: Differences; readonly fork: Fork },
): Generator<void, boolean> {
  for (const id of differences.removed) {
    removeResource(here, id);
    yield;
  }
  for (const id of differences.written) {
    const row = readResource(there, id);
    if (row) writeResource(here, row);
    yield;
  }
  here.run("DELETE FROM private");
  for (const row of there.all<Record<"collection" | "id" | "value", string>>("SELECT collection, id, value FROM private")) {
    here.run("INSERT INTO private VALUES ($collection, $id, $value)", row);
    yield;
  }
  yield* replaceAudit(here, there, fork);
  const leads = yield* replaceHistory(here, there, fork);
  writePlace(here, place);
  return leads;
}

function* replaceAudit(here: Connection, there: Connection, { common }: Fork): Generator<void, void> {
  const { head, anchor } = readMarks(there);
  const from = common?.sequence ?? anchor.sequence;
  here.run(common ? "DELETE FROM audit WHERE sequence > $from" : "DELETE FROM audit WHERE $from >= 0", { from });
  for (let last = from; last < head.sequence; ) {
    const { records } = readAudit(there, { after: last, limit: ROWS_IN_A_TURN });
    for (const record of records) {
      insertAudit(here, record);
      yield;
    }
    last = records.at(-1)?.sequence ?? head.sequence;
  }
  writeMarks(here, { head, anchor: common ? readMarks(here).anchor : anchor });
}

function* replaceHistory(here: Connection, there: Connection, { common, parted }: Fork): Generator<void, boolean> {
  const [old, target] = [readMeta(here), readMeta(there)];
  // What both have is kept where what comes after it is there without a gap.
  const until = parted ? (common?.revision ?? 0) : old.revision;
  const kept = until >= target.compacted && until >= old.compacted;
  if (kept) here.run("DELETE FROM history WHERE revision > $until", { until });
  else dropHistory(here, old.revision);
  const compacted = kept ? old.compacted : target.compacted;
  for (let last = Math.max(kept ? until : 0, compacted); last < target.revision; ) {
    const rows = readNextRevision(there, last);
    for (const row of rows) {
      writeLog(here, row);
      yield;
    }
    last = rows[0]?.revision ?? target.revision;
  }
  const bytes = here.get<{ bytes: number }>("SELECT coalesce(sum(bytes), 0) AS bytes FROM history")?.bytes ?? 0;
  writeMeta(here, { revision: target.revision, compacted, historyBytes: bytes });
  return kept && !parted;
}
