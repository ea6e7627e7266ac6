/** The bearer token of the admin API on TCP: whoever can read the data directory may administer weft. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { ADMIN_TOKEN_BYTES, ADMIN_TOKEN_PREFIX } from "./constants.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { readSecret, writeAtomically } from "./secret-file.ts";

export interface AdminToken {
  readonly token: string;
  /** In constant time, for any candidate. */
  matches(candidate: string): boolean;
}

const FORM = new RegExp(`^${ADMIN_TOKEN_PREFIX}[A-Za-z0-9_-]{43,}$`);

/** Reads DIR/admin.token, making it at the first start. @throws WeftError "unavailable" naming the file and its mend. */
export async function openAdminToken({ dir, disk = nodeDisk }: { readonly dir: string; readonly disk?: Disk }): Promise<AdminToken> {
  const path = join(dir, "admin.token");
  const token = (await readSecret(disk, path, "the admin token"))?.trim() ?? (await create(disk, path));
  if (!FORM.test(token)) {
    throw new WeftError("unavailable", `${path} does not hold an admin token`, { help: `rm ${path} and restart weft: it makes a new one` });
  }
  const expected = digest(token);
  // Digests have equal lengths, which timingSafeEqual needs, and tell nothing about the token's.
  return { token, matches: (candidate) => timingSafeEqual(digest(candidate), expected) };
}

async function create(disk: Disk, path: string): Promise<string> {
  const token = `${ADMIN_TOKEN_PREFIX}${randomBytes(ADMIN_TOKEN_BYTES).toString("base64url")}`;
  await writeAtomically(disk, path, `${token}\n`, 0o600);
  return token;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
