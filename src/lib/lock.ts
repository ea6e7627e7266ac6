/**
 * One weft to a data directory. The lock is SQLite's write lock on a small database of its own: the kernel drops it when the process ends,
 * however it ends, and no child inherits it (POSIX record locks, https://www.sqlite.org/lockingv3.html), so an Envoy that outlives weft
 * does not keep it. Nothing else in the process may open DATA/lock.db: closing any descriptor of it would drop the lock.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, WeftError } from "./errors.ts";

/** A Database that is collected closes its file: what is held must be reachable. */
const held = new Set<Database>();

/**
 * Makes `directory` (0700) where it is missing and locks it until the returned function is called or the process ends. DATA/weft.pid
 * says who holds it.
 * @throws WeftError "conflict" naming the directory and the process that holds it; "unavailable" where the directory cannot be written
 */
export async function lockDirectory(directory: string): Promise<() => void> {
  const pidFile = join(directory, "weft.pid");
  let database: Database | undefined;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const lockFile = join(directory, "lock.db");
    database = new Database(lockFile, { readwrite: true, create: true });
    chmodSync(lockFile, 0o600);
    database.run("BEGIN IMMEDIATE");
  } catch (reason) {
    database?.close();
    throw lockProblem(directory, pidFile, reason);
  }
  const locked = database;
  held.add(locked);
  writePid(pidFile);
  return () => {
    if (!held.delete(locked)) return;
    rmSync(pidFile, { force: true });
    locked.close();
  };
}

/** Best effort: the lock holds without it, and only the message for a second process is poorer. */
function writePid(pidFile: string): void {
  try {
    rmSync(pidFile, { force: true });
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  } catch {}
}

function lockProblem(directory: string, pidFile: string, reason: unknown): WeftError {
  if (reason instanceof SQLiteError && reason.code?.startsWith("SQLITE_BUSY")) {
    const pid = readPid(pidFile);
    const holder = pid === undefined ? "another process" : `process ${pid}`;
    return new WeftError("conflict", `another weft runs on ${directory} already (${holder})`, {
      help: "stop it first, or choose another data directory with --data",
      cause: reason,
    });
  }
  const message = reason instanceof Error ? reason.message : String(reason);
  const full = errnoOf(reason) === "ENOSPC" || (reason instanceof SQLiteError && reason.code === "SQLITE_FULL");
  return new WeftError("unavailable", `data directory ${directory} cannot be used: ${message}`, {
    help: full
      ? "free some space on its disk"
      : `make it a directory that uid ${process.getuid?.() ?? "?"} may write, or choose another one with --data`,
    cause: reason,
  });
}

function readPid(pidFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, "utf8").trim());
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
