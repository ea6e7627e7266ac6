/** The fields of an EnvoyFilter: a patch around each, on which the field decides. */
import type { Json, Sample } from "./samples.ts";

const patches = (...configPatches: Json[]): Json => ({ configPatches });

const MANAGER = "envoy.filters.network.http_connection_manager";

const httpFilter = {
  applyTo: "HTTP_FILTER",
  match: { listener: { filterChain: { filter: { name: MANAGER } } } },
  patch: { operation: "INSERT_BEFORE", value: { name: "x-sample" } },
};
const virtualHost = { applyTo: "VIRTUAL_HOST", patch: { operation: "MERGE", value: { name: "x-sample", domains: ["x.sample"] } } };
const httpRoute = { applyTo: "HTTP_ROUTE", patch: { operation: "MERGE", value: { name: "x-sample" } } };

export const ENVOY_FILTER_BASE: Json = patches({ applyTo: "CLUSTER", patch: { operation: "MERGE", value: { connect_timeout: "3s" } } });

const LATER = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: later, creationTimestamp: "2026-03-03T00:00:00Z"}
spec: {configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: 4s}}}]}
`;

const REDIRECT = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: elsewhere}
spec: {hosts: [x.example.com], http: [{name: away, redirect: {uri: /x}}]}
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
`;

export const ENVOY_FILTER_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^EnvoyFilter\.priority$/, { value: 5, documents: LATER }],
  [
    /^EnvoyFilter\.configPatches\[\]\.applyTo$/,
    { base: patches(), beside: { patch: { operation: "MERGE", value: { name: "x-sample" } } } },
  ],
  [
    /^EnvoyFilter\..*\.listenerFilter$/,
    { value: "envoy.filters.listener.tls_inspector", base: patches({ applyTo: "LISTENER_FILTER", patch: { operation: "REMOVE" } }) },
  ],
  [/^EnvoyFilter\..*\.listener\./, { base: patches(httpFilter) }],
  [/^EnvoyFilter\..*\.vhost\.route\./, { base: patches(httpRoute), documents: REDIRECT }],
  [
    /^EnvoyFilter\..*\.routeConfiguration\.(gateway|portName)$/,
    { base: patches({ ...virtualHost, match: { context: "GATEWAY" } }), documents: FRONT },
  ],
  [/^EnvoyFilter\..*\.routeConfiguration\./, { base: patches(virtualHost) }],
  [/^EnvoyFilter\..*\.patch\.operation$/, { base: patches(virtualHost) }],
  [/^EnvoyFilter\..*\.patch\.value$/, { value: { connect_timeout: "9s" } }],
];
