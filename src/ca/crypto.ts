/**
 * The one place that chooses who does the cryptography. For authorities: @peculiar/webcrypto (over node:crypto), under @peculiar/x509 for the
 * ASN.1. Others import x509 from here, because reflect-metadata must be loaded before it. For what they sign, by the thousand: node:crypto
 * itself, at once, since a key and a signature take some 20 us each, less than it takes to hand them to a thread.
 */
import "reflect-metadata";
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { Crypto } from "@peculiar/webcrypto";
import * as x509 from "@peculiar/x509";
import { WeftError } from "../lib/errors.ts";

const provider = new Crypto();
// Bun adds timingSafeEqual to the global type Crypto; x509 does not use it.
x509.cryptoProvider.set(provider as unknown as globalThis.Crypto);

export { x509 };
export type PrivateKey = CryptoKey;
export type PublicKey = CryptoKey;

export interface KeyPair {
  readonly privateKey: PrivateKey;
  readonly publicKey: PublicKey;
}

/** ECDSA P-256 with SHA-256: what every TLS stack has, and Envoy's own default. */
const KEY = { name: "ECDSA", namedCurve: "P-256" };
export const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };

export type SigningAlgorithm = { readonly name: string; readonly hash: string };

export async function generateKeyPair(): Promise<KeyPair> {
  return await provider.subtle.generateKey(KEY, true, ["sign", "verify"]);
}

/** PKCS #8, PEM. */
export async function exportPrivateKeyPem(key: PrivateKey): Promise<string> {
  return `${x509.PemConverter.encode(await provider.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

/** @throws whatever the provider throws where `pem` holds no PKCS #8 P-256 key. */
export async function importKeyPair(pem: string): Promise<KeyPair> {
  const der = x509.PemConverter.decodeFirst(pem);
  const privateKey = await provider.subtle.importKey("pkcs8", der, KEY, true, ["sign"]);
  const { kty, crv, x, y } = await provider.subtle.exportKey("jwk", privateKey);
  const publicKey = await provider.subtle.importKey("jwk", { kty, crv, x, y }, KEY, true, ["verify"]);
  return { privateKey, publicKey };
}

/** A private key of weft's own, ready to sign at once. */
export type SigningKey = KeyObject;

const signingKeys = new WeakMap<PrivateKey, Promise<SigningKey>>();

/** The same P-256 key, for signBytes and signToken. */
export function signingKeyOf(key: PrivateKey): Promise<SigningKey> {
  const known = signingKeys.get(key) ?? toSigningKey(key);
  signingKeys.set(key, known);
  return known;
}

async function toSigningKey(key: PrivateKey): Promise<SigningKey> {
  const der = Buffer.from(await provider.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

/** ECDSA with SHA-256; Ecdsa-Sig-Value, DER, as certificates have it (RFC 5758, 3.2). */
export const signBytes = (bytes: Uint8Array, key: SigningKey): Uint8Array => sign("sha256", bytes, key);

/** ECDSA with SHA-256; R and S, 32 bytes each, as tokens have it (ES256: RFC 7518, 3.4). */
export const signToken = (text: string, key: SigningKey): Buffer =>
  sign("sha256", new TextEncoder().encode(text), { key, dsaEncoding: "ieee-p1363" });

export interface LeafKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
}

/** A new P-256 key for an SVID. */
export function generateLeafKey(): LeafKey {
  const { publicKey, privateKey } = generateKeyPairSync("ec", {
    namedCurve: KEY.namedCurve,
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return { publicKey, privateKeyPem: privateKey };
}

/** SubjectPublicKeyInfo of P-256 keys up to the point, which is not compressed (RFC 5480, 2). */
const P256_PREFIX = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
const P256_BYTES = 91;

/** `spki` itself, where it is the public key of a P-256 key in the one form that leaf.ts writes. @throws WeftError "invalid" */
export function leafPublicKey(spki: Uint8Array): Uint8Array {
  const der = Buffer.from(spki);
  try {
    // A point that is not on the curve is refused here.
    createPublicKey({ key: der, format: "der", type: "spki" });
    if (der.length === P256_BYTES && der.toString("hex").startsWith(P256_PREFIX)) return der;
  } catch {
    // Said below, in words of ours.
  }
  throw new WeftError("invalid", "the public key is none of curve P-256, as SubjectPublicKeyInfo with the point not compressed");
}

/** SubjectPublicKeyInfo, DER, hex: equal for equal keys. */
export async function publicKeyHex(key: PublicKey): Promise<string> {
  return Buffer.from(await provider.subtle.exportKey("spki", key)).toString("hex");
}

/** `count` bytes from the system's generator, as hex. */
export function randomHex(count: number): string {
  return randomBytes(count).toString("hex");
}

/**
 * A key of an operator's, which may be of another sort than weft's own: RSA of 2048 bits or more, P-256, P-384; with the algorithm by which it
 * signs. Undefined for any other.
 * @throws whatever node:crypto throws where `pem` holds no private key, or an encrypted one
 */
export async function importOperatorKey(
  pem: string,
): Promise<{ readonly key: PrivateKey; readonly algorithm: SigningAlgorithm; readonly publicKeyHex: string } | undefined> {
  const key = createPrivateKey(pem);
  const sort = operatorKeySort(key);
  if (!sort) return undefined;
  const der = key.export({ type: "pkcs8", format: "der" });
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  return {
    key: await provider.subtle.importKey("pkcs8", new Uint8Array(der), sort.key, false, ["sign"]),
    algorithm: sort.signature,
    publicKeyHex: spki.toString("hex"),
  };
}

function operatorKeySort(key: KeyObject) {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2048) {
    const signature = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    return { key: signature, signature };
  }
  if (key.asymmetricKeyType !== "ec") return undefined;
  if (namedCurve === "prime256v1") return { key: KEY, signature: SIGNATURE };
  return namedCurve === "secp384r1"
    ? { key: { name: "ECDSA", namedCurve: "P-384" }, signature: { name: "ECDSA", hash: "SHA-384" } }
    : undefined;
}
