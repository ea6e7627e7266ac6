/**
 * The one place that chooses who does the cryptography: @peculiar/webcrypto (over node:crypto), under @peculiar/x509 for the ASN.1. Others
 * import x509 from here, because reflect-metadata must be loaded before it.
 */
import "reflect-metadata";
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

/** SubjectPublicKeyInfo, DER, hex: equal for equal keys. */
export async function publicKeyHex(key: PublicKey): Promise<string> {
  return Buffer.from(await provider.subtle.exportKey("spki", key)).toString("hex");
}

/** `count` bytes from the system's generator, as hex. */
export function randomHex(count: number): string {
  return Buffer.from(provider.getRandomValues(new Uint8Array(count))).toString("hex");
}
