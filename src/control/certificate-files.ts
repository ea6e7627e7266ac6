/** An operator's certificate and key, read again when the files change, as those who renew such files expect. */
import { readFile } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { certificateTrouble, pairTrouble } from "../lib/pem.ts";
import type { ServerCertificate } from "../lib/server-tls.ts";

/** Nobody tells when a file changes over every file system. */
const LOOK_AGAIN_MS = 30_000;

export interface CertificateFilesOptions {
  readonly certificate: string;
  readonly key: string;
  readonly clock: Clock;
  /** The files are no pair that can be served any more; the one before stays in use. */
  readonly onTrouble: (message: string) => void;
}

export interface CertificateFiles extends ServerCertificate {
  close(): void;
}

/** @throws WeftError "unavailable" where there is nothing to serve with */
export async function openCertificateFiles({ certificate, key, clock, onTrouble }: CertificateFilesOptions): Promise<CertificateFiles> {
  const read = async () => {
    const [chain, privateKey] = await Promise.all([readFile(certificate, "utf8"), readFile(key, "utf8")]).catch((cause: unknown) => {
      throw new WeftError("unavailable", `the bundle endpoint's certificate cannot be read: ${WeftError.from(cause).message}`, { cause });
    });
    const trouble = certificateTrouble(chain) ?? pairTrouble(chain, privateKey);
    if (trouble) throw new WeftError("unavailable", `the bundle endpoint cannot serve with ${certificate} and ${key}: ${trouble.message}`);
    return { chain, key: privateKey };
  };
  const listeners = new Set<() => void>();
  let current = await read();
  let told: string | undefined;
  let cancel = () => {};
  const look = async () => {
    try {
      const next = await read();
      told = undefined;
      if (next.chain !== current.chain || next.key !== current.key) {
        current = next;
        for (const listener of listeners) listener();
      }
    } catch (reason) {
      const { message } = WeftError.from(reason);
      if (message !== told) onTrouble(`${message}; the one before stays in use`);
      told = message;
    }
    cancel = isClosed ? () => {} : clock.after(LOOK_AGAIN_MS, () => void look());
  };
  let isClosed = false;
  cancel = clock.after(LOOK_AGAIN_MS, () => void look());
  return {
    current: () => current,
    onRenewal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      isClosed = true;
      cancel();
      listeners.clear();
    },
  };
}
