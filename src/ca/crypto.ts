/**
 * The one place that chooses who does the cryptography: @peculiar/webcrypto (over node:crypto), under @peculiar/x509 for the ASN.1. Others
 * import x509 from here, because reflect-metadata must be loaded before it.
 */
import "reflect-metadata";
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { Crypto } from "@peculiar/webcrypto";
import * as x509 from "@peculiar/x509";

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

const nativeKeys = new WeakMap<KeyPair, Promise<globalThis.CryptoKey>>();

/** The same private key for jose, which takes the runtime's own keys only. Not extractable. */
export function nativeSigningKey(pair: KeyPair): Promise<globalThis.CryptoKey> {
  const known = nativeKeys.get(pair) ?? toNative(pair.privateKey);
  nativeKeys.set(pair, known);
  return known;
}

async function toNative(key: PrivateKey): Promise<globalThis.CryptoKey> {
  return await globalThis.crypto.subtle.importKey("pkcs8", await provider.subtle.exportKey("pkcs8", key), KEY, false, ["sign"]);
}

/** SubjectPublicKeyInfo, DER, hex: equal for equal keys. */
export async function publicKeyHex(key: PublicKey): Promise<string> {
  return Buffer.from(await provider.subtle.exportKey("spki", key)).toString("hex");
}

/** `count` bytes from the system's generator, as hex. */
export function randomHex(count: number): string {
  return Buffer.from(provider.getRandomValues(new Uint8Array(count))).toString("hex");
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
