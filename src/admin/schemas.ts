/** The shapes of the admin API's JSON (control-plane.ts) as valibot schemas: the OpenAPI document comes from them, tests check replies by them. */
import * as v from "valibot";
import { NodeConvergenceSchema, otherNodes } from "./nodes.ts";

const named = <S extends v.GenericSchema>(ref: string, schema: S) => v.pipe(schema, v.metadata({ ref }));
const revision = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.string();

export const ProvenanceSchema = named(
  "Provenance",
  v.strictObject({ kind: text, namespace: text, name: text, file: text, line: v.number() }),
);

export const ProblemSchema = named(
  "Problem",
  v.strictObject({
    code: v.pipe(text, v.regex(/^WF\d{4}$/)),
    severity: v.picklist(["error", "warning"]),
    message: text,
    file: text,
    line: v.number(),
    column: v.number(),
    help: v.optional(text),
    resource: v.optional(v.strictObject({ kind: text, namespace: text, name: text })),
  }),
);

export const ProblemDetailsSchema = named(
  "ProblemDetails",
  v.strictObject({
    type: text,
    title: text,
    status: v.number(),
    detail: text,
    instance: text,
    code: text,
    help: v.optional(text),
    problems: v.optional(v.array(ProblemSchema)),
  }),
);

export const ResourceSchema = named(
  "Resource",
  v.strictObject({
    apiVersion: text,
    kind: text,
    metadata: v.looseObject({ name: text, namespace: text, resourceVersion: text }),
    spec: v.optional(v.unknown()),
    type: v.optional(text),
    data: v.optional(v.record(text, text)),
  }),
);

const roleSchema = v.picklist(["admin", "editor", "viewer"]);
const accessEntries = {
  name: text,
  role: roleSchema,
  namespaces: v.array(text),
  state: v.picklist(["valid", "expired", "revoked"]),
  created: text,
  expires: text,
  created_by: text,
  revoked: v.optional(text),
};
export const AccessTokenSchema = named("AccessToken", v.strictObject(accessEntries));
export const AccessListSchema = named("AccessList", v.strictObject({ items: v.array(AccessTokenSchema) }));
export const NewAccessSchema = named("NewAccess", v.strictObject({ ...accessEntries, token: text }));
export const AccessRequestSchema = named(
  "AccessRequest",
  v.strictObject({ name: text, role: roleSchema, namespaces: v.optional(v.array(text)), ttl: v.optional(text) }),
);

const MarkSchema = v.strictObject({ sequence: revision, hash: text });

export const RevisionsPageSchema = named(
  "RevisionsPage",
  v.strictObject({
    revision,
    compacted: revision,
    revisions: v.array(v.strictObject({ revision, targets: v.array(text) })),
  }),
);

export const AuditPageSchema = named(
  "AuditPage",
  v.strictObject({
    head: MarkSchema,
    anchor: MarkSchema,
    records: v.array(
      v.strictObject({
        sequence: revision,
        at: text,
        revision,
        who: text,
        from: text,
        action: text,
        outcome: v.picklist(["done", "refused"]),
        targets: v.array(text),
        reason: v.optional(text),
        count: v.optional(v.number()),
        previous: text,
        hash: text,
      }),
    ),
  }),
);

export const ResourceListSchema = named(
  "ResourceList",
  v.strictObject({ revision, items: v.array(ResourceSchema), continue: v.optional(text) }),
);

export const AppliedSchema = named(
  "Applied",
  v.strictObject({
    kind: text,
    namespace: text,
    name: text,
    action: v.picklist(["created", "updated", "deleted", "unchanged"]),
    resourceVersion: text,
  }),
);

export const ApplyOutcomeSchema = named(
  "ApplyOutcome",
  v.strictObject({
    revision,
    applied: v.array(AppliedSchema),
    problems: v.array(ProblemSchema),
    needs_restart: v.optional(v.array(v.strictObject({ proxy: text, reason: text }))),
  }),
);

export const FindingsSchema = named("Findings", v.strictObject({ revision, problems: v.array(ProblemSchema) }));

export const JwksListSchema = named(
  "JwksList",
  v.strictObject({
    items: v.array(
      v.strictObject({
        uri: text,
        issuers: v.array(text),
        state: v.picklist(["ok", "stale", "missing"]),
        error: v.optional(text),
        fetched_at: v.optional(text),
        sources: v.array(ProvenanceSchema),
      }),
    ),
  }),
);

const ref = { kind: text, namespace: text, name: text };

export const DeleteOutcomeSchema = named(
  "DeleteOutcome",
  v.strictObject({ ...ApplyOutcomeSchema.pipe[0].entries, missing: v.array(v.strictObject(ref)) }),
);

export const DeleteRequestSchema = named(
  "DeleteRequest",
  v.strictObject({
    items: v.pipe(
      v.array(
        v.strictObject({
          ...ref,
          namespace: v.optional(text, "default"),
          resourceVersion: v.optional(v.pipe(text, v.regex(/^\d{1,15}$/, 'must be a resourceVersion, such as "7"'))),
        }),
      ),
      v.minLength(1, "must name a resource"),
    ),
  }),
);

const mode = v.picklist(["STRICT", "PERMISSIVE", "DISABLE", "MIXED", "NONE"]);

export const ServiceSummarySchema = named(
  "ServiceSummary",
  v.strictObject({
    service: text,
    namespace: text,
    host: text,
    ports: v.array(v.strictObject({ number: v.number(), name: text, protocol: text })),
    mtls_mode: mode,
    workloads: v.array(text),
    endpoints: v.number(),
    unready: v.optional(v.array(text)),
    kept: v.optional(v.array(text)),
    reasons: v.optional(v.record(text, text)),
  }),
);

export const ServiceListSchema = named("ServiceList", v.strictObject({ items: v.array(ServiceSummarySchema) }));

export const MtlsReportSchema = named(
  "MtlsReport",
  v.strictObject({
    service: text,
    mtls_mode: mode,
    workloads: v.array(text),
    namespace: text,
    host: text,
    revision,
    stale: otherNodes.stale,
    ports: v.array(v.strictObject({ port: v.number(), name: text, mode })),
    details: v.array(
      v.strictObject({
        workload: text,
        namespace: text,
        port: v.number(),
        mode: v.picklist(["STRICT", "PERMISSIVE", "DISABLE", "NONE"]),
        source: v.optional(ProvenanceSchema),
        in_force: v.boolean(),
        proxy: v.picklist(["synced", "pending", "nacked", "disconnected", "away", "unknown"]),
        on_node: v.optional(text),
        reason: v.optional(text),
      }),
    ),
  }),
);

export const TypeStatusSchema = named(
  "TypeStatus",
  v.strictObject({
    type: text,
    status: v.picklist(["SYNCED", "PENDING", "NACKED", "NOT_SUBSCRIBED"]),
    sent_revision: v.optional(revision),
    acked_revision: v.optional(revision),
    sent_at: v.optional(text),
    acked_at: v.optional(text),
    resources: v.optional(v.number()),
    nack: v.optional(
      v.strictObject({
        revision,
        at: text,
        message: text,
        resources: v.array(v.strictObject({ name: text, sources: v.array(ProvenanceSchema) })),
      }),
    ),
  }),
);

export const ProxyStatusSchema = named(
  "ProxyStatus",
  v.strictObject({
    id: text,
    workload: text,
    namespace: text,
    node: text,
    envoy_version: text,
    protocol: v.optional(v.picklist(["delta", "sotw"])),
    address: text,
    connected: v.boolean(),
    connected_at: v.optional(text),
    disconnected_at: v.optional(text),
    status: v.picklist(["SYNCED", "PENDING", "NACKED", "UNKNOWN"]),
    on_node: v.optional(text),
    acked_revision: v.optional(revision),
    unknown_because: v.optional(text),
    needs_restart: v.optional(text),
    too_old: v.optional(text),
    uncertified: v.optional(text),
    unready: v.optional(text),
    types: v.array(TypeStatusSchema),
  }),
);

export const ProxyListSchema = named("ProxyList", v.strictObject({ items: v.array(ProxyStatusSchema), ...otherNodes }));

export const ConvergenceSchema = named(
  "Convergence",
  v.strictObject({
    revision,
    acked: v.array(text),
    nacked: v.array(ProxyStatusSchema),
    pending: v.array(text),
    still_nacked: v.array(ProxyStatusSchema),
    nodes: v.optional(v.array(NodeConvergenceSchema)),
    ...otherNodes,
  }),
);

export const HealthSchema = named(
  "Health",
  v.strictObject({
    ok: v.boolean(),
    parts: v.array(v.strictObject({ part: text, ok: v.boolean(), message: text, warnings: v.optional(v.array(text)) })),
  }),
);

export const TokenRequestSchema = named(
  "TokenRequest",
  v.strictObject({ workload: v.optional(text), workload_group: v.optional(text), ttl: v.optional(text) }),
);
export const TokenSchema = named(
  "Token",
  v.strictObject({ token: text, expires: text, workload: v.optional(text), workload_group: v.optional(text) }),
);
export const BootstrapRequestSchema = named(
  "BootstrapRequest",
  v.strictObject({ workload: text, ttl: v.optional(text), ads: v.optional(text), unix: v.optional(v.boolean()) }),
);
export const RevocationRequestSchema = named(
  "RevocationRequest",
  v.strictObject({ workload: v.optional(text), workload_group: v.optional(text), ignore_not_found: v.optional(v.boolean()) }),
);
export const RevocationSchema = named("Revocation", v.strictObject({ revoked: text, streams: v.number(), spiffe_ids: v.array(text) }));
export const AnySchema = v.record(text, v.unknown());
