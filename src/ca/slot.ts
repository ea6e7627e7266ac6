/**
 * A slot: one CA key with its certificate, in two files. There is one slot now; a prepared next one is another of these.
 *
 * The key is written first. A crash then leaves nothing, or a key without a certificate, which nobody has seen yet and which is
 * certified at the next start. A certificate without its key can only mean that the key was taken away.
 */
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { exportPrivateKeyPem, generateKeyPair, importKeyPair, type KeyPair, publicKeyHex, x509 } from "./crypto.ts";
import type { Disk } from "./disk.ts";
import { readPublic, readSecret, writeAtomically } from "./secret-file.ts";
import { trustDomainId } from "./spiffe-id.ts";
import { type Certificate, signCaCertificate } from "./template.ts";

export interface Slot {
  readonly certificate: Certificate;
  /** As it stands in the file. */
  readonly certificatePem: string;
  readonly keys: KeyPair;
}

export interface SlotFiles {
  readonly keyPath: string;
  readonly certificatePath: string;
}

export function slotFiles(dir: string): SlotFiles {
  return { keyPath: join(dir, "ca-key.pem"), certificatePath: join(dir, "ca.pem") };
}

/** Loads the slot, or makes what of it is not there yet. @throws WeftError naming the file and its mend. */
export async function openSlot(disk: Disk, files: SlotFiles, trustDomain: string, now: number): Promise<Slot> {
  const certificatePem = await readPublic(disk, files.certificatePath, "the CA certificate");
  if (certificatePem !== undefined) return await loadSlot(disk, files, trustDomain);
  const keyPem = await readSecret(disk, files.keyPath, "the CA's key");
  const keys = keyPem === undefined ? await generateKeyPair() : await parseKey(keyPem, files.keyPath);
  if (keyPem === undefined) await writeAtomically(disk, files.keyPath, await exportPrivateKeyPem(keys.privateKey), 0o600);
  const certificate = await signCaCertificate(trustDomain, keys, now);
  await writeAtomically(disk, files.certificatePath, toPem(certificate), 0o644);
  return await loadSlot(disk, files, trustDomain);
}

/** Reads both files and proves that they belong together and to `trustDomain`. @throws WeftError naming the file and its mend. */
export async function loadSlot(disk: Disk, files: SlotFiles, trustDomain: string): Promise<Slot> {
  const { keyPath, certificatePath } = files;
  const keyPem = await readSecret(disk, keyPath, "the CA's key");
  const certificatePem = await readPublic(disk, certificatePath, "the CA certificate");
  if (certificatePem === undefined) {
    throw new WeftError("unavailable", `the CA certificate ${certificatePath} is gone`, { help: "put it back from a backup" });
  }
  if (keyPem === undefined) {
    throw new WeftError("unavailable", `the CA certificate ${certificatePath} is there, but its key ${keyPath} is gone`, {
      help: `put the key back from a backup; or start a new CA, which every proxy then has to learn: rm ${certificatePath} and restart weft`,
    });
  }
  const keys = await parseKey(keyPem, keyPath);
  const certificate = parseCertificate(certificatePem, certificatePath);
  if ((await publicKeyHex(keys.publicKey)) !== Buffer.from(certificate.publicKey.rawData).toString("hex")) {
    throw new WeftError("unavailable", `the CA's key ${keyPath} does not belong to the CA certificate ${certificatePath}`, {
      help: "put both back from the same backup",
    });
  }
  const expected = trustDomainId(trustDomain);
  const found = uriNames(certificate);
  if (found.length !== 1 || found[0] !== expected) {
    throw new WeftError(
      "invalid",
      `the CA certificate ${certificatePath} is for ${found.join(", ") || "no trust domain"}, not ${expected}`,
      {
        help: "start weft with the trust domain that the certificate names (--trust-domain), or with another data directory (--data)",
      },
    );
  }
  return { certificate, certificatePem: toPem(certificate), keys };
}

async function parseKey(pem: string, path: string): Promise<KeyPair> {
  try {
    return await importKeyPair(pem);
  } catch (reason) {
    throw new WeftError("unavailable", `${path} does not hold a PKCS #8 PEM key on curve P-256`, {
      help: "put the key back from a backup",
      cause: reason,
    });
  }
}

function parseCertificate(pem: string, path: string): Certificate {
  let certificate: Certificate;
  try {
    // Node's parser is the stricter one: it takes the first certificate, whole or not at all.
    certificate = new x509.X509Certificate(new X509Certificate(pem).raw);
  } catch (reason) {
    throw new WeftError("unavailable", `${path} does not hold a PEM certificate`, { help: "put it back from a backup", cause: reason });
  }
  const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
  if (!constraints?.ca) throw new WeftError("invalid", `${path} is no CA certificate`, { help: "put it back from a backup" });
  return certificate;
}

function uriNames(certificate: Certificate): string[] {
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  return names.filter((name) => name.type === "url").map((name) => name.value);
}

function toPem(certificate: Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
