/** Beginning to follow a log with a database that holds something already: never so that one of the two is lost for the other. */
import { type Clock, sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import { type SharedLog, START } from "../shared/log.ts";
import { readMarks } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import { type StoredPlace, writePlace } from "../sqlite/place.ts";
import { readMeta } from "../sqlite/rows.ts";
import { type Deadline, firstOf } from "./deadline.ts";
import { makeImage } from "./image.ts";
import { placeAtStart } from "./stage.ts";

const ASK_AGAIN_MS = 250;

/** Whether nothing was ever written to it: every write but that of a source alone leaves a record. */
export function isEmpty(db: Connection): boolean {
  return readMeta(db).revision === 0 && readMarks(db).head.sequence === 0;
}

/** Whether the log has entries; undefined where the engine does not say so in time, and then `onTrouble` has heard why. */
export async function hasEntries(
  log: SharedLog,
  { clock, deadline, onTrouble }: { readonly clock: Clock; readonly deadline: Deadline; readonly onTrouble: (reason: string) => void },
): Promise<boolean | undefined> {
  while (!deadline.passed) {
    const abort = new AbortController();
    try {
      const first = await deadline.limit(firstOf(log.follow(START, abort.signal)));
      if (first !== "late" && first) return first.type !== "current" || first.head.sequence > 0;
    } catch (reason) {
      onTrouble(WeftError.from(reason).message);
      await sleep(clock, ASK_AGAIN_MS, deadline.signal);
    } finally {
      abort.abort();
    }
  }
  return undefined;
}

/**
 * Makes what the database holds the first entry of an empty log.
 * @returns its place
 * @throws WeftError "conflict" where another node was first; "unavailable"
 */
export async function carryOver(log: SharedLog, db: Connection, { before, at }: { before: StoredPlace; at: string }): Promise<StoredPlace> {
  const noted = { ...placeAtStart(log.name, at), log: before.log || crypto.randomUUID() };
  // Before the entry: after a crash in between it is known that one of this name is ours.
  db.write(() => writePlace(db, noted));
  const { bytes } = await makeImage(db.path);
  const id = crypto.randomUUID();
  if ((await log.append(START, { id, bytes })) === "behind") {
    throw new WeftError("conflict", `the log in ${log.name} is not empty any more: another node was first`, {
      help: "start this node again",
    });
  }
  const place = { ...noted, sequence: 1, entry: id, bytes: bytes.length };
  db.write(() => writePlace(db, place));
  return place;
}

export function ownResources(path: string, engine: string): WeftError {
  return new WeftError("conflict", `${path} holds resources of its own, and the log in ${engine} holds others: weft never mixes them`, {
    help: "start this node with an empty data directory; to keep what it holds, write it to a file before (weft get -o yaml) and apply that afterwards",
  });
}

export function emptyLog(path: string, engine: string, place: StoredPlace): WeftError {
  const followed = place.sequence > 0 ? `has followed ${place.engine} to entry ${place.sequence}` : "holds resources of its own";
  return new WeftError("conflict", `the log in ${engine} is empty, but ${path} ${followed}: weft takes neither for the other`, {
    help: "is it the right engine and prefix? If so, --carry-over fills the empty log with what this database holds",
  });
}
