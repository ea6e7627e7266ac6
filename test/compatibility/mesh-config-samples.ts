/** The fields of MeshConfig by which it speaks where nothing else does. */
import type { Json, Sample } from "./samples.ts";

const EJECTING = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ejecting}
spec: {host: orders, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}}
`;
const FAR_AWAY = ["asia", "us"]
  .map(
    (region, index) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${region}-1}
spec: {address: 10.0.8.${index + 1}, labels: {app: orders, version: v2}, serviceAccount: orders, locality: ${region}/east/a}
`,
  )
  .join("---\n");
const ROUTE = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: route}
spec: {hosts: [orders.default.mesh.local], http: [{timeout: 3s, route: [{destination: {host: orders}}]}]}
`;
const RESOLVED = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: resolved}
spec: {hosts: [a.example.org], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: b.example.org}]}
`;
const ORIGINATES = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: originates}
spec: {host: orders, trafficPolicy: {tls: {mode: SIMPLE}}}
`;
const FRONT = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: front-1, labels: {istio: ingressgateway}, annotations: {weft.dev/type: gateway}}
spec: {address: 10.0.0.7, serviceAccount: front}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [a.example.com]
      tls: {mode: SIMPLE, serverCertificate: /etc/cert.pem, privateKey: /etc/key.pem}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: [a.example.com], gateways: [front], http: [{route: [{destination: {host: orders}}]}]}
`;

const LOGGED: Json = { accessLogFile: "/dev/stdout" };

export const MESH_CONFIG_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^MeshConfig\.default(Service|DestinationRule)ExportTo$/, { value: ["."], documents: EJECTING }],
  [/^MeshConfig\.defaultVirtualServiceExportTo$/, { value: ["."], documents: ROUTE }],
  [/^MeshConfig\.localityLbSetting\.distribute\[\]\.from$/, { value: "eu/north/a", beside: { to: { "eu/south": 100 } } }],
  [/^MeshConfig\.localityLbSetting\.distribute\[\]\.to$/, { value: { "eu/south": 100 }, beside: { from: "eu/north/a" } }],
  [/^MeshConfig\.localityLbSetting\.failover\[\]\.from$/, { value: "eu", beside: { to: "us" }, documents: `${EJECTING}---\n${FAR_AWAY}` }],
  [/^MeshConfig\.localityLbSetting\.failover\[\]\.to$/, { value: "us", beside: { from: "eu" }, documents: `${EJECTING}---\n${FAR_AWAY}` }],
  [/^MeshConfig\.localityLbSetting\.failoverPriority$/, { value: ["version"], documents: EJECTING }],
  [/^MeshConfig\.localityLbSetting\.enabled$/, { value: false, beside: { distribute: [{ from: "eu/north/a", to: { "eu/south": 100 } }] } }],
  [/^MeshConfig\.dnsRefreshRate$/, { value: "3s", documents: RESOLVED }],
  [/^MeshConfig\.protocolDetectionTimeout$/, { value: "3s" }],
  [/^MeshConfig\.tcpKeepalive\.(time|interval)$/, { value: "30s" }],
  [/^MeshConfig\.accessLogEncoding$/, { base: LOGGED }],
  [/^MeshConfig\.meshMTLS\.cipherSuites$/, { value: ["ECDHE-RSA-AES128-GCM-SHA256"] }],
  [/^MeshConfig\.tlsDefaults\.minProtocolVersion$/, { documents: FRONT }],
  [/^MeshConfig\.tlsDefaults\.cipherSuites$/, { value: ["AES128-SHA"], documents: ORIGINATES }],
  [/^MeshConfig\.tlsDefaults\.ecdhCurves$/, { value: ["P-256"], documents: ORIGINATES }],
];
