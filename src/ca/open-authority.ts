/**
 * The CA in a data directory: a SPIFFE signing authority (X509-SVID, 3.2) whose key never leaves its file and this process.
 *
 * It signs with the key that it read at the start, so that trouble with the disk does not stop the mesh from renewing. `check` looks at the
 * files, and fails as soon as another start of weft would: a CA that lives in memory only is not healthy.
 */
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { sha256 } from "../lib/hash.ts";
import { PROBE_LIFETIME_MS, SVID_LIFETIME_MS } from "./constants.ts";
import { exportPrivateKeyPem, generateKeyPair } from "./crypto.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { loadSlot, openSlot, slotFiles } from "./slot.ts";
import { parseTrustDomain, workloadSpiffeId } from "./spiffe-id.ts";
import { type Certificate, signSvid } from "./template.ts";
import type { Authority, CertificateReport, X509Svid } from "./types.ts";

export interface AuthorityOptions {
  /** The data directory; the CA is in its folder `ca` (0700). */
  readonly dir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly disk?: Disk;
}

/**
 * Opens the CA, making it at the first start.
 * @throws WeftError "invalid" (trust domain), "unavailable" (files that are missing, unreadable, open to others or do not belong together).
 */
export async function openAuthority({ dir, trustDomain, clock, disk = nodeDisk }: AuthorityOptions): Promise<Authority> {
  parseTrustDomain(trustDomain);
  const files = slotFiles(join(dir, "ca"));
  const slot = await openSlot(disk, files, trustDomain, clock.now());

  return {
    trustDomain,
    bundlePem: () => slot.certificatePem,
    report: () => ({ trustDomain, certificates: [describe(slot.certificate)] }),

    async issueX509(spiffeId) {
      const keys = await generateKeyPair();
      const certificate = await signSvid({
        spiffeId,
        trustDomain,
        publicKey: keys.publicKey,
        ca: slot.certificate,
        caKey: slot.keys.privateKey,
        now: clock.now(),
        lifetimeMs: SVID_LIFETIME_MS,
      });
      const svid: X509Svid = {
        spiffeId,
        chainPem: `${certificate.toString("pem")}\n`,
        privateKeyPem: await exportPrivateKeyPem(keys.privateKey),
        serial: certificate.serialNumber,
        notBefore: certificate.notBefore.getTime(),
        notAfter: certificate.notAfter.getTime(),
        authorityId: slot.certificate.serialNumber,
      };
      return svid;
    },

    async check() {
      const now = clock.now();
      const onDisk = await loadSlot(disk, files, trustDomain);
      if (onDisk.certificatePem !== slot.certificatePem) {
        throw new WeftError("unavailable", `the CA certificate ${files.certificatePath} is not the one that weft started with`, {
          help: "put the old one back, or restart weft to use the new one",
        });
      }
      const { publicKey } = await generateKeyPair();
      const probe = await signSvid({
        spiffeId: workloadSpiffeId(trustDomain, "weft-system", "health-check"),
        trustDomain,
        publicKey,
        ca: onDisk.certificate,
        caKey: onDisk.keys.privateKey,
        now,
        lifetimeMs: PROBE_LIFETIME_MS,
      });
      if (!(await probe.verify({ publicKey: slot.certificate.publicKey, date: new Date(now) }))) {
        throw new WeftError("unavailable", `the CA's key ${files.keyPath} makes signatures that its certificate does not verify`, {
          help: "put the key and the certificate back from the same backup",
        });
      }
    },
  };
}

function describe(certificate: Certificate): CertificateReport {
  return {
    subject: certificate.subject,
    serial: certificate.serialNumber,
    fingerprint: sha256(new Uint8Array(certificate.rawData)),
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
  };
}
