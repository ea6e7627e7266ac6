/**
 * Whether a process is an Envoy, by the kernel's word on what it runs and not by what it says of itself: a proxy acts for whoever calls it, so that
 * it may open a door is no proof of who wants in. Linux only, by proc(5).
 */
import type { Stats } from "node:fs";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { errnoOf } from "./errors.ts";

/**
 * "N5Envoy6Server", of the names that C++ gives the classes of Envoy::Server for its run-time type information: in every build of Envoy, stripped or
 * not, whatever the file is called. Written like this so that it is not in weft's own executable.
 */
const MARK = Buffer.from("4e35456e766f7936536572766572", "hex");
const CHUNK_BYTES = 1024 * 1024;
/** Programs that were looked through. */
const MOST_KNOWN = 64;

const known = new Map<string, Promise<boolean>>();

/**
 * False also of a process that is gone. Where its program may not be read (root's, or one with capabilities) its name decides.
 * @throws where it cannot be told, as this process has no descriptor left, say
 */
export async function isEnvoy(pid: number): Promise<boolean> {
  let program: FileHandle;
  try {
    // Also where the file was replaced or deleted since.
    program = await open(`/proc/${pid}/exe`);
  } catch (reason) {
    if (isHidden(reason)) return await isNamedEnvoy(pid);
    if (isGone(reason)) return false;
    throw reason;
  }
  try {
    const key = keyOf(await program.stat());
    // This program's other runs are who asks most, and 100 MiB to look through.
    return key !== (await own) && (await remembered(key, () => hasMark(program)));
  } finally {
    await program.close();
  }
}

const keyOf = ({ dev, ino, size, mtimeMs }: Stats): string => `${dev} ${ino} ${size} ${mtimeMs}`;
const own = stat("/proc/self/exe").then(keyOf, () => "");

const isGone = (reason: unknown) => ["ENOENT", "ESRCH"].includes(errnoOf(reason) ?? "");
const isHidden = (reason: unknown) => ["EACCES", "EPERM"].includes(errnoOf(reason) ?? "");

/** Of a program that was asked about by several at once it is looked through once. */
async function remembered(key: string, look: () => Promise<boolean>): Promise<boolean> {
  const answer = known.get(key) ?? look();
  known.delete(key);
  known.set(key, answer);
  for (const oldest of known.keys()) if (known.size > MOST_KNOWN) known.delete(oldest);
  try {
    return await answer;
  } catch (reason) {
    known.delete(key);
    throw reason;
  }
}

async function hasMark(program: FileHandle): Promise<boolean> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  // Of the chunk before stays what may be the beginning of the mark.
  let kept = 0;
  for (let position = 0; ; ) {
    const { bytesRead } = await program.read(buffer, kept, CHUNK_BYTES - kept, position);
    if (bytesRead === 0) return false;
    const held = buffer.subarray(0, kept + bytesRead);
    if (held.includes(MARK)) return true;
    position += bytesRead;
    kept = Math.min(MARK.length - 1, held.length);
    held.copy(buffer, 0, held.length - kept);
  }
}

async function isNamedEnvoy(pid: number): Promise<boolean> {
  for (const file of ["comm", "cmdline"]) {
    try {
      const [name = ""] = (await readFile(`/proc/${pid}/${file}`, "utf8")).split("\0");
      if (/envoy/i.test(name)) return true;
    } catch (reason) {
      if (!isGone(reason)) throw reason;
    }
  }
  return false;
}
