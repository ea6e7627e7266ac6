/**
 * The mesh that is measured: services of five endpoints, each with a DestinationRule (two subsets, outlier detection), a VirtualService (subsets by
 * weight and header, retries, a timeout) and an AuthorizationPolicy, and strict mutual TLS for all. Workload i is an endpoint of service i mod N, so
 * that the first N proxies are of N services; workloads beyond five a service are callers only.
 */

export interface MeshSize {
  readonly services: number;
  /** Workloads that connect; there are at least as many as the services have endpoints. */
  readonly streams: number;
}

export type ChangeKind = "endpoint" | "route" | "policy" | "peerauth";
export const CHANGES: readonly ChangeKind[] = ["endpoint", "route", "policy", "peerauth"];
/** The two states between which a change goes back and forth; the mesh is made in state "a". */
export type ChangeState = "a" | "b";

export const ENDPOINTS = 5;
const NAMESPACE = "shop";

export const workloadName = (index: number) => `w-${index}`;
export const workloadId = (index: number) => `${NAMESPACE}/${workloadName(index)}`;
/** As `load -node` takes it. */
export const NODE_ID = `sidecar~${NAMESPACE}/w-{i}`;
const serviceName = (index: number) => `svc-${index}`;

/** YAML documents, without separators. */
export function* meshDocuments({ services, streams }: MeshSize): Iterable<string> {
  yield peerAuthentication("a");
  for (let index = 0; index < services; index += 1) {
    yield serviceEntry(index);
    yield destinationRule(index);
    yield virtualService(index, "a");
    yield authorizationPolicy(index, services, "a");
  }
  for (let index = 0; index < Math.max(services * ENDPOINTS, streams); index += 1) yield workloadEntry(index, services, "a");
}

/** What to apply to be in a state: it touches service 0, or all where the change is one of the mesh. */
export function changeDocument(kind: ChangeKind, { services }: MeshSize, state: ChangeState): string {
  switch (kind) {
    case "endpoint":
      return workloadEntry((ENDPOINTS - 1) * services, services, state);
    case "route":
      return virtualService(0, state);
    case "policy":
      return authorizationPolicy(0, services, state);
    case "peerauth":
      return peerAuthentication(state);
  }
}

function peerAuthentication(state: ChangeState): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: weft-system}
spec: {mtls: {mode: ${state === "a" ? "STRICT" : "PERMISSIVE"}}}
`;
}

function serviceEntry(index: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${serviceName(index)}, namespace: ${NAMESPACE}}
spec:
  hosts: [${serviceName(index)}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: ${serviceName(index)}}}
`;
}

function destinationRule(index: number): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${serviceName(index)}, namespace: ${NAMESPACE}}
spec:
  host: ${serviceName(index)}
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
    connectionPool: {http: {http2MaxRequests: 1000}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
`;
}

function virtualService(index: number, state: ChangeState): string {
  const host = serviceName(index);
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host}, namespace: ${NAMESPACE}}
spec:
  hosts: [${host}]
  http:
    - match: [{headers: {x-canary: {exact: "yes"}}}]
      route: [{destination: {host: ${host}, subset: v2}}]
    - route:
        - {destination: {host: ${host}, subset: v1}, weight: 90}
        - {destination: {host: ${host}, subset: v2}, weight: 10}
      timeout: ${state === "a" ? 10 : 9}s
      retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,reset,connect-failure"}
`;
}

function authorizationPolicy(index: number, services: number, state: ChangeState): string {
  const caller = (offset: number) => `mesh.local/ns/${NAMESPACE}/sa/${serviceName((index + offset) % services)}`;
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${serviceName(index)}, namespace: ${NAMESPACE}}
spec:
  selector: {matchLabels: {app: ${serviceName(index)}}}
  rules:
    - from: [{source: {principals: ["${caller(1)}", "${caller(2)}", "${caller(3)}"]}}]
      to: [{operation: {methods: [GET${state === "a" ? "" : ", HEAD"}], paths: [/api/*]}}]
    - to: [{operation: {methods: [GET], paths: [/health]}}]
`;
}

function workloadEntry(index: number, services: number, state: ChangeState): string {
  const member = index < services * ENDPOINTS;
  const app = member ? serviceName(index % services) : "caller";
  // 10.64.0.0/10 for all, 10.250.0.1 for the endpoint that has moved.
  const moved = state === "b" && index === (ENDPOINTS - 1) * services;
  const address = moved ? "10.250.0.1" : `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  return `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${workloadName(index)}, namespace: ${NAMESPACE}}
spec:
  address: ${address}
  ports: {http: 8080}
  labels: {app: ${app}, version: v${1 + (Math.floor(index / services) % 2)}}
  serviceAccount: ${app}
`;
}
