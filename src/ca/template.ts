/**
 * What stands in weft's certificates, by the X509-SVID standard (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md)
 * and RFC 5280. Nothing in them comes from a certificate request.
 */
import { WeftError } from "../lib/errors.ts";
import { CA_LIFETIME_MS, NOT_BEFORE_BACKDATE_MS, SERIAL_BYTES } from "./constants.ts";
import { type KeyPair, type PrivateKey, type PublicKey, randomHex, SIGNATURE, x509 } from "./crypto.ts";
import { parseSpiffeId, trustDomainId } from "./spiffe-id.ts";

export type Certificate = x509.X509Certificate;

/** A self-signed CA certificate for `trustDomain`, valid from shortly before `now` (ms since the epoch). */
export async function signCaCertificate(trustDomain: string, keys: KeyPair, now: number): Promise<Certificate> {
  // Relative names are told apart by key identifiers; the subject is for people, and the same whenever the same key is certified again.
  const name: x509.JsonName = [{ O: [trustDomain] }, { CN: ["weft CA"] }];
  const keyId = await x509.SubjectKeyIdentifierExtension.create(keys.publicKey);
  return await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: name,
    issuer: name,
    notBefore: wholeSecond(now - NOT_BEFORE_BACKDATE_MS),
    notAfter: wholeSecond(now + CA_LIFETIME_MS),
    signingAlgorithm: SIGNATURE,
    signingKey: keys.privateKey,
    publicKey: keys.publicKey,
    extensions: [
      // 4.1; path length 0: this CA signs leaves only.
      new x509.BasicConstraintsExtension(true, 0, true),
      // 4.3: keyCertSign MUST, cRLSign MAY, critical.
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      // 3.2: a signing certificate's SPIFFE ID has no path.
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: trustDomainId(trustDomain) }]),
      keyId,
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
      help: "set the machine's clock right, or, where it is, start a new CA: move the ca folder of the data directory away and restart weft",
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
