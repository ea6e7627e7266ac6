/** Proof that a write would be accepted, by a write. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { WeftError } from "../../lib/errors.ts";
import type { Connection } from "./connection.ts";

/** A document of ordinary size: what a check writes must cost what an apply costs, or it would pass where applies fail. */
const PADDING_BYTES = 16 * 1024;

/** Less than this, and the next apply or checkpoint may be the one that fails. */
const LEAST_FREE_BYTES = 64 * 1024;

/**
 * Writes a new row and only then drops the one before, so that it needs free pages of its own; it is synced as an apply is. Even that may
 * succeed on a full disk, in the part of the write-ahead log that a checkpoint has given back: therefore the file system's own count
 * is asked first.
 * @param at RFC 3339
 * @throws WeftError "unavailable"
 */
export function checkWritable(connection: Connection, at: string): void {
  checkFreeSpace(connection.path);
  connection.write(() => {
    const before = connection.get<{ id: number | null }>("SELECT max(id) AS id FROM health")?.id ?? 0;
    const id = before + 1;
    connection.run("INSERT INTO health VALUES ($id, $at, zeroblob($bytes))", { id, at, bytes: PADDING_BYTES });
    connection.run("DELETE FROM health WHERE id < $id", { id });
  });
}

/** @throws WeftError "unavailable" where the file system of the database at `path` has no room for a write */
export function checkFreeSpace(path: string): void {
  const { blocks, bfree, bavail, bsize } = statfsSync(dirname(path));
  // Some network and user-space file systems count nothing: then only the write can tell.
  if (blocks === 0) return;
  const free = (process.getuid?.() === 0 ? bfree : bavail) * bsize;
  if (free >= LEAST_FREE_BYTES) return;
  throw new WeftError("unavailable", `store ${path}: the disk is full (${free} bytes are left)`, {
    help: "free some space; weft goes on by itself then",
  });
}
