/** The key under which Secrets lie in the store: who can read the data directory can read them, who has a copy of the store alone cannot. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { SEAL_KEY_BYTES } from "./constants.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { readSecret, writeAtomically } from "./secret-file.ts";

const FILE = "secrets.key";
const WHAT = "the key of stored Secrets";

export interface SealKeyOptions {
  readonly dir: string;
  readonly disk?: Disk;
  /** The node joined a mesh, and got the key with that: another one would seal what nobody else can read. */
  readonly joined?: boolean;
}

/** Reads DIR/secrets.key, making it at the first start. @throws WeftError "unavailable" naming the file and its mend. */
export async function openSealKey({ dir, disk = nodeDisk, joined = false }: SealKeyOptions): Promise<Uint8Array> {
  const path = join(dir, FILE);
  const known = (await readSecret(disk, path, WHAT))?.trim();
  if (known === undefined && joined) {
    throw new WeftError("unavailable", `${path} is gone: it holds the key of stored Secrets, which all nodes of the mesh share`, {
      help: "put it back from a backup, or from another node of the mesh",
    });
  }
  const text = known ?? (await create(disk, path));
  const key = Buffer.from(text, "base64url");
  if (key.length !== SEAL_KEY_BYTES) {
    throw new WeftError("unavailable", `${path} does not hold the key of stored Secrets`, {
      help: `put the right file back; or rm ${path}, restart weft, and apply all Secrets again`,
    });
  }
  return key;
}

/**
 * Writes the key that the nodes of a mesh share, at joining: what one of them seals, all read.
 * @throws WeftError "conflict" where DIR has another one, "unavailable"
 */
export async function writeSealKey(dir: string, key: Uint8Array, disk: Disk = nodeDisk): Promise<void> {
  const path = join(dir, FILE);
  const text = Buffer.from(key).toString("base64url");
  const there = (await readSecret(disk, path, WHAT))?.trim();
  if (there !== undefined && there !== text) {
    throw new WeftError("conflict", `${path} holds another key than the mesh's: this data directory has Secrets of its own`, {
      help: "join with an empty data directory (--data DIR)",
    });
  }
  if (there === undefined) await writeAtomically(disk, path, `${text}\n`, 0o600);
}

async function create(disk: Disk, path: string): Promise<string> {
  const text = randomBytes(SEAL_KEY_BYTES).toString("base64url");
  await writeAtomically(disk, path, `${text}\n`, 0o600);
  return text;
}
