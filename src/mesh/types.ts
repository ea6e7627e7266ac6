/**
 * The Mesh: all resources of one revision as one immutable rule tree, read by xds and by `weft why`. Everything in it is sorted, so that
 * the same resources in any order give the same Mesh, and every part whose inputs did not change is the same object (===) as in the
 * Mesh before, so that what was made from it can be kept with it (memo.ts).
 */
import type { Provenance } from "../lib/provenance.ts";
import type { HttpRetry } from "../model/virtual-service-route.ts";
import type { WorkloadAccessLogs } from "./access-logs.ts";
import type { WorkloadAuthorization } from "./authorization.ts";
import type { Credential } from "./credentials.ts";
import type { EnvoyPatch } from "./envoy-filters.ts";
import type { FederatedDomain } from "./federation.ts";
import type { GatewayTls, GatewayView } from "./gateways.ts";
import type { InboundPolicy } from "./inbound-policy.ts";
import type { MeshDefaults } from "./mesh-defaults.ts";
import type { WorkloadMetrics } from "./metrics.ts";
import type { OutboundView } from "./outbound.ts";
import type { WorkloadMtls } from "./peer-authentication.ts";
import type { WorkloadProcess } from "./proxy-config.ts";
import type { Unready } from "./readiness.ts";
import type { WorkloadAuthentication } from "./request-authentication.ts";
import type { WorkloadInjections } from "./token-injection.ts";
import type { WorkloadTracing } from "./tracing.ts";
import type { Registration } from "./workload-registrations.ts";

/** What holds for the whole mesh: the flags of `weft run`, and MeshConfig. */
export interface Settings {
  readonly trustDomain: string;
  /** Other names of the trust domain in policies; "cluster.local" always is one, as in Istio. */
  readonly trustDomainAliases: readonly string[];
  /** Other trust domains whose workloads are known here, sorted; absent where there are none. */
  readonly federatedTrustDomains?: readonly string[];
  /** "mesh.local": the suffix of services in the mesh. */
  readonly domain: string;
  /** "weft-system". */
  readonly rootNamespace: string;
  readonly pathNormalization: "NONE" | "BASE" | "MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES";
  readonly connectTimeoutMs: number;
  readonly enableAutoMtls: boolean;
  /** For routes without `retries` of their own; absent: Istio's default. */
  readonly defaultHttpRetryPolicy?: HttpRetry;
  /** Path of Envoy's access log ("/dev/stdout"), or undefined for none. */
  readonly accessLogFile?: string;
  readonly accessLogFormat?: string;
  /** What Telemetry says, in place of them: only where one workload's listeners are made. */
  readonly accessLogs?: WorkloadAccessLogs;
  /** Whom its proxy tells of requests: likewise. */
  readonly tracing?: WorkloadTracing;
  /** What it counts: likewise. */
  readonly metrics?: WorkloadMetrics;
  /** Whether the Envoys that these settings are for keep statistics of metrics in a scope (xds/envoy-version.ts). */
  readonly statsScope?: boolean;
  /** Whether clusters and endpoints say what metrics tell of them: only where those are made. */
  readonly tellDestinations?: boolean;
  /** What else MeshConfig says where nothing else does; absent where it says nothing. */
  readonly defaults?: MeshDefaults;
  /** The MeshConfig, where there is one. */
  readonly source?: Provenance;
}

export type Protocol = "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" | "TCP" | "TLS" | "HTTPS" | "MONGO" | "MYSQL" | "REDIS";

export interface ServicePort {
  /** As callers name it. */
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
  /** The endpoints' port, unless an endpoint maps the port's name itself. */
  readonly targetPort: number;
}

/** One host of a ServiceEntry. */
export interface Service {
  /** Canonical and lower-case: "orders.default.mesh.local", "api.example.com", "*.example.com". */
  readonly host: string;
  /** For people and paths: the first label of a host in the mesh's domain, else the host. */
  readonly name: string;
  /** Of the ServiceEntry. */
  readonly namespace: string;
  readonly ports: readonly ServicePort[];
  /** DYNAMIC_DNS: each name that is called is resolved then. */
  readonly resolution: "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";
  readonly location: "MESH_INTERNAL" | "MESH_EXTERNAL";
  readonly addresses: readonly string[];
  readonly subjectAltNames: readonly string[];
  /** Namespaces that see it ("." its own, "*" all, "~" none); empty for all. Sorted. */
  readonly exportTo: readonly string[];
  readonly source: Provenance;
  /** Younger ServiceEntries of the same namespace for the same host, whose ports and endpoints are added. */
  readonly otherSources: readonly Provenance[];
}

export interface Endpoint {
  /** IP address, DNS name (resolution DNS only), or an absolute path of a Unix socket. */
  readonly address: string;
  /** The endpoint's port for each of the service's port numbers; 0 with a Unix socket. */
  readonly ports: ReadonlyMap<number, number>;
  readonly labels: Readonly<Record<string, string>>;
  /** At least 1; 1 where none is given. */
  readonly weight: number;
  /** "region/zone/subzone" or "". */
  readonly locality: string;
  /** "ns/name" of the WorkloadEntry it comes from. */
  readonly workload?: string;
  /** SPIFFE ID that its sidecar presents; undefined where it has none (no service account). */
  readonly spiffeId?: string;
  /** The service's port numbers on which its sidecar accepts Istio's mutual TLS (it has one, and PeerAuthentication is not DISABLE there). */
  readonly mtlsPorts: ReadonlySet<number>;
  readonly source: Provenance;
}

/** A port on which a workload's sidecar takes calls. */
export interface InboundPort {
  /** On the workload's address, or on `address`. */
  readonly number: number;
  /** Where it listens, in place of the workload's address: a Sidecar's ingress says so. */
  readonly address?: string;
  /** The TLS that ends there, where PeerAuthentication leaves the port without mutual TLS; then `protocol` is what is inside. */
  readonly tls?: GatewayTls;
  readonly protocol: Protocol;
  /** Where the application listens: an IP address, or the path of a Unix socket and port 0. */
  readonly app: { readonly address: string; readonly port: number };
  /** The service that gives the port its protocol (the oldest that selects the workload). */
  readonly service: string;
  readonly servicePort: number;
  /** The Sidecar's ingress that says so; undefined for a port of the service. */
  readonly source?: Provenance;
}

/** A WorkloadEntry: an instance of services, and, with its service account, an identity. */
export interface Workload {
  /** "ns/name". */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** "ns/name" of the WorkloadGroup that it registered itself with; undefined for one that a person wrote. */
  readonly group?: string;
  /** The node that it belongs to (annotation weft.dev/node): undefined for one that is static, of whom no presence is asked. */
  readonly node?: string;
  /** What its proxy is; a sidecar where undefined. */
  readonly type?: "gateway";
  /** It is weft itself (own-workload.ts). */
  readonly own?: true;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "region/zone/subzone" or "". */
  readonly locality: string;
  readonly serviceAccount?: string;
  /** spiffe://TRUST_DOMAIN/ns/NS/sa/SA; undefined without a service account: such a workload speaks plaintext. */
  readonly spiffeId?: string;
  /** Number or name of the user on weft's own machine who may run its proxy without a token, from annotation weft.dev/unix-user. */
  readonly unixUser?: string;
  /** Sorted by number. */
  readonly inbound: readonly InboundPort[];
  /** Where its sidecar takes the application's calls out (annotation weft.dev/outbound, else 127.0.0.1:15001). */
  readonly outbound: { readonly address: string; readonly port: number };
  /**
   * Local listeners for TCP service ports, from annotation weft.dev/listen: "HOST:PORT=ADDRESS:PORT,...". Undefined where the annotation
   * is absent: then services with `addresses` are listened for there.
   */
  readonly listen?: readonly { readonly host: string; readonly port: number; readonly address: string; readonly localPort: number }[];
  readonly source: Provenance;
}

export interface Mesh {
  readonly revision: number;
  readonly settings: Settings;
  /** By canonical host, sorted. */
  readonly services: ReadonlyMap<string, Service>;
  /** By canonical host: sorted by address, then ports. */
  readonly endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** By "ns/name", sorted. */
  readonly workloads: ReadonlyMap<string, Workload>;
  /** By workload key, sorted: those that are away, or whose application is not ready. They are in no service's endpoints. */
  readonly unready: ReadonlyMap<string, Unready>;
  /** By workload key, sorted: those that may be gone, and are in endpoints all the same, because they are among the last of a service. */
  readonly doubtful: ReadonlyMap<string, Unready>;
  /** By workload key: the effective PeerAuthentication. */
  readonly mtls: ReadonlyMap<string, WorkloadMtls>;
  /** By workload key: the tokens that it takes. */
  readonly authentication: ReadonlyMap<string, WorkloadAuthentication>;
  /** By workload key: the authorization policies that select it. */
  readonly authorization: ReadonlyMap<string, WorkloadAuthorization>;
  /** By workload key, then inbound port: limits for the connection to its application. Absent where there are none. */
  readonly inbound: ReadonlyMap<string, ReadonlyMap<number, InboundPolicy>>;
  /** By key of the calling workload: what its calls out meet. Workloads that no rule tells apart share one. */
  readonly outbound: ReadonlyMap<string, OutboundView>;
  /** By key of the workloads that are gateways: what they take in. */
  readonly gateways: ReadonlyMap<string, GatewayView>;
  /** By workload key: what its proxy needs of Secrets and may have, private keys among them; no entry where it needs none. */
  readonly credentials: ReadonlyMap<string, readonly Credential[]>;
  /** By workload key: the JWT-SVIDs that its proxy adds to calls; no entry where none. */
  readonly injections: ReadonlyMap<string, WorkloadInjections>;
  /** By workload key: the access logs that Telemetry asks for; no entry where none does. */
  readonly accessLogs: ReadonlyMap<string, WorkloadAccessLogs>;
  /** By workload key: whom its proxy tells of requests; no entry where nobody. */
  readonly tracing: ReadonlyMap<string, WorkloadTracing>;
  /** By workload key: what its proxy counts of Istio's metrics; no entry where nothing. */
  readonly metrics: ReadonlyMap<string, WorkloadMetrics>;
  /** By workload key: how its Envoy is started; no entry where nothing is said. */
  readonly processes: ReadonlyMap<string, WorkloadProcess>;
  /** By workload key: the patches of EnvoyFilters that select it, in order; no entry where there are none. */
  readonly envoyPatches: ReadonlyMap<string, readonly EnvoyPatch[]>;
  /** The other trust domains that are known here, sorted. */
  readonly federation: readonly FederatedDomain[];
  /** Which processes of this machine have which identity, oldest first: for the Workload API. */
  readonly registrations: readonly Registration[];
}
