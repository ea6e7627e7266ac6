/**
 * Secrets as they lie in the store: what is not public is sealed with AES-256-GCM under the key of the data directory, bound to its resource
 * and its name, so that a copy of the database tells nothing and a sealed value is good in no other place. What reads the store without the key
 * (list, get, watch, history) has no plaintext to leak.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from "node:crypto";
import { isPublicValue } from "../model/index.ts";

type Document = Readonly<Record<string, unknown>>;

interface SecretDocument {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: { readonly data: Readonly<Record<string, string>> };
}

const SEALED = "sealed:";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Seal {
  /** The document as it is stored: of a Secret, with its private values sealed. Equal documents are sealed alike. */
  close(document: Document): Document;
  /** As it was written. A value that the key does not open is left out, and told. */
  open(document: Document): Document;
}

/** `onTrouble`: of what could not be opened. */
export function createSeal(key: Uint8Array, onTrouble: (message: string) => void): Seal {
  const derive = (use: string) => Buffer.from(hkdfSync("sha256", key, new Uint8Array(), `weft secrets ${use}`, 32));
  const encryption = derive("encryption");
  const nonces = derive("nonces");

  const close = (text: string, place: string): string => {
    // From a secret hash of place and value: the same value in the same place has the same seal, so that applying it again changes nothing,
    // and two different ones never share a nonce.
    const nonce = createHmac("sha256", nonces)
      .update(JSON.stringify([place, text]))
      .digest()
      .subarray(0, NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", encryption, nonce).setAAD(Buffer.from(place));
    const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return `${SEALED}${sealed.toString("base64")}`;
  };
  const open = (sealed: string, place: string): string | undefined => {
    const bytes = Buffer.from(sealed.slice(SEALED.length), "base64");
    try {
      const decipher = createDecipheriv("aes-256-gcm", encryption, bytes.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(place));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString("utf8");
    } catch {
      return undefined;
    }
  };

  return {
    close: (document) => withData(document, (name, value, place) => [[name, isPublicValue(name, value) ? value : close(value, place)]]),
    open: (document) =>
      withData(document, (name, value, place) => {
        if (!value.startsWith(SEALED)) return [[name, value]];
        const opened = open(value, place);
        if (opened === undefined) {
          const { namespace, name: secret } = (document as unknown as SecretDocument).metadata;
          onTrouble(
            `${name} of Secret ${namespace}/${secret} was sealed with another secrets.key: put that file back, or apply the Secret again`,
          );
        }
        return opened === undefined ? [] : [[name, opened]];
      }),
  };
}

function withData(document: Document, map: (name: string, value: string, place: string) => (readonly [string, string])[]): Document {
  if (document.kind !== "Secret") return document;
  const { metadata, spec } = document as unknown as SecretDocument;
  const place = (name: string) => JSON.stringify([metadata.namespace, metadata.name, name]);
  const data = Object.fromEntries(Object.entries(spec.data).flatMap(([name, value]) => map(name, value, place(name))));
  return { ...document, spec: { ...spec, data } };
}
