/** Nodes of the mesh: listed for everybody who may read, let in and removed by admins (access.ts). */
import type { Hono } from "hono";
import { type AdminEnv, callerOf, queryOf, type RouteContext, reply, secondsOf } from "./context.ts";
import { readObject } from "./input.ts";
import { JoinTokenRequestSchema, JoinTokenSchema, NodeAnswerSchema, NodesSchema } from "./nodes.ts";
import { describe } from "./openapi.ts";

export function nodeRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.get("/v1/nodes", describe({ id: "listNodes", summary: "The nodes of the mesh", tag: "nodes", reply: NodesSchema }), (c) => {
    queryOf(c, []);
    const stale = control.nodes.stale();
    return reply(c, { items: control.nodes.list(), ...(stale ? { stale } : {}) });
  });

  app.post(
    "/v1/nodes/tokens",
    describe({
      id: "createJoinToken",
      summary: "A token by which one node joins the mesh; it is shown this once",
      tag: "nodes",
      body: JoinTokenRequestSchema,
      reply: JoinTokenSchema,
      statuses: [201],
      problems: [400, 409, 503],
    }),
    async (c) => {
      queryOf(c, []);
      const { ttl, authority, node } = await readObject(c, JoinTokenRequestSchema);
      const request = {
        ...(authority === undefined ? {} : { authority }),
        ...(node === undefined ? {} : { node }),
        ...(ttl === undefined ? {} : { ttlMs: secondsOf(ttl, "ttl") * 1000 }),
      };
      return reply(c, await control.nodes.createToken(request, callerOf(c)), 201);
    },
  );

  app.delete(
    "/v1/nodes/:name",
    describe({
      id: "removeNode",
      summary: "Removes a node: from now on it is refused",
      tag: "nodes",
      reply: NodeAnswerSchema,
      problems: [404, 409, 503],
    }),
    async (c) => {
      queryOf(c, []);
      return reply(c, await control.nodes.remove(c.req.param("name"), callerOf(c)));
    },
  );
}
