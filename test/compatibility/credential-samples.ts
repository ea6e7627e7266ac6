/** Secrets, and the fields that name them. */
import { FIXED, secretYaml } from "../fakes/certificates.ts";
import type { Json, Sample } from "./samples.ts";

const { a, b } = FIXED;
const base64 = (text: string) => Buffer.from(text).toString("base64");

/** A gateway proxy that serves a Gateway "sample" with the Secret "x", and has others. */
const FRONT = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: front-1, labels: {istio: ingressgateway}, annotations: {weft.dev/type: gateway}}
spec: {address: 10.0.0.7, serviceAccount: front}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ["*.example.com"], gateways: [sample, default/x], http: [{route: [{destination: {host: orders}}]}]}
---
${secretYaml("shop", { ...a, ca: a.certificate })}
---
${secretYaml("other", { ...b, ca: b.certificate })}
`;

const SAMPLE_GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: sample}
spec:
  servers:
    - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, credentialName: x}}
`;

const https = (tls: Json): Json => ({
  servers: [{ port: { number: 443, name: "https", protocol: "HTTPS" }, hosts: ["a.example.com"], tls }],
});
const files = { serverCertificate: "/etc/certs/cert.pem", privateKey: "/etc/certs/key.pem" };
const mutual = https({ mode: "MUTUAL", credentialName: "shop" });
const spki = "NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=";
const hash = "df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a";

const toSecret = (tls: Json): Json => ({ host: "orders", trafficPolicy: { tls: { mode: "MUTUAL", ...tls } } });

/** The first that matches "Kind.field" holds. */
export const CREDENTIAL_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [
    /^Secret\.type$/,
    { base: { data: { "tls.crt": base64(a.certificate), "tls.key": base64(a.key) } }, documents: `${FRONT}---\n${SAMPLE_GATEWAY}` },
  ],
  [
    /^Secret\.data$/,
    { value: { "tls.crt": base64(a.certificate), "tls.key": base64(a.key) }, base: {}, documents: `${FRONT}---\n${SAMPLE_GATEWAY}` },
  ],
  [/^Secret\.stringData$/, { value: { cert: a.certificate, key: a.key }, base: {}, documents: `${FRONT}---\n${SAMPLE_GATEWAY}` }],
  [/^Gateway\..*\.credentialName$/, { value: "shop", base: https({ mode: "SIMPLE", credentialName: "other" }), documents: FRONT }],
  [
    /^Gateway\..*\.credentialNames$/,
    { value: ["other", "shop"], base: https({ mode: "SIMPLE", credentialNames: ["shop"] }), documents: FRONT },
  ],
  [/^Gateway\..*\.caCertCredentialName$/, { value: "other", base: mutual, documents: FRONT }],
  [
    /^Gateway\..*\.tlsCertificates\[\]\./,
    { value: "/etc/x.pem", beside: files, base: https({ mode: "SIMPLE", tlsCertificates: [files] }), documents: FRONT },
  ],
  [/^Gateway\..*\.verifyCertificateSpki$/, { value: [spki], base: mutual, documents: FRONT }],
  [/^Gateway\..*\.verifyCertificateHash$/, { value: [hash], base: mutual, documents: FRONT }],
  [/^Gateway\..*\.insecureSkipVerify$/, { value: true, base: mutual, documents: FRONT }],
  [
    /^DestinationRule\..*\.tls\.credentialName$/,
    { value: "shop", base: toSecret({ credentialName: "other" }), beside: { mode: "MUTUAL" }, documents: FRONT },
  ],
];
