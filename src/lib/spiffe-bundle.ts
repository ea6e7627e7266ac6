/** A SPIFFE bundle as text (SPIFFE Trust Domain and Bundle, 4), judged before it is anybody's: what keeps it from being of any use. */
import { X509Certificate } from "node:crypto";

interface Key {
  readonly use?: unknown;
  readonly x5c?: unknown;
}

/** A sentence's end ("is no JSON"); undefined where the bundle holds a root for X.509-SVIDs. */
export function bundleTrouble(text: string): string | undefined {
  let document: { readonly keys?: unknown } | null;
  try {
    document = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  if (typeof document !== "object" || document === null || !Array.isArray(document.keys)) return 'has no list "keys"';
  const roots = (document.keys as (Key | null)[]).filter((key) => key?.use === "x509-svid");
  if (roots.length === 0) return "holds no key whose use is x509-svid, so no X.509-SVID could be verified by it";
  const bad = roots.findIndex((key) => !isAuthority(key?.x5c));
  return bad < 0 ? undefined : `its x509-svid key ${bad} has no certificate of an authority in x5c`;
}

/** How many keys say that they are roots for X.509-SVIDs, whatever is in them; undefined where the text is no bundle. */
export function claimedRoots(text: string): number | undefined {
  try {
    const keys: unknown = (JSON.parse(text) as { keys?: unknown } | null)?.keys;
    return Array.isArray(keys) ? (keys as (Key | null)[]).filter((key) => key?.use === "x509-svid").length : undefined;
  } catch {
    return undefined;
  }
}

function isAuthority(x5c: unknown): boolean {
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined;
  if (typeof first !== "string") return false;
  try {
    return new X509Certificate(Buffer.from(first, "base64")).ca;
  } catch {
    return false;
  }
}
