/**
 * Whether a certificate that an authority of the mesh has just made, or made before, is still under a root of the bundle. For who asked for it: whose it is
 * and what stands in it is known from elsewhere. What a stranger presents, verify-x509-svid.ts judges, at twenty times the cost.
 */
import { X509Certificate } from "node:crypto";
import type { TrustBundle } from "./types.ts";

/** A leaf, weft's authority, an operator's intermediates. */
const LONGEST_PATH = 6;

/** Parsed once for a bundle. */
const roots = new WeakMap<TrustBundle, readonly X509Certificate[]>();

/** @param chain the leaf first. `now`: milliseconds since the epoch */
export function isUnderBundle(chain: readonly X509Certificate[], bundle: TrustBundle, now: number): boolean {
  const trusted = roots.get(bundle) ?? bundle.x509.map((pem) => new X509Certificate(pem));
  roots.set(bundle, trusted);
  let [current] = chain;
  for (let steps = 0; current && steps < LONGEST_PATH; steps++) {
    const below = current;
    if (now < below.validFromDate.getTime() || now >= below.validToDate.getTime()) return false;
    const signed = (issuer: X509Certificate) => issuer.ca && below.checkIssued(issuer) && below.verify(issuer.publicKey);
    if (trusted.some((root) => signed(root) && now < root.validToDate.getTime())) return true;
    current = chain.slice(1).find((one) => one !== below && signed(one));
  }
  return false;
}
