import { createHash } from "node:crypto";

/** Version of an xDS resource: the first 64 bits of SHA-256 over its bytes, as 16 hex digits. */
export function contentVersion(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

/** SHA-256 as 64 hex digits. */
export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
