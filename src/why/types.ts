/** What is asked of `weft why`, and what it answers: the JSON of POST /v1/why and of `weft why -o json`. */
import type { Provenance } from "../lib/provenance.ts";

export interface WhyRequest {
  /** "ns/name" of the calling workload, whose sidecar sends the request, or of a gateway at which it comes in; "plaintext": a client without a sidecar; or the SPIFFE ID that a client of another mesh presents. */
  readonly from: string;
  /** HOST[:PORT], as the caller writes it in the Host header. Without a port: 80, or else the service's lowest HTTP port. At a gateway its own port. */
  readonly to: string;
  /** The egress listener of the caller's Sidecar that is called, "127.0.0.1:8080" or "unix:///PATH"; where absent the outbound listener, or the one that knows `to`. */
  readonly via?: string;
  /** "GET" where absent. */
  readonly method?: string;
  /** With the query; "/" where absent. */
  readonly path?: string;
  /** Names in any case; `host` stands for the Host header, in place of `to`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Claims of a token that counts as verified; what no RequestAuthentication takes is nothing to policies. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /**
   * At a gateway: names in the certificate that the client shows, which counts as one that the server's CA signed; no certificate where absent.
   */
  readonly clientCertificate?: readonly string[];
  /** The address from which the server sees the connection come; a workload's own where absent, of other clients unknown. At a gateway: the gateway sees. */
  readonly sourceIp?: string;
}

/** What is known besides the Mesh. */
export interface WhyContext {
  /** Milliseconds since 1970, for the times in tokens. */
  readonly now: number;
  /** Whether a workload's proxy ("ns/name") is connected now, null where nobody can say; absent offline. */
  readonly isConnected?: (workload: string) => boolean | null;
}

export type Verdict = "allow" | "deny" | "no_route" | "refused" | "redirect" | "direct_response" | "fault";

export type Stage =
  | "listener"
  | "service"
  | "virtual_host"
  | "route"
  | "fault"
  | "redirect"
  | "direct_response"
  | "rewrite"
  | "headers"
  | "timeout"
  | "retries"
  | "mirror"
  | "destination"
  | "token"
  | "endpoint"
  | "client_tls"
  | "server_mtls"
  | "tls"
  | "jwt"
  | "authorization"
  | "application"
  | "envoy_filter";

export interface Step {
  readonly stage: Stage;
  /** One word or two: "no_match", "match", "STRICT", "deny". */
  readonly result: string;
  /** A sentence for people. */
  readonly reason: string;
  /** The line that decided; null where a default did. */
  readonly source: Provenance | null;
}

export interface RouteAnswer {
  /** The host of the route table that took the request: "orders.default.mesh.local:8080". */
  readonly virtual_host: string;
  /** As the user named it, or "". */
  readonly name: string;
  readonly source: Provenance | null;
  readonly rewrite?: { readonly path?: string; readonly authority?: string };
  readonly timeout?: string;
  readonly retries?: { readonly attempts: number; readonly retry_on?: string; readonly per_try_timeout?: string };
  readonly mirrors?: readonly { readonly cluster: string; readonly percent: number }[];
  readonly fault?: {
    readonly delay?: { readonly duration: string; readonly percent: number };
    readonly abort?: { readonly status: number; readonly grpc_status?: string; readonly percent: number };
  };
  /** Of a redirect. */
  readonly location?: string;
}

export interface MtlsAnswer {
  /** What the caller's side sends; NONE is plaintext. */
  readonly client: "ISTIO_MUTUAL" | "MUTUAL" | "SIMPLE" | "NONE";
  /** "automatic", "DestinationRule", "no sidecar", ... */
  readonly client_reason: string;
  readonly client_source: Provenance | null;
  /** The server's effective mode; NONE where no sidecar of the mesh is there. */
  readonly server: "STRICT" | "PERMISSIVE" | "DISABLE" | "NONE";
  readonly server_source: Provenance | null;
  readonly outcome: "mutual_tls" | "tls" | "plaintext" | "refused";
  /** The identity that the server sees. */
  readonly peer: string | null;
}

export interface PolicyAnswer {
  /** "ns/name" */
  readonly policy: string;
  readonly action: string;
  readonly dry_run: boolean;
  readonly result: "match" | "no_match";
  /** The rule that matched, by its index in the policy. */
  readonly rule: number | null;
  /** Why it matched, or the first condition of each rule that failed. */
  readonly reason: string;
  readonly source: Provenance;
}

export interface AuthorizationAnswer {
  readonly result: "allow" | "deny";
  /** "ns/name" of the policy that decided, where one did. */
  readonly policy: string | null;
  readonly rule: number | null;
  readonly reason: string;
  readonly source: Provenance | null;
  /** In the order in which they are asked. */
  readonly policies: readonly PolicyAnswer[];
}

/** A verified token, or what was wrong with it. */
export interface JwtAnswer {
  readonly result: "none" | "valid" | "missing" | "invalid" | "ignored";
  readonly reason: string;
  readonly source: Provenance | null;
}

export interface EndpointAnswer {
  /** "10.0.0.1:8080" */
  readonly address: string;
  /** "ns/name" of the WorkloadEntry. */
  readonly workload: string | null;
  /** 0 is asked first; the next only where that is in bad health, and counts for no verdict. */
  readonly priority: number;
  /** Whether its proxy is connected to weft, at any node; null offline, where it has none, or where its node is not heard of. */
  readonly connected: boolean | null;
  readonly verdict: Verdict;
  readonly status: number;
  readonly reason: string;
}

export interface DestinationAnswer {
  /** "outbound|8080|v1|orders.default.mesh.local"; "" for a client without a sidecar. */
  readonly cluster: string;
  readonly host: string;
  readonly port: number;
  readonly subset: string | null;
  /** As written; 0 where none is. */
  readonly weight: number;
  /** The worst of its endpoints'. */
  readonly verdict: Verdict;
  readonly status: number;
  readonly reason: string;
  /** The request as it gets there, its path as the server reads it; null on TCP. */
  readonly request: { readonly method: string; readonly path: string; readonly authority: string } | null;
  readonly endpoints: readonly EndpointAnswer[];
}

export interface WhyAnswer {
  readonly verdict: Verdict;
  /** HTTP status, the application counted as answering 200; 0 where the connection ends without an answer, and on TCP. */
  readonly status: number;
  /** "200 via orders v2", "403 by AuthorizationPolicy default/orders-deny rule 0". */
  readonly summary: string;
  readonly protocol: "http" | "tcp";
  /** Whether destinations or their endpoints differ in what becomes of the request. */
  readonly mixed: boolean;
  readonly route: RouteAnswer | null;
  readonly destinations: readonly DestinationAnswer[];
  /** Of the endpoint that decided. */
  readonly mtls: MtlsAnswer | null;
  readonly jwt: JwtAnswer | null;
  readonly authorization: AuthorizationAnswer | null;
  readonly steps: readonly Step[];
}
