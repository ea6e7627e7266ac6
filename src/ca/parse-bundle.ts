/** Another trust domain's bundle as it was fetched (SPIFFE Trust Domain and Bundle, 4; X509-SVID, 6.2; JWT-SVID, 6.2). */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { WeftError } from "../lib/errors.ts";
import { BUNDLE_REFRESH_HINT_S } from "./lifetimes.ts";
import { parseTrustDomain } from "./spiffe-id.ts";
import type { TrustBundle } from "./types.ts";

/** 4.1.3, 4.2: what is not known is ignored, key by key; so nothing of a key is held against a form before its `use` is known. */
const DocumentSchema = v.looseObject({
  keys: v.array(v.looseObject({})),
  spiffe_sequence: v.optional(v.pipe(v.number(), v.integer())),
  spiffe_refresh_hint: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});
const X509KeySchema = v.looseObject({ use: v.literal("x509-svid"), kty: v.string(), x5c: v.pipe(v.array(v.string()), v.minLength(1)) });
const JWT_KEY_TYPES = ["EC", "RSA"] as const;
const JwtKeySchema = v.looseObject({ use: v.literal("jwt-svid"), kty: v.picklist(JWT_KEY_TYPES), kid: v.pipe(v.string(), v.minLength(1)) });

/** A bundle may be empty: then the trust domain has taken everything back, and nothing of it is to be trusted (4.1.3). */
export function parseSpiffeBundle(trustDomain: string, text: string): TrustBundle {
  parseTrustDomain(trustDomain);
  const { keys, spiffe_sequence, spiffe_refresh_hint } = read(trustDomain, text);
  const x509 = keys.flatMap((key) => {
    const { success, output } = v.safeParse(X509KeySchema, key);
    return success ? certificateOf(output.x5c[0]) : [];
  });
  const jwt = keys.flatMap((key) => {
    const { success, output } = v.safeParse(JwtKeySchema, key);
    if (!success) return [];
    const { use: _, ...jwk } = output;
    return [jwk];
  });
  return {
    trustDomain,
    sequence: spiffe_sequence ?? 0,
    refreshHint: spiffe_refresh_hint ?? BUNDLE_REFRESH_HINT_S,
    x509,
    x509Pem: x509.join(""),
    jwt,
  };
}

function read(trustDomain: string, text: string): v.InferOutput<typeof DocumentSchema> {
  try {
    return v.parse(DocumentSchema, JSON.parse(text));
  } catch (cause) {
    throw new WeftError("invalid", `the bundle of trust domain ${trustDomain} is no SPIFFE bundle: a JSON object with an array "keys"`, {
      cause,
    });
  }
}

/** The first of x5c; the rest MUST be ignored (X509-SVID, 6.2). One that is no CA certificate is no root. */
function certificateOf(base64: string | undefined): string[] {
  try {
    const certificate = new X509Certificate(Buffer.from(base64 ?? "", "base64"));
    return certificate.ca ? [certificate.toString().replace(/\n*$/, "\n")] : [];
  } catch {
    return [];
  }
}
