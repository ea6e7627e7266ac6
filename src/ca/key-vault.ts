/**
 * The private keys of the authorities: one file each in the folder `ca` of the data directory, 0600, in PEM, or, where the operator gives a file
 * with a key for that, encrypted.
 *
 * Encrypted with AES-256-GCM; its key comes by HKDF-SHA256 (RFC 5869) from the operator's bytes and a salt of the file's own. HKDF and not a slow
 * password hash, because the bytes must be a key, not a password: `head -c 32 /dev/urandom`.
 */
import { join } from "node:path";
import * as v from "valibot";
import { WeftError } from "../lib/errors.ts";
import type { Disk } from "./disk.ts";
import { readSecret, writeAtomically } from "./secret-file.ts";

/** Where the operator's bytes for encryption are. */
export interface SecretSource {
  readonly path: string;
  /** A file among systemd's credentials, whose group bits mean an access control list. */
  readonly credential: boolean;
}

export interface KeyVault {
  /** Where the key `id` is, for messages. */
  path(id: string): string;
  write(id: string, pem: string): Promise<void>;
  /** PKCS #8, PEM, or undefined where there is no such key. @throws WeftError naming the file and its mend. */
  read(id: string): Promise<string | undefined>;
  /** Deletes every key but those of `ids`. */
  keepOnly(ids: ReadonlySet<string>): Promise<void>;
  /** Makes what is on the disk as it is wanted now: encrypts keys that are not, where a key for that is given. */
  renew(ids: Iterable<string>): Promise<void>;
}

const SUFFIX = ".key";
const LEAST_SECRET_BYTES = 32;
const INFO = new TextEncoder().encode("weft authority key 1");
const base64 = v.pipe(v.string(), v.base64());
const EncryptedSchema = v.strictObject({ format: v.literal("weft-encrypted-key-1"), salt: base64, nonce: base64, ciphertext: base64 });

/** @throws WeftError naming the operator's file and its mend */
export async function openKeyVault(disk: Disk, dir: string, secret?: SecretSource): Promise<KeyVault> {
  const path = (id: string) => join(dir, `${id}${SUFFIX}`);
  if (secret) await readBytes(disk, secret);

  const decrypt = async (id: string, text: string): Promise<string> => {
    if (!secret) {
      throw new WeftError("unavailable", `${path(id)} is encrypted, and weft was given no key for it`, {
        help: "start weft with --key-encryption-file FILE, the file that it was started with before",
      });
    }
    try {
      const { salt, nonce, ciphertext } = v.parse(EncryptedSchema, JSON.parse(text));
      const key = await derive(await readBytes(disk, secret), fromBase64(salt), "decrypt");
      const parameters = { name: "AES-GCM", iv: fromBase64(nonce), additionalData: new TextEncoder().encode(id) };
      return new TextDecoder().decode(await crypto.subtle.decrypt(parameters, key, fromBase64(ciphertext)));
    } catch (reason) {
      if (reason instanceof WeftError) throw reason;
      throw new WeftError("unavailable", `${path(id)} cannot be decrypted with ${secret.path}: it is another file's, or damaged`, {
        help: "give the file that weft was started with before, or put the key back from a backup",
        cause: reason,
      });
    }
  };
  const write = async (id: string, pem: string) =>
    await writeAtomically(disk, path(id), secret ? await encrypt(await readBytes(disk, secret), id, pem) : pem, 0o600);
  const stored = (id: string) => readSecret(disk, path(id), "the CA's key");
  const isEncrypted = (text: string) => text.startsWith("{");

  return {
    path,
    write,
    async read(id) {
      const text = await stored(id);
      return text === undefined || !isEncrypted(text) ? text : await decrypt(id, text);
    },
    async keepOnly(ids) {
      for (const name of await disk.list(dir)) {
        // With the left-overs of a crash, and nobody else's files.
        const id = /^((?:x509|jwt)-[\w-]+)\.key(?:\.new)?$/.exec(name)?.[1];
        if (id !== undefined && !(ids.has(id) && name.endsWith(SUFFIX))) await disk.remove(join(dir, name));
      }
    },
    async renew(ids) {
      for (const id of secret ? ids : []) {
        const text = await stored(id);
        if (text !== undefined && !isEncrypted(text)) await write(id, text);
      }
    },
  };
}

async function readBytes(disk: Disk, { path, credential }: SecretSource): Promise<string> {
  const text = await readSecret(disk, path, "the key for encryption", credential);
  if (text === undefined) {
    throw new WeftError("unavailable", `the key for encryption ${path} is not there`, {
      help: `put it back; or, for a first start: (umask 077; head -c 32 /dev/urandom | base64 > ${path})`,
    });
  }
  if (text.trim().length < LEAST_SECRET_BYTES) {
    throw new WeftError("invalid", `the key for encryption ${path} has fewer than ${LEAST_SECRET_BYTES} characters`, {
      help: `it must be a key, not a password: (umask 077; head -c 32 /dev/urandom | base64 > ${path})`,
    });
  }
  return text.trim();
}

async function encrypt(secret: string, id: string, pem: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const key = await derive(secret, salt, "encrypt");
  // The name is authenticated too, so that one authority's key cannot be put in another's place.
  const parameters = { name: "AES-GCM", iv: nonce, additionalData: new TextEncoder().encode(id) };
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(parameters, key, new TextEncoder().encode(pem)));
  const file = { format: "weft-encrypted-key-1", salt: salt.toBase64(), nonce: nonce.toBase64(), ciphertext: ciphertext.toBase64() };
  return `${JSON.stringify(file)}\n`;
}

async function derive(secret: string, salt: Uint8Array<ArrayBuffer>, usage: "encrypt" | "decrypt"): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), "HKDF", false, ["deriveKey"]);
  const parameters = { name: "HKDF", hash: "SHA-256", salt, info: INFO };
  return await crypto.subtle.deriveKey(parameters, material, { name: "AES-GCM", length: 256 }, false, [usage]);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text, "base64"));
}
