/** Where the log does not go on from a database's place: brings the database to what the log holds now, from its snapshot. */
import type { SharedLog } from "../shared/log.ts";
import { readAudit } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import type { StoredPlace } from "../sqlite/place.ts";
import type { Limits } from "../sqlite/write.ts";
import { isEmpty } from "./carry-over.ts";
import { writeLostChanges } from "./lost-changes.ts";
import { changesAfter, type Fork, findDifferences, findFork, replaceBy } from "./replace.ts";
import { type Staged, stageLog } from "./stage.ts";
import { OtherLog } from "./take.ts";

export interface ResyncOptions {
  readonly db: Connection;
  readonly place: StoredPlace;
  readonly limits: Limits;
  /** RFC 3339. */
  readonly at: string;
  readonly signal: AbortSignal;
}

export interface Resynced {
  readonly place: StoredPlace;
  /** Whether the history leads from what was there to what is now; else whoever watches must list again. */
  readonly leads: boolean;
  /** Collections of private records, before and now. */
  readonly collections: readonly string[];
}

/** Records of the audit that are named where they were lost. */
const MOST_LOST_RECORDS = 10_000;

/**
 * The database is written to in a turn of its own (LocalRows.replaced), and not at all where it is there already.
 * @returns undefined where the log is empty: nothing was done then
 * @throws OtherLog; Unreadable, Diverged; WeftError "unavailable": nothing was changed
 */
export async function resync(log: SharedLog, options: ResyncOptions): Promise<Resynced | undefined> {
  const { db, limits, at, signal } = options;
  const staged = await stageLog(log, `${db.path}.resync`, { limits, seenAt: at, signal });
  try {
    const { place } = staged;
    if (place.sequence === 0) return undefined;
    if (options.place.log !== "" && place.log !== options.place.log) throw new OtherLog(log.name);
    const differences = await findDifferences(db, staged.db);
    await new Promise<void>((resolve) => setImmediate(resolve));
    const fork = findFork(db, staged.db);
    if (fork.parted) keepLost(log, db, fork, at);
    const before = collectionsOf(db);
    const steps = replaceBy(db, staged.db, { place, differences, fork });
    // A node that begins has everything to write, and nobody who reads it yet.
    const leads = isEmpty(db) ? await db.writeInTurns(steps) : db.write(() => atOnce(steps));
    return { place, leads, collections: [...new Set([...before, ...collectionsOf(staged.db)])] };
  } finally {
    staged.drop();
  }
}

function atOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

function keepLost(log: SharedLog, db: Staged["db"], { common }: Fork, at: string): void {
  const rows = changesAfter(db, common?.revision ?? 0);
  const { records } = readAudit(db, { after: common?.sequence ?? 0, limit: MOST_LOST_RECORDS });
  writeLostChanges(db.path, { rows, records }, { engine: log.name, at });
}

function collectionsOf(db: Connection): readonly string[] {
  return db.all<{ collection: string }>("SELECT DISTINCT collection FROM private").map(({ collection }) => collection);
}
