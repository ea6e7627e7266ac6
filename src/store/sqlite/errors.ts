import { SQLiteError } from "bun:sqlite";
import { WeftError } from "../../lib/errors.ts";

/** What to say and what to do, by SQLite's primary result code. https://www.sqlite.org/rescode.html */
const MEANING: readonly (readonly [code: string, message: string, help: string])[] = [
  ["SQLITE_FULL", "the disk is full", "free some space; weft goes on by itself then"],
  ["SQLITE_READONLY", "it is read-only", "make the file and its directory writable for the user that weft runs as"],
  ["SQLITE_CORRUPT", "it is damaged", "stop weft and restore the file from a backup, or move it away and apply the resources again"],
  ["SQLITE_NOTADB", "it is not a database", "restore the file from a backup, or move it away and apply the resources again"],
  ["SQLITE_BUSY", "another process holds it locked", "end the other process that has the file open"],
  ["SQLITE_LOCKED", "another process holds it locked", "end the other process that has the file open"],
  ["SQLITE_CANTOPEN", "it cannot be opened", "check that its directory exists and that the user that weft runs as may write there"],
  ["SQLITE_PERM", "permission denied", "make the file and its directory writable for the user that weft runs as"],
  ["SQLITE_AUTH", "permission denied", "make the file and its directory writable for the user that weft runs as"],
  ["SQLITE_IOERR", "the disk reports an error", "look at the system's log for the disk, and check that it is not full"],
  ["SQLITE_NOMEM", "memory ran out", "give the process more memory"],
];

/** Anything that SQLite threw about the database at `path`, as a WeftError that names the file and the mend. */
export function sqliteProblem(path: string, reason: unknown): WeftError {
  if (!(reason instanceof SQLiteError)) return WeftError.from(reason);
  const code = reason.code ?? "";
  if (code.startsWith("SQLITE_TOOBIG")) {
    return new WeftError("too_large", `store ${path}: a document is larger than SQLite can hold`, { cause: reason });
  }
  const meaning = MEANING.find(([prefix]) => code.startsWith(prefix));
  if (meaning === undefined) return new WeftError("internal", `store ${path}: ${reason.message} (${code})`, { cause: reason });
  const [, message, help] = meaning;
  return new WeftError("unavailable", `store ${path}: ${message} (${code})`, { help, cause: reason });
}

/** Damage that weft found by itself: SQLite's own checks do not cover the text of a document. */
export function damaged(path: string, what: string): WeftError {
  return new WeftError("unavailable", `store ${path}: it is damaged: ${what}`, {
    help: "stop weft and restore the file from a backup, or move it away and apply the resources again",
  });
}
