/** What the HTTP edge needs from the control plane; src/control implements it, tests may fake it. Shapes are the API's JSON. */
import type { SpanContext } from "@opentelemetry/api";
import type { AuditEvent, AuditPage, RevisionsPage } from "../lib/audit.ts";
import type { Problem } from "../lib/problem.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { Principal, Role } from "./access.ts";
import type { CaAnswer, CaRotateTarget } from "./ca-schemas.ts";
import type { Caller } from "./context.ts";
import type { NodeConvergence, NodesControl, OtherNodes, Stale } from "./nodes.ts";
import type { RegistrationControl } from "./registration.ts";
import type { WhyRequestBody } from "./why-schemas.ts";

/** A resource as the API shows it: the user's document, with metadata.{uid,resourceVersion,creationTimestamp} filled in. */
export interface ApiResource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion: string;
  };
  /** Of every kind but Secret. */
  readonly spec?: unknown;
  /** Of a Secret. */
  readonly type?: string;
  /** Of a Secret: certificates as base64, all else redacted. */
  readonly data?: Readonly<Record<string, string>>;
}

/** Where a page of a listing begins: after this resource, at this revision. */
export interface ListPlace {
  readonly revision: number;
  readonly after: { readonly kind: string; readonly namespace: string; readonly name: string };
}

export interface Applied {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly action: "created" | "updated" | "deleted" | "unchanged";
  readonly resourceVersion: string;
}

/** One file of an apply. Several files are one transaction. */
export interface InputFile {
  /** YAML or JSON, any number of documents (List too). */
  readonly text: string;
  /** For problems and provenance: the file's name as the caller knows it, "<stdin>" or "<http>". */
  readonly file: string;
}

export interface ApplyRequest extends Caller {
  /** Whose rights hold; whoever asks weft from within has all. */
  readonly principal?: Principal;
  readonly files: readonly InputFile[];
  readonly dryRun: boolean;
  /** The caller's span (W3C traceparent), to be the parent of the span "apply". */
  readonly parent?: SpanContext;
  /** If-Match: every document must have this resourceVersion now; "*" that it exists. If-None-Match: "*" is "absent". */
  readonly expect?: number | "absent" | "present";
  /** Where set, the text must hold exactly this one resource. */
  readonly only?: { readonly kind: string; readonly namespace: string; readonly name: string };
}

export interface ApplyOutcome {
  readonly revision: number;
  readonly applied: readonly Applied[];
  /** Warnings only: an error refuses the whole apply (WeftError "invalid" with all problems). */
  readonly problems: readonly Problem[];
  /** Connected proxies in which the change is not in force before their Envoys are started again; absent where there are none. */
  readonly needs_restart?: readonly { readonly proxy: string; readonly reason: string }[];
}

/** A key set that RequestAuthentication refers to by URI, or by its issuer's discovery document. */
export interface JwksReport {
  readonly uri: string;
  readonly issuers: readonly string[];
  /** "stale": the last good keys are in use, and fetching fails; "missing": there are none, and tokens are refused. */
  readonly state: "ok" | "stale" | "missing";
  readonly error?: string;
  /** RFC 3339. */
  readonly fetched_at?: string;
  readonly sources: readonly Provenance[];
}

/** Deletes as one transaction: all that are there, or none. */
export interface DeleteRequest extends Caller {
  readonly principal?: Principal;
  readonly items: readonly {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    /** The resourceVersion that it must have now. */
    readonly expect?: number;
  }[];
  readonly dryRun: boolean;
  readonly parent?: SpanContext;
}

export interface DeleteOutcome extends ApplyOutcome {
  /** What was not there to be deleted. */
  readonly missing: readonly { readonly kind: string; readonly namespace: string; readonly name: string }[];
}

export interface ServiceSummary {
  readonly service: string;
  readonly namespace: string;
  readonly host: string;
  readonly ports: readonly { readonly number: number; readonly name: string; readonly protocol: string }[];
  readonly mtls_mode: "STRICT" | "PERMISSIVE" | "DISABLE" | "MIXED" | "NONE";
  readonly workloads: readonly string[];
  readonly endpoints: number;
  /** Names of those that get no calls, because they are away or their applications are not ready; absent where there are none. */
  readonly unready?: readonly string[];
  /** Names of those that may be gone, and get calls all the same, because too few would be left; absent where there are none. */
  readonly kept?: readonly string[];
  /** Why, by name, of those two; absent where there are none. */
  readonly reasons?: Readonly<Record<string, string>>;
}

/** GET /v1/services/{service}/mtls. The mode is one for all ports and workloads, MIXED where they differ, NONE where none has a sidecar. */
export interface MtlsReport {
  readonly service: string;
  readonly mtls_mode: ServiceSummary["mtls_mode"];
  /** Names of the service's workloads, sorted. */
  readonly workloads: readonly string[];
  readonly namespace: string;
  readonly host: string;
  readonly revision: number;
  /** As of when, and why only then, what is told of proxies of other nodes is known; absent where it is true now. */
  readonly stale?: Stale;
  readonly ports: readonly {
    readonly port: number;
    readonly name: string;
    readonly mode: ServiceSummary["mtls_mode"];
  }[];
  readonly details: readonly {
    readonly workload: string;
    readonly namespace: string;
    readonly port: number;
    readonly mode: "STRICT" | "PERMISSIVE" | "DISABLE" | "NONE";
    /** The policy that decided; absent where Istio's default did. */
    readonly source?: Provenance;
    /** Whether the workload's live proxy has ACKed the listeners that carry this mode; false also when no proxy is connected, or it is not known. */
    readonly in_force: boolean;
    /** away: its node is not heard of. unknown: nothing that is true now is known of it. */
    readonly proxy: "synced" | "pending" | "nacked" | "disconnected" | "away" | "unknown";
    /** The other node that its proxy is connected to, or belongs to. */
    readonly on_node?: string;
    /** Of a proxy of another node: why it is not in force. */
    readonly reason?: string;
  }[];
}

export interface TypeStatus {
  /** "CDS", "EDS", "LDS", "RDS", "VHDS", "SDS", "ECDS". */
  readonly type: string;
  readonly status: "SYNCED" | "PENDING" | "NACKED" | "NOT_SUBSCRIBED";
  readonly sent_revision?: number;
  readonly acked_revision?: number;
  readonly sent_at?: string;
  readonly acked_at?: string;
  /** Absent of a proxy of another node. */
  readonly resources?: number;
  /** The refusal that stands, until the proxy ACKs what replaced it. */
  readonly nack?: {
    readonly revision: number;
    readonly at: string;
    /** Envoy's own words; of a proxy of another node the first 200 characters. */
    readonly message: string;
    /** The refused resources that Envoy's words name (or all that were sent), with where they come from. */
    readonly resources: readonly { readonly name: string; readonly sources: readonly Provenance[] }[];
  };
}

/** Of a proxy of another node (`on_node`) what that node's card tells: what its Envoy says of itself is "" or absent, `types` are those that it refuses. */
export interface ProxyStatus {
  /** "ns/name" of the workload. */
  readonly id: string;
  readonly workload: string;
  readonly namespace: string;
  readonly node: string;
  readonly envoy_version: string;
  readonly protocol?: "delta" | "sotw";
  readonly address: string;
  readonly connected: boolean;
  readonly connected_at?: string;
  /** Absent while it is connected; then the rest is what was known last. */
  readonly disconnected_at?: string;
  readonly status: "SYNCED" | "PENDING" | "NACKED" | "UNKNOWN";
  /** The other node that it is connected to. */
  readonly on_node?: string;
  /** Of a proxy of another node: what it has of all types, as its node told last. */
  readonly acked_revision?: number;
  /** Why its status is UNKNOWN. */
  readonly unknown_because?: string;
  /** What would be otherwise if its Envoy were started again; absent where nothing would. */
  readonly needs_restart?: string;
  /** What its Envoy is too old for, and goes without. */
  readonly too_old?: string;
  /** Why its workload has no certificate, without which it is given no configuration; absent where it has one, or the first is on its way. */
  readonly uncertified?: string;
  /** Why its application gets no calls; absent where it does. */
  readonly unready?: string;
  readonly types: readonly TypeStatus[];
}

export interface HealthPart {
  readonly part: "store" | "xds" | "ca" | "workload-api" | "in-mesh" | "presence";
  readonly ok: boolean;
  readonly message: string;
  /** Of one that works: what an operator must look at. */
  readonly warnings?: readonly string[];
}

export interface Health {
  readonly ok: boolean;
  readonly parts: readonly HealthPart[];
}

export interface IssuedToken {
  readonly token: string;
  /** RFC 3339. */
  readonly expires: string;
  readonly workload: string;
}

export type WatchMessage =
  | { readonly type: "revision"; readonly revision: number; readonly changes: readonly (Applied & { readonly resource: ApiResource })[] }
  | { readonly type: "lost"; readonly reason: string };

/** A token of the admin API, as it is listed. */
export interface AccessReport {
  readonly name: string;
  readonly role: Role;
  readonly namespaces: readonly string[];
  readonly state: "valid" | "expired" | "revoked";
  /** RFC 3339. */
  readonly created: string;
  readonly expires: string;
  readonly created_by: string;
  readonly revoked?: string;
}

export interface NewAccess extends AccessReport {
  readonly token: string;
}

export interface AccessControl {
  list(): readonly AccessReport[];
  /** @throws WeftError "invalid", "conflict" */
  create(
    wanted: { readonly name: string; readonly role: Role; readonly namespaces: readonly string[]; readonly lifetimeMs?: number },
    caller: Caller,
  ): Promise<NewAccess>;
  /** @throws WeftError "not_found" */
  revoke(name: string, caller: Caller): Promise<AccessReport>;
  /** @throws WeftError "unauthenticated" where it ended. @returns undefined where it is no access token */
  authenticate(presented: string): Principal | undefined;
}

/** Where the proxy of a bootstrap reaches ADS: on this machine, without TLS, where neither is given. */
export interface BootstrapPlace {
  /** Over TLS: "HOST:PORT", or "HOST" where weft's own port for it is reached by that number. */
  readonly ads?: string;
  /** At the Unix socket, where its user is its proof: the WorkloadEntry's annotation weft.dev/unix-user names it. */
  readonly unix?: boolean;
}

export interface ControlPlane extends RegistrationControl {
  readonly access: AccessControl;
  apply(request: ApplyRequest): Promise<ApplyOutcome>;
  /**
   * All, or a page of `limit`. `next` begins the page after it, which shows the same revision.
   * @throws WeftError "conflict" where the history does not reach back to that revision any more
   */
  list(
    filter: { kind?: string; namespace?: string },
    page?: { readonly limit: number; readonly from?: ListPlace },
  ): Promise<{ revision: number; items: readonly ApiResource[]; next?: ListPlace }>;
  /** @throws WeftError "not_found" */
  get(kind: string, namespace: string, name: string): Promise<ApiResource>;
  remove(
    request: Caller & {
      principal?: Principal;
      kind: string;
      namespace: string;
      name: string;
      expect?: number;
      dryRun: boolean;
      parent?: SpanContext;
    },
  ): Promise<ApplyOutcome>;
  /** @throws WeftError "conflict" where an `expect` fails; then nothing was deleted. */
  removeAll(request: DeleteRequest): Promise<DeleteOutcome>;
  watch(since: number, signal: AbortSignal): AsyncIterable<WatchMessage>;
  services(namespace?: string): readonly ServiceSummary[];
  /** `service` is a short name, resolved in `namespace`, or a full host. @throws WeftError "not_found" (with what there is) */
  mtls(service: string, namespace: string): MtlsReport;
  /** What becomes of a request, in the shape of WhyAnswerSchema. @throws WeftError "not_found" for an unknown caller, "invalid" for what is no request */
  why(request: WhyRequestBody): object;
  /** All that the analysis of documents together finds in the mesh that is served. */
  check(): Promise<{ readonly revision: number; readonly problems: readonly Problem[] }>;
  /** The key sets that policies refer to by URI. */
  jwks(): readonly JwksReport[];
  /** Of the whole mesh, sorted by id. */
  proxies(): readonly ProxyStatus[];
  /** How far what is told of the proxies of other nodes is true. */
  otherNodes(): OtherNodes;
  /** As pushed, as proto JSON with provenance, private keys redacted. @throws WeftError "not_found" */
  proxyConfig(id: string): unknown;
  /** @throws WeftError "not_found" where no such WorkloadEntry is stored. */
  /** Whether the workload is weft itself, whose identity proxies know it by. */
  isOwn(workload: { namespace: string; name: string }): boolean;
  issueToken(workload: { namespace: string; name: string }, caller: Caller, ttlSeconds?: number): Promise<IssuedToken>;
  /**
   * Takes back all tokens of a workload or WorkloadGroup made until now, and all X.509-SVIDs of the SPIFFE IDs that it had in the last day
   * (`spiffe_ids`); ends the streams that they opened. It need not exist any more.
   * @throws WeftError "not_found" where it never did, unless `ahead`
   */
  revokeTokens(
    holder: { kind: "workload" | "WorkloadGroup"; namespace: string; name: string },
    caller: Caller,
    options?: { readonly ahead?: boolean },
  ): Promise<{ readonly streams: number; readonly spiffe_ids: readonly string[] }>;
  /**
   * An Envoy bootstrap (JSON object) for the workload, with a token in it where it is not for the Unix socket.
   * @throws WeftError "not_found", "invalid", "unavailable" (ADS is not served over TLS)
   */
  bootstrap(
    workload: { namespace: string; name: string },
    caller: Caller,
    options?: BootstrapPlace & { readonly ttlSeconds?: number },
  ): Promise<Readonly<Record<string, unknown>>>;
  /**
   * Whether the revision is in force: per connected proxy of the mesh, ACKed, NACKed or still pending. `still_nacked`, besides: what was refused before
   * the revision and not replaced by it, with those types only. `nodes`: each other node that is heard of, whose word counts only where it is of
   * that revision or a later one; absent where there is none.
   */
  convergence(revision: number): {
    readonly acked: readonly string[];
    readonly nacked: readonly ProxyStatus[];
    readonly pending: readonly string[];
    readonly still_nacked: readonly ProxyStatus[];
    readonly nodes?: readonly NodeConvergence[];
  } & OtherNodes;
  /** The nodes of the mesh. */
  readonly nodes: NodesControl;
  /** Part of the audit, oldest first. */
  audit(filter: { readonly after: number; readonly limit: number }): Promise<AuditPage>;
  /** What the history says of the revisions after `after`, oldest first, in pages. */
  revisions(after: number): Promise<RevisionsPage>;
  /** Puts a refusal on record; never throws. */
  refused(refusal: Omit<AuditEvent, "outcome" | "count"> & { readonly reason: string }): void;
  ca(): CaAnswer;
  /** Replaces authorities as soon as every proxy trusts new ones; the answer tells how far that is. @throws WeftError "unavailable" */
  rotateCa(target: CaRotateTarget, caller: Caller): Promise<CaAnswer>;
  /** SPIFFE bundle, JWKS. */
  bundle(): unknown;
  health(): Promise<Health>;
  /** Whether the first full load is done. */
  ready(): boolean;
}
