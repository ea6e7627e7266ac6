/**
 * JWT-SVIDs, by the standard (https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md), and RFC 8725 for what it leaves open: what a token says
 * of itself never chooses how it is verified.
 */
import { decodeJwt, decodeProtectedHeader, errors, importJWK, type JWK, type JWTPayload, jwtVerify } from "jose";
import { WeftError } from "../lib/errors.ts";
import { type SigningKey, signToken } from "./crypto.ts";
import { JWT_SVID_LEEWAY_MS } from "./lifetimes.ts";
import { parseSpiffeId, trustDomainId } from "./spiffe-id.ts";
import type { JwtSvid, TrustBundle, VerifiedJwtSvid } from "./types.ts";

/** 2.1. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"];
/** 2: any other header is refused. */
const HEADERS: ReadonlySet<string> = new Set(["alg", "kid", "typ"]);
/** 2.3. */
const TYPES: ReadonlySet<string> = new Set(["JWT", "JOSE"]);
/** A longer token is not looked at. Ours have about 500 characters. */
const LONGEST_TOKEN = 16_384;
/** 3.2 recommends one; a token for everybody is a password. */
const MOST_AUDIENCES = 16;
const LONGEST_AUDIENCE = 2048;

export interface JwtSvidRequest {
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly audience: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lifetimeMs: number;
  readonly authority: { readonly id: string; readonly notAfter: number; readonly key: SigningKey };
}

/**
 * Claims: sub, aud, iat, exp, and iss, which says by whose keys it is verified to those who know JWTs only, such as Envoy: the trust domain's
 * SPIFFE ID. The standard leaves it open (3: "MAY be used as implementers see fit"). @throws WeftError "invalid"
 */
export function signJwtSvid({ spiffeId, trustDomain, audience, now, lifetimeMs, authority }: JwtSvidRequest): JwtSvid {
  const id = parseSpiffeId(spiffeId);
  if (id.trustDomain !== trustDomain) {
    throw new WeftError("invalid", `"${spiffeId}" is of trust domain ${id.trustDomain}, and this CA is of ${trustDomain}`);
  }
  if (id.path === "")
    throw new WeftError("invalid", `"${spiffeId}" names a trust domain, not a workload: it cannot be an SVID's SPIFFE ID`);
  checkAudience(audience);
  const issuedAt = Math.floor(now / 1_000);
  const expires = Math.floor(Math.min(now + lifetimeMs, authority.notAfter) / 1_000);
  const claims = { iss: trustDomainId(trustDomain), sub: spiffeId, aud: audience, iat: issuedAt, exp: expires };
  // JWS compact serialization (RFC 7515, 7.1).
  const signed = [{ alg: "ES256", kid: authority.id, typ: "JWT" }, claims].map(base64url).join(".");
  const token = `${signed}.${signToken(signed, authority.key).toString("base64url")}`;
  return { spiffeId, audience: [...audience], token, issuedAt: issuedAt * 1_000, expiresAt: expires * 1_000, authorityId: authority.id };
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function checkAudience(audience: readonly string[]): void {
  if (audience.length === 0) throw new WeftError("invalid", "a JWT-SVID needs an audience: name the service that it is for");
  if (audience.length > MOST_AUDIENCES) throw new WeftError("invalid", `a JWT-SVID may be for ${MOST_AUDIENCES} audiences at the most`);
  for (const one of audience) {
    if (one === "") throw new WeftError("invalid", "an audience of a JWT-SVID is empty");
    if (one.length > LONGEST_AUDIENCE)
      throw new WeftError("invalid", `an audience of a JWT-SVID is longer than ${LONGEST_AUDIENCE} characters`);
  }
}

export interface JwtSvidCheck {
  /** Who verifies: must be among the token's audiences. */
  readonly audience: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The bundle of a trust domain, or undefined where it is not trusted. Bundles are never merged: a domain's keys vouch for its own IDs only. */
  readonly bundleOf: (trustDomain: string) => Pick<TrustBundle, "jwt"> | undefined;
}

/** @throws WeftError "unauthenticated" saying what is wrong with it; never the token itself. */
export async function verifyJwtSvid(token: string, { audience, now, bundleOf }: JwtSvidCheck): Promise<VerifiedJwtSvid> {
  if (audience === "") throw new WeftError("invalid", "the audience to verify a JWT-SVID for is empty");
  if (token.length > LONGEST_TOKEN) throw refuse(`it is longer than ${LONGEST_TOKEN} characters`);
  const { kid, alg } = readHeader(token);
  const spiffeId = readSubject(token);
  const { trustDomain } = spiffeId;
  const bundle = bundleOf(trustDomain);
  if (!bundle) throw refuse(`its trust domain ${trustDomain} is not trusted here`);
  const candidates = bundle.jwt.filter((key) => kid === undefined || key.kid === kid);
  if (candidates.length === 0) throw refuse(`its key is none of trust domain ${trustDomain}: it is old, or made by somebody else`);
  let failure: unknown;
  for (const key of candidates) {
    try {
      const payload = await verifyWith(key, alg, token, { audience, now });
      const audiences = typeof payload.aud === "string" ? [payload.aud] : (payload.aud ?? []);
      return { spiffeId: payload.sub ?? "", audience: audiences, expiresAt: (payload.exp ?? 0) * 1_000, claims: payload };
    } catch (reason) {
      failure = reason;
      if (!(reason instanceof errors.JWSSignatureVerificationFailed)) break;
    }
  }
  throw explain(failure, audience);
}

async function verifyWith(
  key: JWK,
  alg: string,
  token: string,
  { audience, now }: Pick<JwtSvidCheck, "audience" | "now">,
): Promise<JWTPayload> {
  // The key decides what it may be used with; where it does not say, its type does, which importJWK holds `alg` against.
  if (key.alg !== undefined && key.alg !== alg) throw refuse(`it is signed by ${alg}, and its key is for ${key.alg}`);
  const { payload } = await jwtVerify(token, await importJWK(key, alg), {
    algorithms: ALGORITHMS,
    audience,
    requiredClaims: ["sub", "aud", "exp"],
    currentDate: new Date(now),
    clockTolerance: JWT_SVID_LEEWAY_MS / 1_000,
  });
  return payload;
}

function readHeader(token: string): { readonly alg: string; readonly kid: string | undefined } {
  const header = attempt(() => decodeProtectedHeader(token));
  const unknown = Object.keys(header).find((name) => !HEADERS.has(name));
  if (unknown !== undefined) throw refuse(`it has the header "${unknown}", which a JWT-SVID may not have`);
  const { alg, kid, typ } = header;
  if (alg === undefined || !ALGORITHMS.includes(alg)) throw refuse(`its algorithm is "${alg}", which a JWT-SVID may not have`);
  if (typ !== undefined && !TYPES.has(typ)) throw refuse(`its type is "${typ}", not JWT or JOSE`);
  if (kid !== undefined && typeof kid !== "string") throw refuse("its kid is no text");
  return { alg, kid };
}

/** The trust domain chooses the keys; that the subject is the signer's to give is what the signature then proves. */
function readSubject(token: string) {
  const { sub } = attempt(() => decodeJwt(token));
  if (typeof sub !== "string") throw refuse("it has no subject");
  try {
    const id = parseSpiffeId(sub);
    if (id.path === "") throw refuse("its subject names a trust domain, not a workload");
    return id;
  } catch (reason) {
    throw refuse(`its subject is no workload's SPIFFE ID: ${WeftError.from(reason).message}`);
  }
}

function attempt<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new WeftError("unauthenticated", "the JWT-SVID is refused: it is no signed JWT in compact serialization", { cause });
  }
}

function explain(reason: unknown, audience: string): WeftError {
  if (reason instanceof WeftError) return reason;
  if (reason instanceof errors.JWTExpired) return refuse(`it expired at ${new Date((reason.payload.exp ?? 0) * 1_000).toISOString()}`);
  if (reason instanceof errors.JWTClaimValidationFailed) {
    return refuse(
      reason.claim === "aud" ? `it is not for audience "${audience}"` : `its claim "${reason.claim}" is missing or not acceptable`,
    );
  }
  if (reason instanceof errors.JWSSignatureVerificationFailed) return refuse("its signature is wrong");
  return refuse("it is no signed JWT, or its key cannot verify it", reason);
}

function refuse(what: string, cause?: unknown): WeftError {
  return new WeftError("unauthenticated", `the JWT-SVID is refused: ${what}`, { cause });
}
