/** GET /v1/ca and POST /v1/ca/rotate. */
import * as v from "valibot";

const named = <S extends v.GenericSchema>(ref: string, schema: S) => v.pipe(schema, v.metadata({ ref }));
const text = v.string();
const certificate = { subject: text, serial: text, fingerprint: text, notBefore: text, notAfter: text };

const authority = named(
  "CaAuthority",
  v.strictObject({
    id: text,
    state: v.picklist(["prepared", "active", "retiring"]),
    notBefore: text,
    notAfter: text,
    next: v.optional(v.strictObject({ step: v.picklist(["prepare-next", "activate", "retire"]), at: text })),
    subject: v.optional(text),
    serial: v.optional(text),
    fingerprint: v.optional(text),
    /** In a mesh with several authorities: the node that holds it. */
    node: v.optional(text),
    issuers: v.optional(v.pipe(v.array(v.strictObject(certificate)), v.readonly())),
  }),
);
const list = <T extends v.GenericSchema>(schema: T) => v.pipe(v.array(schema), v.readonly());

export const CaSchema = named(
  "Ca",
  v.strictObject({
    trustDomain: text,
    /** Of the bundle. */
    sequence: v.number(),
    x509: list(authority),
    jwt: list(authority),
    rotations: list(
      v.strictObject({
        type: v.picklist(["x509", "jwt"]),
        reason: text,
        since: text,
        /** The new authority does not sign before. */
        notBefore: v.optional(text),
        waitingFor: list(text),
      }),
    ),
    warnings: list(v.strictObject({ code: text, message: text, help: text })),
    /** The X.509-SVIDs in use, by SPIFFE ID: when each expires, and the id of the authority that signed it. */
    svids: v.record(text, v.strictObject({ expires: text, authority: text })),
  }),
);
export type CaAnswer = v.InferOutput<typeof CaSchema>;

export const CaRotateSchema = named("CaRotate", v.strictObject({ authority: v.optional(v.picklist(["x509", "jwt", "all"]), "x509") }));
export type CaRotateTarget = v.InferOutput<typeof CaRotateSchema>["authority"];
