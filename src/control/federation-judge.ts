/** Whether an answer of a bundle endpoint takes the place of the bundle that is known (SPIFFE Trust Domain and Bundle, 4.1). Pure. */
import { parseSpiffeBundle, type TrustBundle } from "../ca/index.ts";
import { WeftError } from "../lib/errors.ts";
import { claimedRoots } from "../lib/spiffe-bundle.ts";

/**
 * The bundle in `text`; `known` itself where it says the same.
 * - 4.1.1: the sequence grows with each change, so one that went back, or is gone, is an old answer or another's.
 * - Roots and keys are taken away only by an answer that raises the sequence; with none on either side, by any that leaves a root.
 * - 4.1.3: a bundle without roots takes everything back. So that no broken server does it, it must raise the sequence too.
 * @throws WeftError "unavailable" saying what keeps it from being taken; then the known one stays
 */
export function judgeBundle(trustDomain: string, text: string, known: TrustBundle | undefined): TrustBundle {
  const bundle = parsed(trustDomain, text);
  const claimed = claimedRoots(text) ?? 0;
  if (bundle.x509.length === 0 && claimed > 0) {
    throw refuse(trustDomain, `none of its ${claimed} x509-svid keys has a certificate of an authority`);
  }
  if (!known) {
    if (bundle.x509.length === 0) throw refuse(trustDomain, "it holds no root for X.509-SVIDs");
    return bundle;
  }
  if (bundle.sequence < known.sequence) {
    throw refuse(
      trustDomain,
      `its spiffe_sequence went back from ${known.sequence} to ${bundle.sequence === 0 ? "none" : bundle.sequence}`,
    );
  }
  if (bundle.sequence === known.sequence) {
    const gone = missingOf(known, bundle);
    if (gone > 0 && (bundle.sequence > 0 || bundle.x509.length === 0)) {
      throw refuse(trustDomain, `it lacks ${gone} of the keys that are known, and its spiffe_sequence did not grow`);
    }
  }
  return same(bundle, known) ? known : bundle;
}

function parsed(trustDomain: string, text: string): TrustBundle {
  try {
    return parseSpiffeBundle(trustDomain, text);
  } catch (cause) {
    throw new WeftError("unavailable", WeftError.from(cause).message, { cause });
  }
}

function missingOf(known: TrustBundle, next: TrustBundle): number {
  const keys = new Set(next.jwt.map((key) => JSON.stringify(key)));
  return known.x509.filter((pem) => !next.x509.includes(pem)).length + known.jwt.filter((key) => !keys.has(JSON.stringify(key))).length;
}

function same(a: TrustBundle, b: TrustBundle): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function refuse(trustDomain: string, why: string): WeftError {
  return new WeftError("unavailable", `the bundle of trust domain ${trustDomain} is not taken: ${why}`);
}
