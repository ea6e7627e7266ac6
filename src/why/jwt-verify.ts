/** Verifies a JWT against a key set: signature and times (RFC 7515, RFC 7519), as Envoy's jwt_verify does. */
import { createPublicKey, verify as verifySignature } from "node:crypto";
import type { JwtKeys } from "../mesh/request-authentication.ts";
import type { Claims } from "./condition.ts";

export interface Token {
  readonly header: Claims;
  readonly claims: Claims;
  readonly signed: string;
  readonly signature: Buffer;
}

/** Envoy's default (JwtProvider.clock_skew_seconds). */
const CLOCK_SKEW_S = 60;

/** undefined where `text` is no JWT. */
export function parseToken(text: string): Token | undefined {
  const parts = text.split(".");
  const [header = "", payload = "", signature = ""] = parts;
  const [parsedHeader, claims] = [header, payload].map(objectOf);
  if (parts.length !== 3 || !parsedHeader || !claims || !isBase64Url(signature) || !hasTypes(claims)) return undefined;
  return { header: parsedHeader, claims, signed: `${header}.${payload}`, signature: Buffer.from(signature, "base64url") };
}

function isBase64Url(text: string): boolean {
  return /^[\w-]*$/.test(text) && text.length % 4 !== 1;
}

/** What the registered claims must be, lest Envoy take the whole for no token (jwt_verify_lib, jwt.cc parseFromString). */
function hasTypes(claims: Claims): boolean {
  const isText = (value: unknown) => typeof value === "string";
  const isTime = (value: unknown) => typeof value === "number" && value >= 0 && value < 2 ** 64;
  const isAudience = (value: unknown) => isText(value) || (Array.isArray(value) && value.every(isText));
  const has = (name: string, isRight: (value: unknown) => boolean) => !Object.hasOwn(claims, name) || isRight(claims[name]);
  return (
    ["iss", "sub", "jti"].every((name) => has(name, isText)) &&
    ["iat", "nbf", "exp"].every((name) => has(name, isTime)) &&
    has("aud", isAudience)
  );
}

function objectOf(text: string): Claims | undefined {
  if (!isBase64Url(text)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Claims) : undefined;
  } catch {
    return undefined;
  }
}

/** undefined where the token is in force at `now` (milliseconds since 1970). Envoy counts in whole seconds, and 0 is no time to it (verifyTimeConstraint). */
export function timeError({ exp, nbf }: Claims, now: number): string | undefined {
  const second = Math.floor(now / 1000);
  if (typeof nbf === "number" && second + CLOCK_SKEW_S < Math.floor(nbf)) return "the token is not valid yet";
  if (typeof exp === "number" && exp >= 1 && second > Math.floor(exp) + CLOCK_SKEW_S) return "the token has expired";
  return undefined;
}

/** undefined where one of the keys signed it. */
export function keyError(token: Token, keys: JwtKeys): string | undefined {
  if (keys.jwks === undefined) return `the keys of the issuer could not be fetched${keys.from ? ` from ${keys.from.url}` : ""}`;
  const { alg, kid } = token.header;
  const algorithm = typeof alg === "string" && Object.hasOwn(ALGORITHMS, alg) ? ALGORITHMS[alg] : undefined;
  if (!algorithm) return `the token's algorithm ${JSON.stringify(alg ?? "")} is not accepted`;
  const candidates = keysOf(keys.jwks).filter(
    (key) => (kid === undefined || key.kid === undefined || key.kid === kid) && (key.alg === undefined || key.alg === alg),
  );
  if (candidates.length === 0) return "no key of the issuer has the token's key id and algorithm";
  return candidates.some((key) => isSigned(token, key, algorithm)) ? undefined : "the token's signature is wrong";
}

type Algorithm = {
  readonly hash: string | undefined;
  readonly padding?: number;
  readonly dsaEncoding?: "ieee-p1363";
  readonly saltLength?: number;
};

const PSS_PADDING = 6;
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  RS256: { hash: "sha256" },
  RS384: { hash: "sha384" },
  RS512: { hash: "sha512" },
  PS256: { hash: "sha256", padding: PSS_PADDING, saltLength: 32 },
  PS384: { hash: "sha384", padding: PSS_PADDING, saltLength: 48 },
  PS512: { hash: "sha512", padding: PSS_PADDING, saltLength: 64 },
  ES256: { hash: "sha256", dsaEncoding: "ieee-p1363" },
  ES384: { hash: "sha384", dsaEncoding: "ieee-p1363" },
  ES512: { hash: "sha512", dsaEncoding: "ieee-p1363" },
  EdDSA: { hash: undefined },
};

function keysOf(jwks: string): readonly Record<string, unknown>[] {
  const { keys } = JSON.parse(jwks) as { readonly keys?: readonly Record<string, unknown>[] };
  return keys ?? [];
}

function isSigned({ signed, signature }: Token, key: Record<string, unknown>, { hash, ...options }: Algorithm): boolean {
  try {
    const { kty, crv, x, y, n, e } = key as Record<string, string>;
    const jwk = Object.fromEntries(Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined));
    return verifySignature(hash, Buffer.from(signed), { key: createPublicKey({ key: jwk, format: "jwk" }), ...options }, signature);
  } catch {
    return false;
  }
}
