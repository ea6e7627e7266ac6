/**
 * The certificate of an X.509-SVID, written by hand: its shape is fixed (X509-SVID standard, RFC 5280), and a general ASN.1 library takes
 * thirty times as long for it as the cryptography. A test holds its bytes to that library's.
 */
import { createHash } from "node:crypto";
import { WeftError } from "../lib/errors.ts";
import { SERIAL_BYTES } from "./constants.ts";
import { randomHex, type SigningKey, signBytes } from "./crypto.ts";
import { ascii, bitString, type Der, explicit, implicit, integer, isTrue, objectIdentifier, octetString, sequence, time } from "./der.ts";
import { NOT_BEFORE_BACKDATE_MS } from "./lifetimes.ts";
import { keyIdOf, pemBlock } from "./pem.ts";
import { parseSpiffeId } from "./spiffe-id.ts";
import type { Certificate } from "./template.ts";

const VERSION_3 = explicit(0, integer(Uint8Array.of(2)));
/** ecdsa-with-SHA256 (RFC 5758, 3.2): without parameters. */
const ALGORITHM = sequence(objectIdentifier("1.2.840.10045.4.3.2"));
/** Empty: the identity is the SAN alone, which therefore is critical (RFC 5280, 4.2.1.6). */
const SUBJECT = sequence();
/** An uncompressed point on P-256, with which a SubjectPublicKeyInfo ends (RFC 5480, 2.2). */
const POINT_BYTES = 65;

function extension(oid: string, critical: boolean, value: Der): Der {
  return sequence(objectIdentifier(oid), ...(critical ? [isTrue()] : []), octetString(value));
}

/** What is the same in all SVIDs. */
const CONSTANT: readonly Der[] = [
  // 4.1: cA MUST be false, which is the default and so left out.
  extension("2.5.29.19", true, sequence()),
  // 4.3: digitalSignature MUST, keyCertSign and cRLSign MUST NOT. keyEncipherment may not stand with an EC key (RFC 8813, 3). One bit of eight.
  extension("2.5.29.15", true, Uint8Array.of(0x03, 0x02, 0x07, 0x80)),
  // 4.4: serverAuth and clientAuth, because every workload is client and server.
  extension("2.5.29.37", false, sequence(objectIdentifier("1.3.6.1.5.5.7.3.1"), objectIdentifier("1.3.6.1.5.5.7.3.2"))),
];

/** What is the same in all that one CA signs. */
interface IssuerParts {
  readonly name: Der;
  readonly keyId: Der;
}

const issuers = new WeakMap<Certificate, IssuerParts>();

function issuerParts(ca: Certificate): IssuerParts {
  const known = issuers.get(ca);
  if (known) return known;
  const keyId = keyIdOf(ca);
  if (!keyId) throw new WeftError("unavailable", "the CA certificate has no subject key identifier", { help: "put it back from a backup" });
  const parts = {
    name: new Uint8Array(ca.subjectName.toArrayBuffer()),
    // Its own subject key identifier (RFC 5280, 4.2.1.1): keyIdentifier is [0].
    keyId: extension("2.5.29.35", false, sequence(implicit(0, Buffer.from(keyId, "hex")))),
  };
  issuers.set(ca, parts);
  return parts;
}

export interface SvidRequest {
  readonly spiffeId: string;
  /** The CA's own: it signs for no other. */
  readonly trustDomain: string;
  /** Of a P-256 key: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly ca: Certificate;
  /** P-256. */
  readonly caKey: SigningKey;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lifetimeMs: number;
}

export interface SignedSvid {
  /** One block with a newline at its end. */
  readonly pem: string;
  /** Hex. */
  readonly serial: string;
  /** Milliseconds since the epoch, whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** An X.509-SVID. @throws WeftError "invalid" (not a SPIFFE ID of a workload in the trust domain), "unavailable" (the CA's own certificate is not valid now). */
export function signSvid({ spiffeId, trustDomain, publicKey, ca, caKey, now, lifetimeMs }: SvidRequest): SignedSvid {
  checkSpiffeId(spiffeId, trustDomain);
  checkValid(ca, now);
  const serial = randomHex(SERIAL_BYTES);
  const notBefore = wholeSecond(Math.max(now - NOT_BEFORE_BACKDATE_MS, ca.notBefore.getTime()));
  const notAfter = wholeSecond(Math.min(now + lifetimeMs, ca.notAfter.getTime()));
  const body = svidBody({ spiffeId, publicKey, ca, serial, notBefore, notAfter });
  const certificate = sequence(body, ALGORITHM, bitString(signBytes(body, caKey)));
  return { pem: pemBlock("CERTIFICATE", certificate), serial, notBefore, notAfter };
}

export interface SvidBody extends Pick<SvidRequest, "spiffeId" | "publicKey" | "ca"> {
  /** Hex. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What is signed: TBSCertificate (RFC 5280, 4.1.2). */
export function svidBody({ spiffeId, publicKey, ca, serial, notBefore, notAfter }: SvidBody): Der {
  const { name, keyId } = issuerParts(ca);
  const extensions = sequence(
    ...CONSTANT,
    // 2: exactly one URI SAN; uniformResourceIdentifier is [6].
    extension("2.5.29.17", true, sequence(implicit(6, ascii(spiffeId)))),
    // RFC 5280, 4.2.1.2, method 1: SHA-1 of the key's bits.
    extension("2.5.29.14", false, octetString(createHash("sha1").update(publicKey.subarray(-POINT_BYTES)).digest())),
    keyId,
  );
  const validity = sequence(time(notBefore), time(notAfter));
  return sequence(VERSION_3, integer(Buffer.from(serial, "hex")), ALGORITHM, name, validity, SUBJECT, publicKey, explicit(3, extensions));
}

function checkSpiffeId(spiffeId: string, trustDomain: string): void {
  const id = parseSpiffeId(spiffeId);
  if (id.trustDomain !== trustDomain) {
    throw new WeftError("invalid", `"${spiffeId}" is of trust domain ${id.trustDomain}, and this CA is of ${trustDomain}`);
  }
  if (id.path === "") {
    // 3.1: a leaf's SPIFFE ID has a path.
    throw new WeftError("invalid", `"${spiffeId}" names a trust domain, not a workload: it cannot be an SVID's SPIFFE ID`);
  }
}

function checkValid(ca: Certificate, now: number): void {
  if (now >= ca.notBefore.getTime() && now < ca.notAfter.getTime()) return;
  const span = `${ca.notBefore.toISOString()} to ${ca.notAfter.toISOString()}`;
  throw new WeftError("unavailable", `the CA certificate is valid from ${span}, and it is ${new Date(now).toISOString()} now`, {
    help: "set the machine's clock right; where it is, weft makes a new CA by itself: see weft ca show",
  });
}

/** DER knows whole seconds only. */
export function wholeSecond(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000) * 1_000;
}
