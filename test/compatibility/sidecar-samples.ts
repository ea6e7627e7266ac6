/** The fields of a Sidecar. */
import type { Json, Sample } from "./samples.ts";

const ingress = (...listeners: Json[]): Json => ({ ingress: listeners });
const egress = (...listeners: Json[]): Json => ({ egress: listeners });
const http2 = { number: 8080, protocol: "HTTP2" };
const port = { number: 8080, protocol: "HTTP" };

export const SIDECAR_BASE: Json = { egress: [{ hosts: ["./*"] }] };

const NAMED = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: named, annotations: {weft.dev/app: "front=127.0.0.1:9005"}}
spec: {address: 10.0.0.6, labels: {app: orders}, serviceAccount: orders}
`;

export const SIDECAR_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^Sidecar\.workloadSelector\.labels$/, { value: { app: "legacy" }, base: { egress: [{ hosts: ["~/*"] }] } }],
  [/^Sidecar\.egress\[\]\.port\.number$/, { value: 8081, base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.port\.protocol$/, { value: "TCP", base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.port\.name$/, { value: "named", base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.bind$/, { value: "127.0.0.2", base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.captureMode$/, { base: egress({ port, hosts: ["*/*"] }) }],
  [/^Sidecar\.egress\[\]\.hosts$/, { value: ["*/orders.default.mesh.local"] }],
  [/^Sidecar\.ingress\[\]\.port\.number$/, { value: 8080, beside: { protocol: "HTTP" } }],
  [/^Sidecar\.ingress\[\]\.port\.protocol$/, { value: "GRPC", base: ingress({ port }) }],
  [/^Sidecar\.ingress\[\]\.port\.name$/, { value: "front", base: ingress({ port }), documents: NAMED }],
  [/^Sidecar\.ingress\[\]\.defaultEndpoint$/, { value: "127.0.0.1:9001", base: ingress({ port }) }],
  // Of the streams of an HTTP/2 port.
  [/^Sidecar\..*maxConcurrentStreams$/, { base: ingress({ port: http2 }) }],
  [/^Sidecar\.ingress\[\]\..*http2KeepAlive\.interval$/, { value: "5s", beside: { timeout: "2s" }, base: ingress({ port: http2 }) }],
  [/^Sidecar\.ingress\[\]\..*http2KeepAlive\.timeout$/, { value: "2s", beside: { interval: "5s" }, base: ingress({ port: http2 }) }],
];
