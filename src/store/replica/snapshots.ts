/** When the log gets a new snapshot, and making one. */
import type { SharedLog } from "../shared/log.ts";
import type { SnapshotMark, StoredPlace } from "../sqlite/place.ts";
import { makeImage } from "./image.ts";

/** Less is replayed in the time that a fresh node takes to start anyway: a second or so. */
const FEW_ENTRIES = 1_000;
/** Replayed in some ten seconds. */
const MOST_ENTRIES = 20_000;
/** As much as engines hold easily, however few the entries. */
const MUCH_BYTES = 16 * 1024 * 1024;

/**
 * As soon as the entries are as large as the snapshot before them: then writing snapshots at most doubles what is written, and a fresh node reads
 * at most twice what there is. A small mesh has one every FEW_ENTRIES; where the snapshot is large and the changes are small, MOST_ENTRIES bounds how long a start takes.
 */
export function isSnapshotDue({ sequence, bytes, snapshot }: StoredPlace): boolean {
  const [entries, size] = [sequence - snapshot.sequence, bytes - snapshot.bytes];
  return entries >= MOST_ENTRIES || (size >= snapshot.size && (entries >= FEW_ENTRIES || size >= MUCH_BYTES));
}

/** @returns the mark of what was put. @throws WeftError "unavailable" */
export async function putSnapshot(log: SharedLog, path: string, before: SnapshotMark): Promise<SnapshotMark> {
  const { sequence, id, logBytes, bytes } = await makeImage(path);
  // The entries since the snapshot before stay: who was away for a while goes on from them.
  await log.putSnapshot({ place: { sequence, id }, bytes }, before.sequence);
  return { sequence, bytes: logBytes, size: bytes.length };
}
