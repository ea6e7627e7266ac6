import { createPublicKey, X509Certificate } from "node:crypto";
import { BUNDLE_REFRESH_HINT_S } from "./constants.ts";

export interface BundleKey {
  readonly use: "x509-svid";
  readonly kty: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  /** One certificate: DER, base64. */
  readonly x5c: readonly [string];
}

/** A SPIFFE bundle: a JWK Set (RFC 7517) with SPIFFE's two members. */
export interface SpiffeBundle {
  readonly keys: readonly BundleKey[];
  readonly spiffe_sequence: number;
  /** Seconds. */
  readonly spiffe_refresh_hint: number;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * `bundlePem` (CA certificates) as the SPIFFE bundle of its trust domain: one key per certificate, marked x509-svid, without kid (SPIFFE
 * Trust Domain and Bundle, 4; X509-SVID, 6). The sequence is the newest certificate's notBefore in seconds, so that it grows whenever a CA is added.
 */
export function spiffeBundle(bundlePem: string): SpiffeBundle {
  const certificates = [...bundlePem.matchAll(CERTIFICATE)].map(([pem]) => new X509Certificate(pem));
  return {
    keys: certificates.map(toKey),
    spiffe_sequence: Math.max(0, ...certificates.map((certificate) => Math.floor(Date.parse(certificate.validFrom) / 1_000))),
    spiffe_refresh_hint: BUNDLE_REFRESH_HINT_S,
  };
}

function toKey(certificate: X509Certificate): BundleKey {
  const publicKey = createPublicKey(certificate.publicKey.export({ type: "spki", format: "pem" }));
  const { kty = "", crv, x, y } = publicKey.export({ format: "jwk" });
  return { use: "x509-svid", kty, crv, x, y, x5c: [certificate.raw.toString("base64")] };
}
