/** POST /v1/why: what becomes of a request in the mesh as it is now, and which line decides. */
import type { Hono } from "hono";
import { type AdminEnv, queryOf, type RouteContext, reply } from "./context.ts";
import { readObject } from "./input.ts";
import { describe } from "./openapi.ts";
import { WhyAnswerSchema, WhyRequestSchema } from "./why-schemas.ts";

export function whyRoute(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.post(
    "/v1/why",
    describe({
      id: "why",
      summary: "What becomes of a request, step by step, with the line that decides each",
      tag: "services",
      body: WhyRequestSchema,
      reply: WhyAnswerSchema,
      problems: [400, 404],
    }),
    async (c) => {
      queryOf(c, []);
      return reply(c, control.why(await readObject(c, WhyRequestSchema)));
    },
  );
}
