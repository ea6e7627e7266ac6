/** JSON Web Key Sets (RFC 7517): whether Envoy could verify a token by one. */
import { createPublicKey } from "node:crypto";

type Fields = Readonly<Record<string, unknown>>;

/** The members that a public key of each type needs (RFC 7518, 6; RFC 8037, 2). */
const MEMBERS: Readonly<Record<string, readonly string[]>> = { RSA: ["n", "e"], EC: ["crv", "x", "y"], OKP: ["crv", "x"], oct: ["k"] };

export type ParsedJwks = { readonly keys: readonly Fields[] } | { readonly error: string };

/** A key set, or a single key, which counts as a set of one. The error is the end of a sentence: "is no JSON". */
export function parseJwks(text: string): ParsedJwks {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { error: "is no JSON" };
  }
  if (!isFields(parsed)) return { error: "is no JSON object" };
  if (!("keys" in parsed) && !("kty" in parsed)) return { error: 'has no member "keys"' };
  const keys: unknown = "keys" in parsed ? parsed.keys : [parsed];
  if (!Array.isArray(keys)) return { error: '"keys" is no list' };
  const strange = keys.findIndex((key) => !isFields(key));
  return strange < 0 ? { keys } : { error: `key ${strange} is no JSON object` };
}

/**
 * Whether Envoy can verify tokens by the key (its jwt_verify_lib): RSA, P-256, P-384, P-521, Ed25519 and secrets. It passes over others, and
 * refuses a set in which it finds none.
 */
export function isUsable(key: Fields): boolean {
  if (keyError(key) !== undefined) return false;
  if (key.kty === "oct") return true;
  if (key.kty === "EC" && !["P-256", "P-384", "P-521"].includes(String(key.crv))) return false;
  if (key.kty === "OKP" && key.crv !== "Ed25519") return false;
  const parts = ["kty", "crv", "x", "y", "n", "e"].filter((name) => typeof key[name] === "string");
  try {
    createPublicKey({ key: Object.fromEntries(parts.map((name) => [name, key[name]])), format: "jwk" });
    return true;
  } catch {
    return false;
  }
}

/** What is wrong with a key's form, or undefined. */
export function keyError(key: unknown): string | undefined {
  if (!isFields(key)) return "is no JSON object";
  const { kty } = key;
  if (typeof kty !== "string") return 'has no "kty"';
  const members = Object.hasOwn(MEMBERS, kty) ? MEMBERS[kty] : undefined;
  if (!members) return `has the unknown type ${JSON.stringify(kty)}`;
  for (const member of members) {
    const value = key[member];
    if (typeof value !== "string" || !/^[A-Za-z0-9_-]+$/.test(value))
      return `has no "${member}" in base64url, which a key of type ${kty} needs`;
  }
  return undefined;
}

/** The keys that hold what must stay with the issuer, by index. */
export function privateKeys(keys: readonly Fields[]): readonly number[] {
  return keys.flatMap((key, index) => ("d" in key || key.kty === "oct" ? [index] : []));
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** `text` as Envoy takes it, which knows no single keys; undefined where it holds no key that Envoy could use. */
export function usableJwks(text: string): string | undefined {
  const parsed = parseJwks(text);
  if ("error" in parsed || !parsed.keys.some(isUsable)) return undefined;
  return text.includes('"keys"') ? text : JSON.stringify({ keys: parsed.keys });
}
