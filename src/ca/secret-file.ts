/** Files that hold a secret: made in one step, and refused when others can read them. */
import { dirname } from "node:path";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { Disk } from "./disk.ts";

const GROUP_OR_OTHERS = 0o077;
const GROUP_READS = 0o040;
const OWNER_READS = 0o400;

/**
 * The text of the secret file at `path`, or undefined where there is none. `what` names it in errors: "the CA's key". `groupMayRead` is for
 * systemd's credentials: it lets a service's user in by an access control list, whose mask stands where the group's bits do.
 * @throws WeftError "unavailable": not readable, or readable by others than its owner; the help is the command that mends it.
 */
export async function readSecret(disk: Disk, path: string, what: string, groupMayRead = false): Promise<string | undefined> {
  const mode = await attempt(path, what, () => disk.mode(path));
  if (mode === undefined) return undefined;
  if ((mode & (groupMayRead ? GROUP_OR_OTHERS & ~GROUP_READS : GROUP_OR_OTHERS)) !== 0) {
    throw new WeftError("unavailable", `${what} ${path} has mode ${octal(mode)}: users other than its owner have access to it`, {
      help: `if nobody can have read it: chmod 600 ${path}; else replace it`,
    });
  }
  // Root reads it all the same, but another start of weft, as the user it belongs to, would not.
  if ((mode & OWNER_READS) === 0) {
    throw new WeftError("unavailable", `${what} ${path} has mode ${octal(mode)}: its owner cannot read it`, { help: `chmod 600 ${path}` });
  }
  return await attempt(path, what, () => disk.read(path));
}

/** As readSecret, for a file that anyone may read. */
export async function readPublic(disk: Disk, path: string, what: string): Promise<string | undefined> {
  return await attempt(path, what, () => disk.read(path));
}

/** Makes the file at `path` appear whole or not at all, on disk when this resolves. @throws WeftError "unavailable" */
export async function writeAtomically(disk: Disk, path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await disk.makeDirectory(dirname(path));
    await disk.writeSynced(temporary, text, mode);
    await disk.rename(temporary, path);
    await disk.syncDirectory(dirname(path));
  } catch (reason) {
    throw new WeftError("unavailable", `cannot write ${path}: ${messageOf(reason)}`, {
      help: "the data directory must be writable for the user that runs weft, and have room",
      cause: reason,
    });
  }
}

async function attempt<T>(path: string, what: string, action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (reason) {
    if (errnoOf(reason) === "ENOENT") return undefined;
    throw new WeftError("unavailable", `cannot read ${what} ${path}: ${messageOf(reason)}`, {
      help: `make it readable for the user that runs weft: chown it, and chmod 600 ${path}`,
      cause: reason,
    });
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
