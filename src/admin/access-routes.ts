/** Access tokens: made, listed, revoked. For admins only (access.ts). */
import type { Hono } from "hono";
import { type AdminEnv, callerOf, queryOf, type RouteContext, reply, secondsOf } from "./context.ts";
import { readObject } from "./input.ts";
import { describe } from "./openapi.ts";
import { AccessListSchema, AccessRequestSchema, AccessTokenSchema, NewAccessSchema } from "./schemas.ts";

export function accessRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.get(
    "/v1/access",
    describe({ id: "listAccess", summary: "Access tokens, without the tokens themselves", tag: "access", reply: AccessListSchema }),
    (c) => {
      queryOf(c, []);
      return reply(c, { items: control.access.list() });
    },
  );

  app.post(
    "/v1/access",
    describe({
      id: "createAccess",
      summary: "A token for the admin API with a role; it is shown this once",
      tag: "access",
      body: AccessRequestSchema,
      reply: NewAccessSchema,
      statuses: [201],
      problems: [400, 409, 503],
    }),
    async (c) => {
      queryOf(c, []);
      const { name, role, namespaces = [], ttl } = await readObject(c, AccessRequestSchema);
      const lifetime = ttl === undefined ? {} : { lifetimeMs: secondsOf(ttl, "ttl") * 1000 };
      return reply(c, await control.access.create({ name, role, namespaces, ...lifetime }, callerOf(c)), 201);
    },
  );

  app.delete(
    "/v1/access/:name",
    describe({
      id: "revokeAccess",
      summary: "Revokes an access token: from now on it is refused",
      tag: "access",
      reply: AccessTokenSchema,
      problems: [404, 503],
    }),
    async (c) => {
      queryOf(c, []);
      return reply(c, await control.access.revoke(c.req.param("name"), callerOf(c)));
    },
  );
}
