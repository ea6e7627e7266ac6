/** GET /v1/audit: the chain of records (lib/audit.ts), oldest first, in pages; and what the history says of the same changes. */
import type { Hono } from "hono";
import { WeftError } from "../lib/errors.ts";
import { type AdminEnv, queryOf, type RouteContext, reply } from "./context.ts";
import { describe, query } from "./openapi.ts";
import { AuditPageSchema, RevisionsPageSchema } from "./schemas.ts";

const LARGEST_PAGE = 1_000;

export function auditRoute(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.get(
    "/v1/audit",
    describe({
      id: "listAudit",
      summary: "Who changed what, and what was refused, oldest first; each record holds the hash of the one before",
      tag: "audit",
      parameters: [
        query("after", "Only records after this sequence number; the last of a page is the next page's.", "integer"),
        query("last", "Only so many of the newest, instead of `after`.", "integer"),
        query("limit", `Records a page, at most ${LARGEST_PAGE}.`, "integer"),
      ],
      reply: AuditPageSchema,
      problems: [400],
    }),
    async (c) => {
      const { after, last, limit } = queryOf(c, ["after", "last", "limit"]);
      if (after !== undefined && last !== undefined) throw new WeftError("invalid", "after and last exclude each other");
      const most = limit === undefined ? LARGEST_PAGE : wholeOf(limit, "limit", 1, LARGEST_PAGE);
      if (last === undefined) {
        const from = after === undefined ? 0 : wholeOf(after, "after", 0, Number.MAX_SAFE_INTEGER);
        return reply(c, await control.audit({ after: from, limit: most }));
      }
      const newest = wholeOf(last, "last", 1, LARGEST_PAGE);
      const { head } = await control.audit({ after: 0, limit: 1 });
      return reply(c, await control.audit({ after: Math.max(0, head.sequence - newest), limit: Math.min(newest, most) }));
    },
  );

  app.get(
    "/v1/audit/revisions",
    describe({
      id: "listRevisions",
      summary: "What changed in each revision whose history is kept, oldest first, in the words of the audit: to compare the two",
      tag: "audit",
      parameters: [query("after", "Only revisions after this one; the last of a page is the next page's.", "integer")],
      reply: RevisionsPageSchema,
      problems: [400],
    }),
    async (c) => {
      const { after } = queryOf(c, ["after"]);
      return reply(c, await control.revisions(after === undefined ? 0 : wholeOf(after, "after", 0, Number.MAX_SAFE_INTEGER)));
    },
  );
}

function wholeOf(text: string, name: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new WeftError("invalid", `${name} must be a whole number from ${least} to ${most}, not "${text}"`);
}
