// Of Bun's ways to hash, the one that makes no object: the store hashes three times for each document, and 100,000 times to open.

/** Version of an xDS resource: the first 64 bits of SHA-256 over its bytes, as 16 hex digits. */
export function contentVersion(bytes: Uint8Array): string {
  return sha256(bytes).slice(0, 16);
}

/** SHA-256 as 64 hex digits. */
export function sha256(data: string | Uint8Array): string {
  return Bun.SHA256.hash(data, "hex");
}
