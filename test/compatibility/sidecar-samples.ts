/** The fields of a Sidecar. */
import type { Json, Sample } from "./samples.ts";

const ingress = (...listeners: Json[]): Json => ({ ingress: listeners });
const egress = (...listeners: Json[]): Json => ({ egress: listeners });
const http2 = { number: 8080, protocol: "HTTP2" };
const port = { number: 8080, protocol: "HTTP" };

export const SIDECAR_BASE: Json = { egress: [{ hosts: ["./*"] }] };

const PROXY = { host: "orders.default.mesh.local", port: { number: 8080 } };

const https = { number: 8080, protocol: "HTTPS" };
const own = (mode: string) => ({ mode, serverCertificate: "/etc/cert.pem", privateKey: "/etc/key.pem", caCertificates: "/etc/ca.pem" });

const DISABLED = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain}
spec: {selector: {matchLabels: {app: orders}}, mtls: {mode: DISABLE}}
`;

const NAMED = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: named, annotations: {weft.dev/app: "front=127.0.0.1:9005"}}
spec: {address: 10.0.0.6, labels: {app: orders}, serviceAccount: orders}
`;

export const SIDECAR_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [
    /^Sidecar\.outboundTrafficPolicy\.egressProxy\.subset$/,
    { value: "v2", base: { outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: PROXY } } },
  ],
  [
    /^Sidecar\.outboundTrafficPolicy\.egressProxy\.host$/,
    { value: "batch.default.mesh.local", base: { outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: PROXY } } },
  ],
  [
    /^Sidecar\.outboundTrafficPolicy\.egressProxy\.port\.number$/,
    { value: 9999, base: { outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: PROXY } } },
  ],
  [/^Sidecar\.workloadSelector\.labels$/, { value: { app: "legacy" }, base: { egress: [{ hosts: ["~/*"] }] } }],
  [/^Sidecar\.egress\[\]\.port\.number$/, { value: 8081, base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.port\.protocol$/, { value: "HTTP", base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.port\.name$/, { value: "named", base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.bind$/, { value: "127.0.0.2", base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.captureMode$/, { base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.hosts$/, { value: ["*/orders.default.mesh.local"] }],
  [/^Sidecar\.ingress\[\]\.port\.number$/, { value: 8080, beside: { protocol: "HTTP" } }],
  [/^Sidecar\.ingress\[\]\.port\.protocol$/, { value: "GRPC", base: ingress({ port }) }],
  [/^Sidecar\.ingress\[\]\.port\.name$/, { value: "front", base: ingress({ port }), documents: NAMED }],
  [/^Sidecar\.ingress\[\]\.defaultEndpoint$/, { value: "127.0.0.1:9001", base: ingress({ port }) }],
  [/^Sidecar\.ingress\[\]\.bind$/, { value: "0.0.0.0", base: ingress({ port }) }],
  [
    /^Sidecar\.ingress\[\]\.tls\.mode$/,
    { base: ingress({ port: https, tls: own("OPTIONAL_MUTUAL") }), documents: DISABLED, value: "MUTUAL" },
  ],
  [
    /^Sidecar\.ingress\[\]\.tls\.(serverCertificate|privateKey|caCertificates|caCrl)$/,
    { value: "/etc/x.pem", base: ingress({ port: https, tls: own("MUTUAL") }), documents: DISABLED },
  ],
  [
    /^Sidecar\.ingress\[\]\.tls\.cipherSuites$/,
    { value: ["AES128-SHA"], base: ingress({ port: https, tls: own("MUTUAL") }), documents: DISABLED },
  ],
  [
    /^Sidecar\.ingress\[\]\.tls\.verifyCertificateSpki$/,
    { value: [`${"A".repeat(43)}=`], base: ingress({ port: https, tls: own("MUTUAL") }), documents: DISABLED },
  ],
  [
    /^Sidecar\.ingress\[\]\.tls\.verifyCertificateHash$/,
    { value: ["0".repeat(64)], base: ingress({ port: https, tls: own("MUTUAL") }), documents: DISABLED },
  ],
  [/^Sidecar\.ingress\[\]\.tls\./, { base: ingress({ port: https, tls: own("MUTUAL") }), documents: DISABLED }],
  // Of the streams of an HTTP/2 port.
  [/^Sidecar\..*maxConcurrentStreams$/, { base: ingress({ port: http2 }) }],
  [/^Sidecar\.ingress\[\]\..*http2KeepAlive\.interval$/, { value: "5s", beside: { timeout: "2s" }, base: ingress({ port: http2 }) }],
  [/^Sidecar\.ingress\[\]\..*http2KeepAlive\.timeout$/, { value: "2s", beside: { interval: "5s" }, base: ingress({ port: http2 }) }],
];
