/** Makes authorities: a key, and what of it goes into the journal. */
import { createPublicKey } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { WeftError } from "../lib/errors.ts";
import { exportPrivateKeyPem, generateKeyPair, importKeyPair, type KeyPair, publicKeyHex } from "./crypto.ts";
import type { JournalEntry } from "./journal.ts";
import type { Lifetimes } from "./lifetimes.ts";
import { NOT_BEFORE_BACKDATE_MS } from "./lifetimes.ts";
import { keyIdOf, parseCertificates, toPem } from "./pem.ts";
import { signCaCertificate } from "./template.ts";
import type { SvidType } from "./types.ts";
import type { Upstream } from "./upstream.ts";

export interface NewAuthority {
  readonly entry: JournalEntry;
  readonly keyPem: string;
  readonly keys: KeyPair;
}

export interface NewAuthorityOptions {
  readonly trustDomain: string;
  readonly now: number;
  readonly lifetimes: Lifetimes;
  readonly upstream: Upstream | undefined;
}

/** When an authority made now ends: with what signs it, at the latest. */
export function endOfNew(type: SvidType, { now, lifetimes, upstream }: Omit<NewAuthorityOptions, "trustDomain">): number {
  const end = now + lifetimes.authorityMs;
  return type === "x509" && upstream ? Math.min(end, upstream.notAfter) : end;
}

export async function makeAuthority(type: SvidType, options: NewAuthorityOptions): Promise<NewAuthority> {
  const { trustDomain, now, lifetimes, upstream } = options;
  const keys = await generateKeyPair();
  const keyPem = await exportPrivateKeyPem(keys.privateKey);
  const common = { type, state: "prepared", preparedAt: now } as const;
  if (type === "jwt") {
    const jwk = await publicJwk(keyPem);
    const times = { notBefore: now - NOT_BEFORE_BACKDATE_MS, notAfter: endOfNew("jwt", options), leafMs: lifetimes.jwtSvidMs };
    return { keys, keyPem, entry: { ...common, ...times, id: jwk.kid, jwk } };
  }
  const certificate = await signCaCertificate({ trustDomain, keys, now, notAfter: endOfNew("x509", options), issuer: upstream });
  const pem = toPem(certificate);
  const entry: JournalEntry = {
    ...common,
    id: keyIdOf(certificate) ?? certificate.serialNumber,
    notBefore: certificate.notBefore.getTime(),
    notAfter: certificate.notAfter.getTime(),
    leafMs: lifetimes.x509SvidMs,
    certificate: pem,
    issuers: [...(upstream?.issuers ?? [])],
    roots: [...(upstream?.roots ?? [pem])],
    ...(upstream ? { upstream: upstream.fingerprint } : {}),
  };
  return { entry, keyPem, keys };
}

/** Of the private key `pem`: with its RFC 7638 thumbprint as kid, and the one algorithm that it may be used with. */
async function publicJwk(pem: string): Promise<NonNullable<JournalEntry["jwk"]>> {
  const { kty = "", crv = "", x = "", y = "" } = createPublicKey(pem).export({ format: "jwk" });
  return { kty, crv, x, y, kid: await calculateJwkThumbprint({ kty, crv, x, y }), alg: "ES256" };
}

/** The pair of a stored key, which must be the one that the journal's entry is about. @throws WeftError naming `path` and its mend */
export async function openAuthorityKey(entry: JournalEntry, keyPem: string, path: string): Promise<KeyPair> {
  const help = `put the key back from a backup; or: rm ${path} and restart weft, which then makes a new authority beside this one`;
  const keys = await importKeyPair(keyPem).catch((reason) => {
    throw new WeftError("unavailable", `${path} does not hold a PKCS #8 PEM key on curve P-256`, { help, cause: reason });
  });
  if (!(await isKeyOf(entry, keys, keyPem))) {
    throw new WeftError("unavailable", `${path} is another key than the one that the CA's journal names`, { help });
  }
  return keys;
}

async function isKeyOf(entry: JournalEntry, keys: KeyPair, keyPem: string): Promise<boolean> {
  if (entry.type === "jwt") return (await publicJwk(keyPem)).kid === entry.id;
  const [certificate] = parseCertificates(entry.certificate ?? "", "the CA's journal");
  return (await publicKeyHex(keys.publicKey)) === Buffer.from(certificate?.publicKey.rawData ?? new ArrayBuffer(0)).toString("hex");
}
