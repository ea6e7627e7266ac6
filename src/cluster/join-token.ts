/**
 * What a new node brings: weft_join_ID.SECRET.NODE.PIN, all base64url. The ID finds the record, whose SHA-256 of the secret is all that is stored: with 256
 * random bits there is nothing to guess. NODE is the authority that made it, and the pins its CA by the SHA-256 of the public key (as kubeadm's
 * --discovery-token-ca-cert-hash does), so that the secret is said to nobody else: not to another node of the same CA either.
 */
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { WeftError } from "../lib/errors.ts";
import { isNodeName } from "../lib/node-name.ts";

/** So that a leaked one is recognised, by people and by secret scanners. */
const PREFIX = "weft_join_";
const ID_BYTES = 9;
const SECRET_BYTES = 32;
const FORM = /^weft_join_([\w-]{12})\.([\w-]{43})\.([\w-]{2,84})\.([\w-]{43}(?:\.[\w-]{43}){0,7})$/;

export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  /** The name of the authority that made it. */
  readonly authority: string;
  /** caPin of the roots that the authority may be known by, at least one. */
  readonly pins: readonly string[];
}

/** With a fresh ID and secret. */
export function newJoinToken(authority: string, pins: readonly string[]): JoinToken {
  return { authority, id: randomBytes(ID_BYTES).toString("base64url"), secret: randomBytes(SECRET_BYTES).toString("base64url"), pins };
}

export const formatJoinToken = ({ id, secret, authority, pins }: JoinToken): string =>
  `${PREFIX}${[id, secret, Buffer.from(authority).toString("base64url"), ...pins].join(".")}`;

/** @throws WeftError "invalid"; the token is not in it */
export function parseJoinToken(text: string): JoinToken {
  const [, id, secret, name, pins] = FORM.exec(text.trim()) ?? [];
  const authority = Buffer.from(name ?? "", "base64url").toString();
  if (id !== undefined && secret !== undefined && pins !== undefined && isNodeName(authority)) {
    return { id, secret, authority, pins: pins.split(".") };
  }
  throw new WeftError("invalid", "this is no join token, or not the whole of one", {
    help: "weft node token, on an authority, prints the whole line to call",
  });
}

/** As it lies in the store. */
export const joinSecretHash = (secret: string): string => createHash("sha256").update(secret).digest("hex");

/** SHA-256 of the certificate's public key (SubjectPublicKeyInfo, DER), base64url. `certificate`: PEM or DER. */
export const caPin = (certificate: string | Uint8Array): string =>
  createHash("sha256").update(publicKeyOf(certificate)).digest("base64url");

/** By which a node's key is known in the store. Hex. */
export const nodeKeyHash = (publicKey: Uint8Array): string => createHash("sha256").update(publicKey).digest("hex");

/** SubjectPublicKeyInfo, DER. */
export const publicKeyOf = (certificate: string | Uint8Array): Uint8Array =>
  new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
