/**
 * An X.509-SVID that a peer presented, judged by what is trusted at this moment: X509-SVID, section 5 (path validation, leaf validation), and
 * RFC 5280, 6.1 as far as it concerns what an SVID may be. That the peer holds the key, TLS has proved.
 */
import { X509Certificate } from "node:crypto";
import { WeftError } from "../lib/errors.ts";
import { x509 } from "./crypto.ts";
import { parseSpiffeId } from "./spiffe-id.ts";
import type { TrustBundle } from "./types.ts";

/** After its signatures, times, uses and name were found good. Milliseconds since the epoch. */
export interface VerifiedX509Svid {
  readonly spiffeId: string;
  readonly notBefore: number;
  /** Of the certificate in its path that ends first. */
  readonly notAfter: number;
}

/** A root, an operator's intermediates, weft's own authority, the leaf: a longer path is none of ours, and costs a signature for each step. */
const LONGEST_PATH = 6;

/** Parsed once for a bundle: most of what judging a certificate costs. */
const rootsOf = new WeakMap<TrustBundle, readonly Parsed[]>();

interface Parsed {
  readonly node: X509Certificate;
  readonly extensions: x509.X509Certificate;
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * @param presented DER, the leaf first; the rest, in any order, are certificates of authorities.
 * @throws WeftError "unauthenticated" saying what is wrong with it
 */
export function verifyX509Svid(presented: readonly Uint8Array[], bundle: TrustBundle, now: number): VerifiedX509Svid {
  if (presented.length > LONGEST_PATH) throw refuse(`the certificate comes with ${presented.length - 1} others: too many`);
  const [leaf, ...others] = presented.map(parse);
  if (!leaf) throw refuse("no certificate was presented");
  const spiffeId = leafId(leaf, bundle.trustDomain);
  const roots = rootsOf.get(bundle) ?? bundle.x509.map((pem) => parse(new X509Certificate(pem).raw));
  rootsOf.set(bundle, roots);
  let trouble: WeftError | undefined;
  // An authority that is cross-signed, or was made anew with its key, leads to roots by several paths: one that is good is enough (RFC 5280, 6.1).
  for (const path of pathsOf(leaf, others, roots)) {
    const found = troubleOf(path, spiffeId, now);
    if (!found) return { spiffeId, notBefore: leaf.notBefore, notAfter: Math.min(...path.map(({ notAfter }) => notAfter)) };
    trouble ??= found;
  }
  throw trouble ?? refuse(`no authority in the trust bundle of ${bundle.trustDomain} has signed the certificate of ${spiffeId}`);
}

function troubleOf(path: readonly Parsed[], spiffeId: string, now: number): WeftError | undefined {
  if (path.slice(0, -1).some(hasUnknownCritical))
    return refuse(`the certificate of ${spiffeId} has a critical extension that weft does not know`);
  for (const { notBefore, notAfter } of path) {
    if (now < notBefore) return refuse(`the certificate of ${spiffeId} is not valid before ${iso(notBefore)}: are both clocks right?`);
    if (now >= notAfter) return refuse(`the certificate of ${spiffeId} expired at ${iso(notAfter)}`);
  }
  return undefined;
}

/** X509-SVID, 2, 3.1, 4.1, 4.3, 4.4 and 5.2. */
function leafId({ extensions }: Parsed, trustDomain: string): string {
  const names = extensions.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  const uris = names.filter(({ type }) => type === "url");
  const [uri] = uris;
  if (!uri || uris.length !== 1) throw refuse(`the certificate has ${uris.length} URI names, and an X.509-SVID has exactly one`);
  const spiffeId = uri.value;
  const { trustDomain: own, path } = idOf(spiffeId);
  if (own !== trustDomain) throw refuse(`the certificate is of trust domain ${own}, and this weft is of ${trustDomain}`);
  if (path === "") throw refuse("the certificate names a trust domain, and no workload");
  if (extensions.getExtension(x509.BasicConstraintsExtension)?.ca) throw refuse("the certificate is an authority's, and no SVID");
  const usages = extensions.getExtension(x509.KeyUsagesExtension)?.usages ?? 0;
  const signs = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  if ((usages & x509.KeyUsageFlags.digitalSignature) === 0 || (usages & signs) !== 0) {
    throw refuse("the certificate's key usage is not that of an X.509-SVID: digitalSignature, and neither keyCertSign nor cRLSign");
  }
  const extended = extensions.getExtension(x509.ExtendedKeyUsageExtension);
  if (extended && !extended.usages.includes(x509.ExtendedKeyUsage.clientAuth)) {
    throw refuse("the certificate is not for clients: its extended key usage lacks clientAuth");
  }
  return spiffeId;
}

function idOf(spiffeId: string) {
  try {
    return parseSpiffeId(spiffeId);
  } catch (reason) {
    throw refuse(`the certificate's URI name is not acceptable: ${WeftError.from(reason).message}`);
  }
}

/** From the leaf to a root, all that lead there. Names choose who may have signed, signatures decide. */
function* pathsOf(last: Parsed, others: readonly Parsed[], roots: readonly Parsed[], below = 0): Generator<readonly Parsed[]> {
  for (const root of roots) if (signed(root, last, below)) yield [last, root];
  for (const [index, next] of others.entries()) {
    if (!signed(next, last, below)) continue;
    for (const rest of pathsOf(next, others.toSpliced(index, 1), roots, below + 1)) yield [last, ...rest];
  }
}

/** Those that are judged here; RFC 5280, 4.2: a certificate with another critical one MUST be rejected. Roots are trusted as they are. */
const KNOWN = new Set(["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.37"]);

const hasUnknownCritical = ({ extensions: { extensions } }: Parsed) =>
  extensions.some(({ critical, type }) => critical && !KNOWN.has(type));

/** @param below how many authorities stand between `issuer` and the leaf */
function signed(issuer: Parsed, subject: Parsed, below: number): boolean {
  const constraints = issuer.extensions.getExtension(x509.BasicConstraintsExtension);
  const usages = issuer.extensions.getExtension(x509.KeyUsagesExtension)?.usages;
  if (!constraints?.ca || (constraints.pathLength !== undefined && constraints.pathLength < below)) return false;
  if (usages !== undefined && (usages & x509.KeyUsageFlags.keyCertSign) === 0) return false;
  return subject.node.checkIssued(issuer.node) && subject.node.verify(issuer.node.publicKey);
}

function parse(der: Uint8Array): Parsed {
  try {
    // Node's parser is the stricter one: it takes a certificate whole or not at all.
    const node = new X509Certificate(der);
    const extensions = new x509.X509Certificate(node.raw);
    return { node, extensions, notBefore: extensions.notBefore.getTime(), notAfter: extensions.notAfter.getTime() };
  } catch (cause) {
    throw refuse("a certificate that was presented cannot be read", cause);
  }
}

const iso = (at: number) => new Date(at).toISOString();

const refuse = (message: string, cause?: unknown) => new WeftError("unauthenticated", message, { cause });
