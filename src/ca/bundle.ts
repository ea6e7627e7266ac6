/** What peers must trust: read off the journal, and written as the SPIFFE bundle of the trust domain. */
import { X509Certificate } from "node:crypto";
import type { JWK } from "jose";
import type { Journal, JournalEntry } from "./journal.ts";
import { BUNDLE_REFRESH_HINT_S } from "./lifetimes.ts";
import type { TrustBundle } from "./types.ts";

/** The active authority first, so that who takes only the first has the one that signs. */
const ORDER: Readonly<Record<JournalEntry["state"], number>> = { active: 0, prepared: 1, retiring: 2 };

export function trustBundle({ trustDomain, sequence, entries }: Journal): TrustBundle {
  const ordered = [...entries].sort((a, b) => ORDER[a.state] - ORDER[b.state]);
  const x509 = [...new Set(ordered.flatMap((entry) => entry.roots ?? []))];
  const jwt = ordered.flatMap((entry) => (entry.jwk ? [entry.jwk] : []));
  return { trustDomain, sequence, refreshHint: BUNDLE_REFRESH_HINT_S, x509, x509Pem: x509.join(""), jwt };
}

/** Whether the bundle says the same but for its sequence. */
export function sameTrust(one: TrustBundle, other: TrustBundle): boolean {
  const kids = ({ jwt }: TrustBundle) => jwt.map(({ kid }) => kid).join();
  return one.x509Pem === other.x509Pem && kids(one) === kids(other);
}

export interface X509BundleKey extends JWK {
  readonly use: "x509-svid";
  /** One certificate: DER, base64. */
  readonly x5c: [string];
}

/** A SPIFFE bundle: a JWK Set (RFC 7517) with SPIFFE's two members. */
export interface SpiffeBundle {
  readonly keys: readonly (X509BundleKey | JWK)[];
  readonly spiffe_sequence: number;
  /** Seconds. */
  readonly spiffe_refresh_hint: number;
}

/**
 * One key per root certificate, marked x509-svid, without kid (X509-SVID, 6.1), and one per JWT authority, marked jwt-svid, with kid (JWT-SVID,
 * 6.1); the two members of SPIFFE Trust Domain and Bundle, 4.1.
 */
export function spiffeBundle({ x509, jwt, sequence, refreshHint }: TrustBundle): SpiffeBundle {
  return {
    keys: [...x509.map(toX509Key), ...jwt.map(({ kty, kid, crv, x, y }) => ({ use: "jwt-svid", kty, kid, crv, x, y }))],
    spiffe_sequence: sequence,
    spiffe_refresh_hint: refreshHint,
  };
}

function toX509Key(pem: string): X509BundleKey {
  const certificate = new X509Certificate(pem);
  return { ...certificate.publicKey.export({ format: "jwk" }), use: "x509-svid", x5c: [certificate.raw.toString("base64")] };
}
