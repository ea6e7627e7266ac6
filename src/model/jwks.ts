/** JSON Web Key Sets (RFC 7517), as far as their form shows whether Envoy could verify a token by them. */
import type { Report } from "./schema.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The members that a public key of each type needs (RFC 7518, 6; RFC 8037, 2). */
const MEMBERS: Readonly<Record<string, readonly string[]>> = { RSA: ["n", "e"], EC: ["crv", "x", "y"], OKP: ["crv", "x"], oct: ["k"] };

export type ParsedJwks = { readonly keys: readonly Fields[] } | { readonly error: string };

/** A key set, or a single key, which counts as a set of one (as Istio reads it). The error is a whole sentence's end: "is no JSON". */
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
  for (const [index, key] of keys.entries()) {
    const error = keyError(key);
    if (error) return { error: `key ${index} ${error}` };
  }
  return { keys };
}

function keyError(key: unknown): string | undefined {
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

export function checkJwks(text: string, report: Report): void {
  if (text === "") return;
  const parsed = parseJwks(text);
  if ("error" in parsed) {
    report("badValue", `is no JSON Web Key Set: it ${parsed.error}`, { help: 'write {"keys":[...]}, in quotes or as a block ("|")' });
    return;
  }
  for (const index of privateKeys(parsed.keys)) {
    report("surprising", `key ${index} holds private key material, which every reader of this policy sees; public keys are enough`, {
      severity: "warning",
    });
  }
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
