/**
 * The TLS of a Gateway's server. istio/api networking/v1alpha3/gateway.proto ServerTLSSettings, checked as Istio's validateTLSOptions does.
 */
import type * as v from "valibot";
import { filled } from "./common.ts";
import { choice, flag, list, notYet, object, type Report, text } from "./schema.ts";

const USE_FILES = "write serverCertificate and privateKey: paths of PEM files on the gateway's own host";
const VERSIONS = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"] as const;

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
    credentialName: notYet(USE_FILES),
    credentialNames: notYet(USE_FILES),
    caCertCredentialName: notYet("write caCertificates: the path of a PEM file on the gateway's own host"),
    tlsCertificates: notYet(USE_FILES),
    subjectAltNames: list(filled()),
    verifyCertificateSpki: notYet("write caCertificates and subjectAltNames"),
    verifyCertificateHash: notYet("write caCertificates and subjectAltNames"),
    insecureSkipVerify: notYet("write mode SIMPLE: a client certificate that nobody verifies proves nothing"),
    minProtocolVersion: choice(VERSIONS),
    maxProtocolVersion: choice(VERSIONS),
    cipherSuites: list(text(), checkCipherSuites),
  },
  checkServerTls,
);

export type ServerTls = v.InferOutput<typeof serverTls>;

function checkCipherSuites(suites: readonly string[], report: Report): void {
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
  readonly cipherSuites?: readonly string[];
  readonly subjectAltNames?: readonly string[];
} & { readonly [K in FileField | "minProtocolVersion" | "maxProtocolVersion"]?: string };

type FileField = (typeof FILES)[number];
const FILES = ["serverCertificate", "privateKey", "caCertificates", "caCrl"] as const;
const PARAMETERS = ["minProtocolVersion", "maxProtocolVersion", "cipherSuites", "subjectAltNames"] as const;

function checkServerTls(tls: Spec, report: Report): void {
  const { mode = "PASSTHROUGH" } = tls;
  const warnUnused = (fields: readonly (keyof Spec)[], reason: string) => {
    for (const field of fields.filter((name) => isSet(tls[name]))) {
      report("noEffect", reason, { path: [field], atKey: true, severity: "warning" });
    }
  };
  switch (mode) {
    case "ISTIO_MUTUAL":
      for (const field of FILES.slice(0, 3)) {
        if (tls[field]) report("exclusive", "ISTIO_MUTUAL uses the mesh's own certificates", { path: [field], atKey: true });
      }
      warnUnused(["minProtocolVersion", "maxProtocolVersion", "cipherSuites"], "has no effect with ISTIO_MUTUAL");
      return;
    case "PASSTHROUGH":
      warnUnused([...FILES, ...PARAMETERS], "has no effect with PASSTHROUGH, which ends no TLS");
      return;
    default:
      checkFiles(tls, mode, report);
      if (mode === "SIMPLE")
        warnUnused(["caCertificates", "subjectAltNames"], "has no effect with SIMPLE, which asks for no client certificate");
  }
  const isOld = tls.minProtocolVersion === "TLSV1_0" || tls.minProtocolVersion === "TLSV1_1";
  if (isOld && !tls.cipherSuites?.length) {
    report("surprising", "no default cipher suite works below TLS 1.2: needs cipherSuites", {
      path: ["minProtocolVersion"],
      severity: "warning",
    });
  }
}

function checkFiles(tls: Spec, mode: "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL", report: Report): void {
  for (const field of ["serverCertificate", "privateKey"] as const) if (!tls[field]) report("missing", `${mode} needs ${field}`);
  if (mode !== "SIMPLE" && !tls.caCertificates) report("missing", `${mode} needs caCertificates, to verify clients by`);
  if (mode === "SIMPLE" && tls.caCrl) report("exclusive", "SIMPLE asks for no client certificate", { path: ["caCrl"], atKey: true });
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== "" && value !== "TLS_AUTO" && !(Array.isArray(value) && value.length === 0);
}
