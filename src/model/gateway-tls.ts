/**
 * The TLS of a Gateway's server. istio/api networking/v1alpha3/gateway.proto ServerTLSSettings, checked as Istio's validateTLSOptions does.
 */
import type * as v from "valibot";
import { filled } from "./common.ts";
import { checkCredentialName } from "./credential-name.ts";
import { choice, flag, list, needed, notYet, object, type Report, text } from "./schema.ts";

export const TLS_VERSIONS = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] as const;

/** Those that Envoy knows (Istio, pkg/config/security/security.go ValidCipherSuites). */
export const CIPHER_SUITES: ReadonlySet<string> = new Set([
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
]);

export const serverTls = object(
  {
    httpsRedirect: flag(),
    mode: choice(["PASSTHROUGH", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"], {
      AUTO_PASSTHROUGH: "it joins the networks of several clusters: write PASSTHROUGH, with the tls routes of a VirtualService",
    }),
    serverCertificate: text(),
    privateKey: text(),
    caCertificates: text(),
    caCrl: text(),
    credentialName: text(checkCredentialName),
    credentialNames: list(text(checkCredentialName), (names, report) => checkCount(names, "a certificate of each key type", report)),
    caCertCredentialName: text(checkCredentialName),
    tlsCertificates: list(
      object({
        serverCertificate: needed(filled()),
        privateKey: needed(filled()),
        caCertificates: notYet("Istio does not use it: write caCertificates beside tlsCertificates"),
      }),
      (files, report) => checkCount(files, "a certificate of each key type", report),
    ),
    subjectAltNames: list(filled()),
    verifyCertificateSpki: list(text(checkSpki)),
    verifyCertificateHash: list(text(checkHash)),
    insecureSkipVerify: flag(),
    minProtocolVersion: choice(TLS_VERSIONS),
    maxProtocolVersion: choice(TLS_VERSIONS),
    cipherSuites: list(text(), checkCipherSuites),
  },
  checkServerTls,
);

export type ServerTls = v.InferOutput<typeof serverTls>;

export function checkCipherSuites(suites: readonly string[], report: Report): void {
  for (const [index, suite] of suites.entries()) {
    const at = { path: [index], severity: "warning" } as const;
    if (!CIPHER_SUITES.has(suite))
      report("noEffect", `${suite} is no cipher suite that Envoy knows, and is left out`, {
        ...at,
        help: `known here: ${[...CIPHER_SUITES].join(", ")}`,
      });
    else if (suites.indexOf(suite) < index) report("noEffect", `${suite} occurs twice`, at);
  }
}

type Spec = {
  readonly httpsRedirect?: boolean;
  readonly mode?: "PASSTHROUGH" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL" | "OPTIONAL_MUTUAL";
  readonly insecureSkipVerify?: boolean;
  readonly tlsCertificates?: readonly unknown[];
} & { readonly [K in (typeof LISTS)[number]]?: readonly string[] } & {
  readonly [K in (typeof FILES)[number] | "credentialName" | "caCertCredentialName" | "minProtocolVersion" | "maxProtocolVersion"]?: string;
};

const FILES = ["serverCertificate", "privateKey", "caCertificates", "caCrl"] as const;
const LISTS = ["credentialNames", "subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash", "cipherSuites"] as const;
const PARAMETERS = ["minProtocolVersion", "maxProtocolVersion", "cipherSuites"] as const;
const STORED = ["credentialName", "credentialNames"] as const;
/** What is asked of clients' certificates. */
const CLIENTS = [
  "caCertCredentialName",
  "subjectAltNames",
  "verifyCertificateSpki",
  "verifyCertificateHash",
  "insecureSkipVerify",
] as const;

export function checkServerTls(tls: Spec, report: Report): void {
  const { mode = "PASSTHROUGH" } = tls;
  const warnUnused = (fields: readonly (keyof Spec)[], reason: string) => {
    for (const field of fields.filter((name) => isSet(tls[name]))) {
      report("noEffect", reason, { path: [field], atKey: true, severity: "warning" });
    }
  };
  switch (mode) {
    case "ISTIO_MUTUAL":
      for (const field of [...FILES.slice(0, 3), ...STORED, "tlsCertificates"] as const) {
        if (isSet(tls[field])) report("exclusive", "ISTIO_MUTUAL uses the mesh's own certificates", { path: [field], atKey: true });
      }
      warnUnused(
        [...PARAMETERS, "caCertCredentialName", "verifyCertificateSpki", "verifyCertificateHash"],
        "has no effect with ISTIO_MUTUAL",
      );
      return;
    case "PASSTHROUGH":
      warnUnused([...FILES, ...STORED, "tlsCertificates", ...PARAMETERS, ...CLIENTS], "has no effect with PASSTHROUGH, which ends no TLS");
      return;
    default:
      checkCertificates(tls, mode, report);
      if (mode === "SIMPLE") warnUnused(["caCertificates", ...CLIENTS], "has no effect with SIMPLE, which asks for no client certificate");
  }
  const isOld = tls.minProtocolVersion === "TLSV1_0" || tls.minProtocolVersion === "TLSV1_1";
  if (isOld && !tls.cipherSuites?.length) {
    report("surprising", "no default cipher suite works below TLS 1.2: needs cipherSuites", {
      path: ["minProtocolVersion"],
      severity: "warning",
    });
  }
}

function checkCertificates(tls: Spec, mode: "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL", report: Report): void {
  const isStored = STORED.some((field) => isSet(tls[field]));
  const given = [tls.serverCertificate && tls.privateKey, tls.credentialName, tls.credentialNames?.length, tls.tlsCertificates?.length];
  if (given.filter(Boolean).length > 1) {
    report(
      "exclusive",
      "only one of serverCertificate with privateKey, credentialName, credentialNames, tlsCertificates says what to show",
    );
  }
  if (!isStored) {
    for (const field of tls.tlsCertificates?.length ? [] : (["serverCertificate", "privateKey"] as const)) {
      if (!tls[field]) report("missing", `${mode} needs ${field}, or credentialName`);
    }
    if (mode !== "SIMPLE" && !tls.caCertificates) report("missing", `${mode} needs caCertificates, to verify clients by`);
    if (isSet(tls.caCertCredentialName) && mode !== "SIMPLE") {
      report("noEffect", "goes with credentialName only", { path: ["caCertCredentialName"], atKey: true, severity: "warning" });
    }
  } else {
    for (const field of ["serverCertificate", "privateKey", "caCertificates"] as const) {
      if (tls[field]) report("noEffect", "has no effect beside credentialName", { path: [field], atKey: true, severity: "warning" });
    }
    // Istio means to refuse it, and takes it.
    if (tls.caCrl) {
      const help = "put the list of what is revoked into the Secret, as ca.crl";
      report("noEffect", "has no effect beside credentialName", { path: ["caCrl"], atKey: true, severity: "warning", help });
    }
    return;
  }
  if (mode === "SIMPLE" && tls.caCrl) report("exclusive", "SIMPLE asks for no client certificate", { path: ["caCrl"], atKey: true });
}

function isSet(value: unknown): boolean {
  return Boolean(value) && value !== "TLS_AUTO" && !(Array.isArray(value) && value.length === 0);
}

/** Envoy chooses by the key type; a third could never be shown. */
function checkCount(items: readonly unknown[], what: string, report: Report): void {
  if (items.length > 2) report("surprising", `two are enough: ${what}`, { severity: "warning" });
}

/** Base64 of a SHA-256 (Envoy, CertificateValidationContext.verify_certificate_spki). */
export function checkSpki(hash: string, report: Report): void {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(hash)) report("badValue", "must be the SHA-256 of a public key, in base64: 44 characters");
}

/** Hexadecimal, with colons or without (verify_certificate_hash). */
export function checkHash(hash: string, report: Report): void {
  const isHash = /^[0-9A-Fa-f]{64}$/.test(hash) || /^(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$/.test(hash);
  if (!isHash) report("badValue", "must be the SHA-256 of a certificate, in hexadecimal: 64 digits, or pairs with colons");
}
