/** SHA-256 of the program that a process runs, read once for each content. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { type FileIdentity, fileIdentity, type ProcessInfo, sameFile } from "../lib/process-info.ts";

/** Hashes that are remembered; the one that was not asked for longest is forgotten first. */
const MOST_HASHES = 1_000;
/** A file that changed this lately may change again within the same tick of its file system's clock, unseen: it is read each time. */
const SETTLED_MS = 5_000;
const CHUNK_BYTES = 1024 * 1024;

/** Undefined where the file cannot be read, or is not the one that the process ran when it was looked at. */
export function executableHashes(clock: Clock): (process: ProcessInfo) => Promise<string | undefined> {
  const known = new Map<string, Promise<string | undefined>>();
  return ({ pid, executable }) => {
    const key = keyOf(executable);
    const found = known.get(key);
    known.delete(key);
    const hash = found ?? hashFile(pid, executable);
    const settled = clock.now() - Number(executable.changedNs / 1_000_000n) > SETTLED_MS;
    if (settled) {
      known.set(key, hash);
      void hash.then((value) => {
        if (value === undefined && known.get(key) === hash) known.delete(key);
      });
    }
    const [oldest] = known.keys();
    if (known.size > MOST_HASHES && oldest !== undefined) known.delete(oldest);
    return hash;
  };
}

const keyOf = ({ device, inode, size, modifiedNs, changedNs }: FileIdentity) => [device, inode, size, modifiedNs, changedNs].join();

/** Never rejects. */
async function hashFile(pid: number, expected: FileIdentity): Promise<string | undefined> {
  try {
    const file = await open(`/proc/${pid}/exe`);
    try {
      const identify = async () => fileIdentity(await file.stat({ bigint: true }));
      const before = await identify();
      if (!sameFile(before, expected)) return undefined;
      const hash = createHash("sha256");
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
      }
      return keyOf(await identify()) === keyOf(before) ? hash.digest("hex") : undefined;
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
