/** Instances of WorkloadGroups: registration, and what their proxies say of their applications' health. */
import type { Hono } from "hono";
import * as v from "valibot";
import { readNamespace } from "../model/index.ts";
import { type AdminContext, type AdminEnv, callerOf, queryOf, type RouteContext, reply, workloadOf } from "./context.ts";
import { readObject } from "./input.ts";
import { describe } from "./openapi.ts";
import type { Registrar } from "./registration.ts";

const named = <S extends v.GenericSchema>(ref: string, schema: S) => v.pipe(schema, v.metadata({ ref }));
const text = v.string();
const record = v.record(text, v.unknown());

const RegistrationRequestSchema = named(
  "RegistrationRequest",
  v.strictObject({
    group: text,
    address: text,
    instance: v.pipe(text, v.minLength(16), v.maxLength(64)),
    labels: v.optional(v.record(text, text)),
    locality: v.optional(text),
    ads: v.optional(text),
  }),
);

const RegistrationSchema = named(
  "Registration",
  v.strictObject({ workload: text, expires: text, bootstrap: record, probe: v.optional(record) }),
);

const HealthReportSchema = named(
  "HealthReport",
  v.strictObject({ ready: v.boolean(), message: v.optional(v.pipe(text, v.maxLength(1024))) }),
);
const DoneSchema = named("Done", v.strictObject({ workload: text }));

const registrarOf = (c: AdminContext): Registrar => ({
  ...callerOf(c),
  isAdmin: c.get("principal")?.role === "admin",
  authorization: c.req.header("authorization"),
});

export function registrationRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.post(
    "/v1/registrations",
    describe({
      id: "register",
      summary:
        "Registers an instance of a WorkloadGroup: its bootstrap, with a token in it. Takes a group's token besides an admin's or editor's",
      tag: "identity",
      body: RegistrationRequestSchema,
      reply: RegistrationSchema,
      statuses: [201],
      problems: [400, 404, 409],
    }),
    async (c) => {
      queryOf(c, []);
      const { group, labels = {}, ...rest } = await readObject(c, RegistrationRequestSchema);
      return reply(c, await control.register({ ...rest, group: workloadOf(group), labels }, registrarOf(c)), 201);
    },
  );

  app.put(
    "/v1/proxies/:namespace/:name/health",
    describe({
      id: "reportHealth",
      summary: "Whether the application of a WorkloadGroup's instance is ready. Takes the instance's own token besides an admin's",
      tag: "proxies",
      body: HealthReportSchema,
      reply: DoneSchema,
      problems: [400, 404],
    }),
    async (c) => {
      queryOf(c, []);
      const workload = { namespace: readNamespace(c.req.param("namespace")), name: c.req.param("name") };
      await control.reportHealth(workload, await readObject(c, HealthReportSchema), registrarOf(c));
      return reply(c, { workload: `${workload.namespace}/${workload.name}` });
    },
  );
}
