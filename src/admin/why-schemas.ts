/** The JSON of POST /v1/why: src/why/types.ts, as the OpenAPI document shows it. */
import * as v from "valibot";
import { ProvenanceSchema } from "./schemas.ts";

const named = <S extends v.GenericSchema>(ref: string, schema: S) => v.pipe(schema, v.metadata({ ref }));
const text = v.string();
const source = v.nullable(ProvenanceSchema);
const status = v.pipe(v.number(), v.integer());
const verdict = v.picklist(["allow", "deny", "no_route", "refused", "redirect", "direct_response", "fault"]);

export const WhyRequestSchema = named(
  "WhyRequest",
  v.strictObject({
    from: v.optional(text, "plaintext"),
    to: text,
    via: v.optional(text),
    method: v.optional(text),
    path: v.optional(text),
    headers: v.optional(v.record(text, text)),
    claims: v.optional(v.record(text, v.unknown())),
    clientCertificate: v.optional(v.array(text)),
    sourceIp: v.optional(text),
  }),
);

const EndpointSchema = v.strictObject({
  address: text,
  workload: v.nullable(text),
  priority: v.pipe(v.number(), v.integer()),
  connected: v.nullable(v.boolean()),
  verdict,
  status,
  reason: text,
});

const DestinationSchema = v.strictObject({
  cluster: text,
  host: text,
  port: v.number(),
  subset: v.nullable(text),
  weight: v.number(),
  verdict,
  status,
  reason: text,
  request: v.nullable(v.strictObject({ method: text, path: text, authority: text })),
  endpoints: v.array(EndpointSchema),
});

const PolicySchema = v.strictObject({
  policy: text,
  action: text,
  dry_run: v.boolean(),
  result: v.picklist(["match", "no_match"]),
  rule: v.nullable(v.number()),
  reason: text,
  source,
});

const AuthorizationSchema = v.strictObject({
  result: v.picklist(["allow", "deny"]),
  policy: v.nullable(text),
  rule: v.nullable(v.number()),
  reason: text,
  source,
  policies: v.array(PolicySchema),
});

const MtlsSchema = v.strictObject({
  client: v.picklist(["ISTIO_MUTUAL", "MUTUAL", "SIMPLE", "NONE"]),
  client_reason: text,
  client_source: source,
  server: v.picklist(["STRICT", "PERMISSIVE", "DISABLE", "NONE"]),
  server_source: source,
  outcome: v.picklist(["mutual_tls", "tls", "plaintext", "refused"]),
  peer: v.nullable(text),
});

export const WhyAnswerSchema = named(
  "WhyAnswer",
  v.strictObject({
    verdict,
    status,
    summary: text,
    protocol: v.picklist(["http", "tcp"]),
    mixed: v.boolean(),
    route: v.nullable(v.looseObject({ virtual_host: text, name: text, source })),
    destinations: v.array(DestinationSchema),
    mtls: v.nullable(MtlsSchema),
    jwt: v.nullable(v.strictObject({ result: text, reason: text, source })),
    authorization: v.nullable(AuthorizationSchema),
    steps: v.array(v.strictObject({ stage: text, result: text, reason: text, source })),
  }),
);

export type WhyRequestBody = v.InferOutput<typeof WhyRequestSchema>;
