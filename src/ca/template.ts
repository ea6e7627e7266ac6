/**
 * What stands in the certificates of weft's authorities, by the X509-SVID standard
 * (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md) and RFC 5280. leaf.ts has what they sign.
 */
import { WeftError } from "../lib/errors.ts";
import { SERIAL_BYTES } from "./constants.ts";
import { type KeyPair, type PrivateKey, randomHex, SIGNATURE, type SigningAlgorithm, x509 } from "./crypto.ts";
import { wholeSecond } from "./leaf.ts";
import { NOT_BEFORE_BACKDATE_MS } from "./lifetimes.ts";
import { trustDomainId } from "./spiffe-id.ts";

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
    serialNumber: randomHex(SERIAL_BYTES),
    subject: name,
    issuer: issuer?.certificate.subjectName ?? name,
    notBefore: new Date(wholeSecond(Math.max(now - NOT_BEFORE_BACKDATE_MS, issuer?.certificate.notBefore.getTime() ?? 0))),
    notAfter: new Date(wholeSecond(notAfter)),
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

/** The authority key identifier of what `ca` signs: its own subject key identifier (RFC 5280, 4.2.1.1). */
function issuerKeyId(ca: Certificate): x509.Extension {
  const keyId = ca.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  if (!keyId) throw new WeftError("unavailable", "the CA certificate has no subject key identifier", { help: "put it back from a backup" });
  return new x509.AuthorityKeyIdentifierExtension(keyId);
}
