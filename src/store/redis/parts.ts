/** Large contents, in parts under keys of their own, which are there before anything names them. */
import type { Connection } from "./connection.ts";
import { partKeys } from "./keys.ts";

/** Redis answers nobody else while it moves one value; a part takes it about a millisecond. */
const PART_BYTES = 1024 * 1024;
/** What a writer that died has staged goes by itself. */
const STAGED_MS = 60 * 60_000;
const PART_LIMIT_MS = 15_000;

/** @returns the keys of the parts */
export async function stage(connection: Connection, prefix: string, bytes: Uint8Array): Promise<string[]> {
  const keys = partKeys(prefix, Math.max(1, Math.ceil(bytes.length / PART_BYTES)));
  for (const [index, key] of keys.entries()) {
    await connection.setBytes(key, bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES), STAGED_MS, PART_LIMIT_MS);
  }
  return keys;
}

/** @returns undefined where one of them is not there */
export async function collect(connection: Connection, prefix: string, parts: number): Promise<Uint8Array | undefined> {
  const found: Uint8Array[] = [];
  for (const key of partKeys(prefix, parts)) {
    const part = await connection.getBytes(key, PART_LIMIT_MS);
    if (part === null) return undefined;
    found.push(part);
  }
  const only = found[0];
  return found.length === 1 && only !== undefined ? only : Buffer.concat(found);
}
