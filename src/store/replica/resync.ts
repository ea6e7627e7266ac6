/** Where the log does not go on from a database's place: brings the database to what the log holds now, from its snapshot. */
import type { Clock } from "../../lib/clock.ts";
import type { SharedLog } from "../shared/log.ts";
import { readAudit } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import { type StoredPlace, writeFilling } from "../sqlite/place.ts";
import type { Limits } from "../sqlite/write.ts";
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
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Whether the database is empty, and nobody reads it yet. */
  readonly unread: boolean;
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
  const { db, limits, at, clock, signal } = options;
  const staged = await stageLog(log, `${db.path}.resync`, { limits, seenAt: at, clock, signal });
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
    const leads = options.unread ? await inParts(db, steps, place) : db.write(() => advance(steps)?.value === true);
    return { place, leads, collections: [...new Set([...before, ...collectionsOf(staged.db)])] };
  } finally {
    staged.drop();
  }
}

/** Rows that are written in one turn of the event loop: some ten milliseconds. */
const ROWS_IN_A_TURN = 500;

/** In many transactions, so that none is large. */
async function inParts(db: Connection, steps: Generator<void, boolean>, place: StoredPlace): Promise<boolean> {
  writeFilling(db, place);
  for (;;) {
    const result = db.write(() => advance(steps, ROWS_IN_A_TURN));
    if (result) return result.value;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** What `steps` come to; undefined where they go on after `most`. */
function advance<T>(steps: Generator<void, T>, most = Number.POSITIVE_INFINITY): { readonly value: T } | undefined {
  for (let count = 0; count < most; count++) {
    const step = steps.next();
    if (step.done) return { value: step.value };
  }
  return undefined;
}

function keepLost(log: SharedLog, db: Staged["db"], { common }: Fork, at: string): void {
  const rows = changesAfter(db, common?.revision ?? 0);
  const { records } = readAudit(db, { after: common?.sequence ?? 0, limit: MOST_LOST_RECORDS });
  writeLostChanges(db.path, { rows, records }, { engine: log.name, at });
}

function collectionsOf(db: Connection): readonly string[] {
  return db.all<{ collection: string }>("SELECT DISTINCT collection FROM private").map(({ collection }) => collection);
}
