/** The key under which Secrets lie in the store: who can read the data directory can read them, who has a copy of the store alone cannot. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { SEAL_KEY_BYTES } from "./constants.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { readSecret, writeAtomically } from "./secret-file.ts";

/** Reads DIR/secrets.key, making it at the first start. @throws WeftError "unavailable" naming the file and its mend. */
export async function openSealKey({ dir, disk = nodeDisk }: { readonly dir: string; readonly disk?: Disk }): Promise<Uint8Array> {
  const path = join(dir, "secrets.key");
  const text = (await readSecret(disk, path, "the key of stored Secrets"))?.trim() ?? (await create(disk, path));
  const key = Buffer.from(text, "base64url");
  if (key.length !== SEAL_KEY_BYTES) {
    throw new WeftError("unavailable", `${path} does not hold the key of stored Secrets`, {
      help: `put the right file back; or rm ${path}, restart weft, and apply all Secrets again`,
    });
  }
  return key;
}

async function create(disk: Disk, path: string): Promise<string> {
  const text = randomBytes(SEAL_KEY_BYTES).toString("base64url");
  await writeAtomically(disk, path, `${text}\n`, 0o600);
  return text;
}
