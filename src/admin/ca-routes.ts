/** The CA and the trust bundle. */
import type { Hono } from "hono";
import { CaRotateSchema, CaSchema } from "./ca-schemas.ts";
import { type AdminEnv, callerOf, queryOf, type RouteContext, reply } from "./context.ts";
import { readObject } from "./input.ts";
import { describe } from "./openapi.ts";
import { AnySchema } from "./schemas.ts";

export function caRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.get(
    "/v1/ca",
    describe({
      id: "getCa",
      summary: "The CA: its authorities, what is next for each, warnings, and who has what",
      tag: "identity",
      reply: CaSchema,
    }),
    (c) => {
      queryOf(c, []);
      return reply(c, control.ca());
    },
  );

  app.post(
    "/v1/ca/rotate",
    describe({
      id: "rotateCa",
      summary: "Replace an authority as soon as every proxy trusts a new one; x509 where none is named. GET /v1/ca tells how far it is",
      tag: "identity",
      body: CaRotateSchema,
      reply: CaSchema,
      problems: [400, 503],
    }),
    async (c) => {
      queryOf(c, []);
      const { authority } = await readObject(c, CaRotateSchema);
      return reply(c, await control.rotateCa(authority, callerOf(c)));
    },
  );

  app.get(
    "/v1/bundle",
    describe({ id: "getBundle", summary: "The SPIFFE bundle, a JWKS", tag: "identity", open: true, reply: AnySchema }),
    (c) => {
      queryOf(c, []);
      return reply(c, control.bundle());
    },
  );
}
