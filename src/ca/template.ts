/**
 * What stands in weft's certificates, by the X509-SVID standard (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md)
 * and RFC 5280. Nothing in them comes from a certificate request.
 */
import { WeftError } from "../lib/errors.ts";
import { SERIAL_BYTES } from "./constants.ts";
import { type KeyPair, type PrivateKey, type PublicKey, randomHex, SIGNATURE, type SigningAlgorithm, x509 } from "./crypto.ts";
import { NOT_BEFORE_BACKDATE_MS } from "./lifetimes.ts";
import { parseSpiffeId, trustDomainId } from "./spiffe-id.ts";

export type Certificate = x509.X509Certificate;

/** Who signs a CA certificate that does not sign itself. */
export interface Issuer {
  readonly certificate: Certificate;
  readonly signingKey: PrivateKey;
  readonly signingAlgorithm: SigningAlgorithm;
}

export interface CaCertificateRequest {
  readonly trustDomain: string;
  readonly keys: KeyPair;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly notAfter: number;
  /** Absent: it signs itself, and is a root. */
  readonly issuer?: Issuer;
}

/** The certificate of a key that signs SVIDs, valid from shortly before `now`. */
export async function signCaCertificate({ trustDomain, keys, now, notAfter, issuer }: CaCertificateRequest): Promise<Certificate> {
  const keyId = await x509.SubjectKeyIdentifierExtension.create(keys.publicKey);
  // Several roots stand side by side in a bundle, and some verifiers look issuers up by name alone: so no two have the same.
  const name: x509.JsonName = [{ O: [trustDomain] }, { CN: [`weft CA ${keyId.keyId.slice(0, 8)}`] }];
  return await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: name,
    issuer: issuer?.certificate.subjectName ?? name,
    notBefore: wholeSecond(Math.max(now - NOT_BEFORE_BACKDATE_MS, issuer?.certificate.notBefore.getTime() ?? 0)),
    notAfter: wholeSecond(notAfter),
    signingAlgorithm: issuer?.signingAlgorithm ?? SIGNATURE,
    signingKey: issuer?.signingKey ?? keys.privateKey,
    publicKey: keys.publicKey,
    extensions: [
      // 4.1; path length 0: this CA signs leaves only.
      new x509.BasicConstraintsExtension(true, 0, true),
      // 4.3: keyCertSign MUST, cRLSign MAY, critical.
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      // 3.2: a signing certificate's SPIFFE ID has no path.
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: trustDomainId(trustDomain) }]),
      keyId,
      ...(issuer ? [issuerKeyId(issuer.certificate)] : []),
    ],
  });
}

/** What is the same in all SVIDs: made once, because ASN.1 is most of what a certificate costs. */
const LEAF_EXTENSIONS: readonly x509.Extension[] = [
  // 4.1: cA MUST be false.
  new x509.BasicConstraintsExtension(false, undefined, true),
  // 4.3: digitalSignature MUST, keyCertSign and cRLSign MUST NOT. keyEncipherment may not stand with an EC key (RFC 8813, 3).
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
  // 4.4: both, because every workload is client and server.
  new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
];

export interface SvidRequest {
  readonly spiffeId: string;
  /** The CA's own: it signs for no other. */
  readonly trustDomain: string;
  readonly publicKey: PublicKey;
  readonly ca: Certificate;
  readonly caKey: PrivateKey;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lifetimeMs: number;
}

/** An X.509-SVID. @throws WeftError "invalid" (not a SPIFFE ID of a workload in the trust domain), "unavailable" (the CA's own certificate is not valid now). */
export async function signSvid({ spiffeId, trustDomain, publicKey, ca, caKey, now, lifetimeMs }: SvidRequest): Promise<Certificate> {
  const id = parseSpiffeId(spiffeId);
  if (id.trustDomain !== trustDomain) {
    throw new WeftError("invalid", `"${spiffeId}" is of trust domain ${id.trustDomain}, and this CA is of ${trustDomain}`);
  }
  if (id.path === "") {
    // 3.1: a leaf's SPIFFE ID has a path.
    throw new WeftError("invalid", `"${spiffeId}" names a trust domain, not a workload: it cannot be an SVID's SPIFFE ID`);
  }
  if (now < ca.notBefore.getTime() || now >= ca.notAfter.getTime()) {
    const span = `${ca.notBefore.toISOString()} to ${ca.notAfter.toISOString()}`;
    throw new WeftError("unavailable", `the CA certificate is valid from ${span}, and it is ${new Date(now).toISOString()} now`, {
      help: "set the machine's clock right; where it is, weft makes a new CA by itself: see weft ca show",
    });
  }
  return await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    // Empty: the identity is the SAN alone, which therefore is critical (RFC 5280, 4.2.1.6).
    subject: [],
    issuer: ca.subjectName,
    notBefore: wholeSecond(Math.max(now - NOT_BEFORE_BACKDATE_MS, ca.notBefore.getTime())),
    notAfter: wholeSecond(Math.min(now + lifetimeMs, ca.notAfter.getTime())),
    signingAlgorithm: SIGNATURE,
    signingKey: caKey,
    publicKey,
    extensions: [
      ...LEAF_EXTENSIONS,
      // 2: exactly one URI SAN.
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: spiffeId }], true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      issuerKeyId(ca),
    ],
  });
}

const issuerKeyIds = new WeakMap<Certificate, x509.Extension>();

/** The authority key identifier of what `ca` signs: its own subject key identifier (RFC 5280, 4.2.1.1). */
function issuerKeyId(ca: Certificate): x509.Extension {
  const known = issuerKeyIds.get(ca);
  if (known) return known;
  const keyId = ca.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  if (!keyId) throw new WeftError("unavailable", "the CA certificate has no subject key identifier", { help: "put it back from a backup" });
  const extension = new x509.AuthorityKeyIdentifierExtension(keyId);
  issuerKeyIds.set(ca, extension);
  return extension;
}

/** DER knows whole seconds only. */
function wholeSecond(milliseconds: number): Date {
  return new Date(Math.floor(milliseconds / 1_000) * 1_000);
}

function randomSerial(): string {
  return randomHex(SERIAL_BYTES);
}
