/** Opening a database: every way in which a file may turn out not to be one of ours, or not to be whole, is found here. */
import { Database } from "bun:sqlite";
import { accessSync, chmodSync, closeSync, constants, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf, WeftError } from "../../lib/errors.ts";
import type { StoredRow } from "../plan.ts";
import { Connection } from "./connection.ts";
import { damaged, sqliteProblem } from "./errors.ts";
import { checkFreeSpace } from "./health.ts";
import { APPLICATION_ID, MIGRATIONS } from "./migrations/index.ts";
import { readDataVersion, verifyResources } from "./rows.ts";

/**
 * SQLite's own wait blocks the whole process, for the call is synchronous. weft is the only writer; this covers a backup or a shell that
 * holds the lock for a moment.
 */
const BUSY_TIMEOUT_MS = 1_000;

/**
 * The write-ahead log is carried over into the database after so many pages of 4 KiB, four times SQLite's default: the write that does it
 * waits for it, and pages that were written several times meanwhile are carried over once.
 */
const WAL_PAGES = 4_000;

/** What WAL_PAGES need: after one large apply the log is cut back to this. */
const WAL_LIMIT_BYTES = 16 * 1024 * 1024;

/** All resources, as they were found good at opening. */
export interface Verified {
  readonly rows: readonly StoredRow[];
  /** While it is the same, no other program has written to the file (readDataVersion). */
  readonly dataVersion: number;
}

/** @throws WeftError "unavailable" naming the file and the mend */
export function openConnection(path: string): { readonly connection: Connection; readonly verified: Verified } {
  prepareFile(path);
  // SQLite would call it an I/O error here, for even reading needs room for the -shm file.
  checkFreeSpace(path);
  let database: Database;
  try {
    database = new Database(path, { readwrite: true, create: true, strict: true });
  } catch (reason) {
    throw sqliteProblem(path, reason);
  }
  const connection = new Connection(path, database);
  try {
    connection.script(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    checkIsOurs(connection);
    connection.script("PRAGMA journal_mode = WAL");
    // FULL: a commit in WAL mode is synced before it is acknowledged. https://www.sqlite.org/pragma.html#pragma_synchronous
    connection.script("PRAGMA synchronous = FULL");
    connection.script("PRAGMA foreign_keys = ON");
    connection.script(`PRAGMA wal_autocheckpoint = ${WAL_PAGES}`);
    connection.script(`PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}`);
    checkIsWhole(connection);
    migrate(connection);
    const dataVersion = readDataVersion(connection);
    return { connection, verified: { rows: verifyResources(connection), dataVersion } };
  } catch (reason) {
    connection.close();
    throw reason;
  }
}

/** Makes the directory (0700) and the file (0600, which SQLite's -wal and -shm files take over) where they are missing. */
function prepareFile(path: string): void {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const existing = statSync(path, { throwIfNoEntry: false });
    if (existing?.isDirectory()) {
      throw new WeftError("unavailable", `store ${path}: it is a directory`, { help: "give the path of a file, or of the data directory" });
    }
    accessSync(directory, constants.W_OK | constants.X_OK);
    // An existing file is not opened here: closing it would drop the locks that another connection of this process has on it.
    if (existing) accessSync(path, constants.R_OK | constants.W_OK);
    else closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600));
    if (existing && (existing.mode & 0o077) !== 0) chmodSync(path, 0o600);
  } catch (reason) {
    if (reason instanceof WeftError) throw reason;
    throw fileProblem(path, directory, reason);
  }
}

function fileProblem(path: string, directory: string, reason: unknown): WeftError {
  const code = errnoOf(reason);
  const user = `the user that weft runs as (uid ${process.getuid?.() ?? "?"})`;
  if (code === "EROFS") {
    const help = "mount it writable, or choose another data directory with --data";
    return new WeftError("unavailable", `store ${path}: ${directory} is on a read-only file system`, { help, cause: reason });
  }
  if (code === "EACCES" || code === "EPERM") {
    const help = `make ${directory} and the file writable for ${user}, or choose another data directory with --data`;
    return new WeftError("unavailable", `store ${path}: permission denied: it cannot be written by ${user}`, { help, cause: reason });
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new WeftError("unavailable", `store ${path}: the disk is full`, { help: "free some space", cause: reason });
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    const help = "choose another data directory with --data";
    return new WeftError("unavailable", `store ${path}: a part of ${directory} is a file, not a directory`, { help, cause: reason });
  }
  const message = reason instanceof Error ? reason.message : String(reason);
  return new WeftError("unavailable", `store ${path}: ${message}`, { cause: reason });
}

/** Before the first write: another program's database, or one that a newer weft wrote, must stay as it is. */
function checkIsOurs(connection: Connection): void {
  const { path } = connection;
  const applicationId = pragma(connection, "application_id");
  const version = pragma(connection, "user_version");
  const tables = connection.get<{ count: number }>("SELECT count(*) AS count FROM sqlite_schema")?.count ?? 0;
  if (tables > 0 && applicationId !== APPLICATION_ID) {
    throw new WeftError("unavailable", `store ${path}: it is another program's database (application_id ${applicationId})`, {
      help: "choose another data directory with --data",
    });
  }
  if (version > MIGRATIONS.length) {
    throw new WeftError(
      "unavailable",
      `store ${path}: it has schema version ${version}, written by a newer weft; this one knows up to ${MIGRATIONS.length}`,
      { help: "run the newer weft again, or restore a backup from before the upgrade; nothing was changed" },
    );
  }
  if (tables > 0 && version === 0) throw damaged(path, "it has tables, but no schema version");
}

function checkIsWhole(connection: Connection): void {
  const findings = connection.all<{ quick_check: string }>("PRAGMA quick_check(3)").map((row) => row.quick_check);
  if (findings.length !== 1 || findings[0] !== "ok") throw damaged(connection.path, findings.join("; "));
}

/** One transaction: after a crash the database has the old version or the new one. */
function migrate(connection: Connection): void {
  const version = pragma(connection, "user_version");
  if (version === MIGRATIONS.length) return;
  connection.write(() => {
    for (const step of MIGRATIONS.slice(version)) connection.script(step);
    connection.script(`PRAGMA application_id = ${APPLICATION_ID}`);
    connection.script(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
}

function pragma(connection: Connection, name: "application_id" | "user_version"): number {
  return connection.get<Record<string, number>>(`PRAGMA ${name}`)?.[name] ?? 0;
}
