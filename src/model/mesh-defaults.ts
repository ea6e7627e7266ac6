/** MeshConfig's defaults for what other kinds leave open. istio/api mesh/v1alpha1/config.proto, checked as Istio's ValidateMeshConfig does. */
import { CIPHER_SUITES, checkCipherSuites } from "./gateway-tls.ts";
import { choice, isMapping, list, notYet, object, type Report, text } from "./schema.ts";
import { connectionPool, outlierDetection } from "./traffic-policy.ts";

/** BoringSSL's (Istio, pkg/config/security/security.go ValidECDHCurves). */
const CURVES: ReadonlySet<string> = new Set(["P-224", "P-256", "P-384", "P-521", "X25519", "X25519Kyber768Draft00", "X25519MLKEM768"]);

const version = () => choice(["TLS_AUTO", "TLSV1_2", "TLSV1_3"]);

/** Of the mesh's own mutual TLS, where a sidecar takes calls. */
export const meshMtls = () =>
  object({
    minProtocolVersion: version(),
    cipherSuites: list(text(), checkCipherSuites),
    ecdhCurves: notYet("Istio refuses it too: it belongs into tlsDefaults"),
  });

/** Of TLS with those outside the mesh: a gateway's, and a DestinationRule's SIMPLE and MUTUAL. */
export const tlsDefaults = () =>
  object({
    minProtocolVersion: version(),
    cipherSuites: list(text(), checkCipherSuites),
    ecdhCurves: list(text(), (curves, report) => {
      for (const [index, curve] of curves.entries()) {
        if (CURVES.has(curve)) continue;
        const help = `known here: ${[...CURVES].join(", ")}`;
        report("noEffect", `${curve} is no curve that Envoy knows, and is left out`, { path: [index], severity: "warning", help });
      }
    }),
  });

/** Without what Envoy would refuse. */
export function knownTls({ cipherSuites = [], ecdhCurves = [] }: { readonly cipherSuites?: string[]; readonly ecdhCurves?: string[] }) {
  return {
    cipherSuites: [...new Set(cipherSuites)].filter((suite) => CIPHER_SUITES.has(suite)),
    ecdhCurves: [...new Set(ecdhCurves)].filter((curve) => CURVES.has(curve)),
  };
}

/** Each block holds where no DestinationRule has one. */
export const defaultTrafficPolicy = () => object({ connectionPool, outlierDetection });

export const outboundTrafficPolicy = () =>
  object({
    // Nothing is intercepted, so a call's place is what its name resolves to: both are the same here.
    mode: choice(["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]),
    tls: notYet("unknown hosts are called in plaintext: write a ServiceEntry, and its DestinationRule"),
  });

/** The access log's format of encoding JSON: names with formats; undefined where it is none. */
export function parseJsonFormat(format: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(format);
    return isMapping(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function checkAccessLogFormat({ accessLogEncoding, accessLogFormat }: AccessLogFields, report: Report): void {
  if (accessLogEncoding !== "JSON" || !accessLogFormat || parseJsonFormat(accessLogFormat)) return;
  const help = `write an object of names and formats: '{"path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%"}'`;
  report("badValue", "is no JSON object, and accessLogEncoding is JSON", { path: ["accessLogFormat"], help });
}

interface AccessLogFields {
  readonly accessLogEncoding?: string;
  readonly accessLogFormat?: string;
}
