/**
 * The CA of versions before rotation: one key and one certificate, a root for ten years, in ca-key.pem and ca.pem. It is taken over as the active
 * authority, and then replaced like any other: nothing that it signed stops being trusted before its end.
 */
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { importKeyPair, publicKeyHex, x509 } from "./crypto.ts";
import type { Disk } from "./disk.ts";
import type { JournalEntry } from "./journal.ts";
import type { Lifetimes } from "./lifetimes.ts";
import { keyIdOf, parseCertificates, toPem, uriNames } from "./pem.ts";
import { readPublic, readSecret } from "./secret-file.ts";
import { trustDomainId } from "./spiffe-id.ts";

export interface Legacy {
  readonly entry: JournalEntry;
  readonly keyPem: string;
}

export const legacyKeyPath = (dir: string): string => join(dir, "ca-key.pem");

/** Undefined where there is none. @throws WeftError naming the file and its mend */
export async function readLegacy(
  disk: Disk,
  dir: string,
  trustDomain: string,
  now: number,
  lifetimes: Lifetimes,
): Promise<Legacy | undefined> {
  const keyPath = legacyKeyPath(dir);
  const certificatePath = join(dir, "ca.pem");
  const certificatePem = await readPublic(disk, certificatePath, "the CA certificate");
  // A key without a certificate was left by a first start that died: nobody has seen it.
  if (certificatePem === undefined) return undefined;
  const keyPem = await readSecret(disk, keyPath, "the CA's key");
  if (keyPem === undefined) {
    throw new WeftError("unavailable", `the CA certificate ${certificatePath} is there, but neither its journal nor its key ${keyPath}`, {
      help: `put the folder back from a backup; or start a new CA, which every proxy then has to learn: rm ${certificatePath} and restart weft`,
    });
  }
  const [certificate] = parseCertificates(certificatePem, `the CA certificate ${certificatePath}`);
  if (!certificate?.getExtension(x509.BasicConstraintsExtension)?.ca) {
    throw new WeftError("invalid", `${certificatePath} is no CA certificate`, { help: "put it back from a backup" });
  }
  const keys = await importKeyPair(keyPem).catch((reason) => {
    const message = `${keyPath} does not hold a PKCS #8 PEM key on curve P-256`;
    throw new WeftError("unavailable", message, { help: "put the key back from a backup", cause: reason });
  });
  if ((await publicKeyHex(keys.publicKey)) !== Buffer.from(certificate.publicKey.rawData).toString("hex")) {
    throw new WeftError("unavailable", `the CA's key ${keyPath} does not belong to the CA certificate ${certificatePath}`, {
      help: "put both back from the same backup",
    });
  }
  const [found, expected] = [uriNames(certificate), trustDomainId(trustDomain)];
  if (found.length !== 1 || found[0] !== expected) {
    throw new WeftError(
      "invalid",
      `the CA certificate ${certificatePath} is for ${found.join(", ") || "no trust domain"}, not ${expected}`,
      {
        help: "start weft with the trust domain that the certificate names (--trust-domain), or with another data directory (--data)",
      },
    );
  }
  const pem = toPem(certificate);
  const entry: JournalEntry = {
    id: keyIdOf(certificate) ?? certificate.serialNumber,
    type: "x509",
    state: "active",
    notBefore: certificate.notBefore.getTime(),
    notAfter: certificate.notAfter.getTime(),
    // Its life is counted from now on: by its own times it would be overdue, or good for years.
    preparedAt: now,
    activatedAt: now,
    leafMs: lifetimes.x509SvidMs,
    certificate: pem,
    issuers: [],
    roots: [pem],
  };
  return { entry, keyPem };
}
