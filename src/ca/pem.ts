/** PEM certificates as operators and files have them. */
import { X509Certificate } from "node:crypto";
import { WeftError } from "../lib/errors.ts";
import { sha256 } from "../lib/hash.ts";
import { x509 } from "./crypto.ts";
import type { Certificate } from "./template.ts";
import type { CertificateReport } from "./types.ts";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Every certificate of `text`, in its order, each in the one form that weft writes. `what` names it: "the CA certificate PATH". @throws WeftError "unavailable" */
export function parseCertificates(text: string, what: string): Certificate[] {
  try {
    // Node's parser is the stricter one: it takes a certificate whole or not at all.
    const all = [...text.matchAll(BLOCK)].map(([pem]) => new x509.X509Certificate(new X509Certificate(pem).raw));
    if (all.length === 0) throw new Error("there is no BEGIN CERTIFICATE");
    return all;
  } catch (reason) {
    throw new WeftError("unavailable", `${what} holds no PEM certificate`, {
      help: "put it back from a backup, or name another file",
      cause: reason,
    });
  }
}

const LINE = /.{1,64}/g;

/** RFC 7468, section 3: lines of 64 characters. One block with a newline at its end. */
export function pemBlock(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("base64").match(LINE) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** One block with a newline at its end. */
export function toPem(certificate: Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

export const fingerprintOf = (certificate: Certificate): string => sha256(new Uint8Array(certificate.rawData));

/** Of the key, hex: what the authority key identifiers of what it signs name. */
export const keyIdOf = (certificate: Certificate): string | undefined =>
  certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;

/** URI SANs. */
export function uriNames(certificate: Certificate): string[] {
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  return names.filter((name) => name.type === "url").map((name) => name.value);
}

export function describeCertificate(certificate: Certificate): CertificateReport {
  return {
    subject: certificate.subject,
    serial: certificate.serialNumber,
    fingerprint: fingerprintOf(certificate),
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
  };
}
