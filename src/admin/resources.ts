/** Resources: apply many, read, write and delete one, watch all. */
import type { Hono } from "hono";
import { WeftError } from "../lib/errors.ts";
import { findKind, KINDS, readNamespace } from "../model/index.ts";
import { type AdminContext, type AdminEnv, callerOf, flagOf, parentOf, principalOf, queryOf, type RouteContext, reply } from "./context.ts";
import type { ApplyOutcome } from "./control-plane.ts";
import { preconditionOf, readFiles, readObject } from "./input.ts";
import { pageFrom, tokenOf } from "./list-page.ts";
import { describe, header, query } from "./openapi.ts";
import { ApplyOutcomeSchema, DeleteOutcomeSchema, DeleteRequestSchema, ResourceListSchema, ResourceSchema } from "./schemas.ts";

const ONE = "/v1/resources/:kind/:namespace/:name";
const DRY_RUN = query("dryRun", "Validate and compare, but change nothing.", "boolean");
const IF_MATCH = header("If-Match", 'The ETag that the resource must have now, or "*": it must exist.');

function idOf(c: AdminContext) {
  const { kind = "", namespace = "", name = "" } = c.req.param() as Partial<Record<"kind" | "namespace" | "name", string>>;
  return { kind: kindOf(kind), namespace: readNamespace(namespace), name };
}

/** The canonical kind for any of its names ("vs", "virtualservices"). @throws WeftError "not_found" */
function kindOf(text: string): string {
  const { found, later, suggestion } = findKind(text);
  if (found) return found.kind;
  const kinds = `kinds: ${Object.keys(KINDS).join(", ")}`;
  if (later) throw new WeftError("not_found", `${later} is a kind of Istio's that weft does not translate yet`, { help: kinds });
  const guess = suggestion ? `: did you mean ${suggestion}?` : "";
  throw new WeftError("not_found", `There is no kind "${text}"${guess}`, { help: kinds });
}

const etag = (resourceVersion: string) => `"${resourceVersion}"`;

export function resourceRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.post(
    "/v1/apply",
    describe({
      id: "apply",
      summary: "Apply all resources of the body in one transaction",
      tag: "resources",
      parameters: [DRY_RUN, query("file", "The file's name, for problems and provenance.")],
      body: "files",
      reply: ApplyOutcomeSchema,
      problems: [400, 409, 413, 422, 503],
    }),
    async (c) => {
      const { dryRun, file } = queryOf(c, ["dryRun", "file"]);
      const files = await readFiles(c, file);
      if (preconditionOf(c) !== undefined) {
        throw new WeftError("invalid", "POST /v1/apply takes no If-Match: many resources have many ETags", {
          help: "write metadata.resourceVersion in the documents",
        });
      }
      return reply(
        c,
        await control.apply({ files, ...callerOf(c), principal: principalOf(c), dryRun: flagOf(dryRun, "dryRun"), parent: parentOf(c) }),
      );
    },
  );

  app.post(
    "/v1/delete",
    describe({
      id: "deleteResources",
      summary: "Delete all resources that the body names in one transaction; what is not there is told, and is no error",
      tag: "resources",
      parameters: [DRY_RUN],
      body: DeleteRequestSchema,
      reply: DeleteOutcomeSchema,
      problems: [400, 404, 409, 413, 503],
    }),
    async (c) => {
      const { dryRun } = queryOf(c, ["dryRun"]);
      const { items: named } = await readObject(c, DeleteRequestSchema);
      const items = named.map(({ kind, namespace, name, resourceVersion }) => {
        return {
          kind: kindOf(kind),
          namespace: readNamespace(namespace),
          name,
          ...(resourceVersion === undefined ? {} : { expect: Number(resourceVersion) }),
        };
      });
      return reply(
        c,
        await control.removeAll({
          items,
          ...callerOf(c),
          principal: principalOf(c),
          dryRun: flagOf(dryRun, "dryRun"),
          parent: parentOf(c),
        }),
      );
    },
  );

  app.get(
    "/v1/resources",
    describe({
      id: "listResources",
      summary: "All resources, or those of a kind or namespace; with limit in pages, which all show the revision of the first",
      tag: "resources",
      parameters: [
        query("kind", "VirtualService, ..."),
        query("namespace", "Namespace"),
        query("limit", "At most so many; the answer's `continue`, where it has one, asks for the next page.", "integer"),
        query("continue", "What the page before answered. 409 where the history does not reach back to its revision any more."),
      ],
      reply: ResourceListSchema,
      problems: [400, 409],
    }),
    async (c) => {
      const { kind, namespace, limit, continue: token } = queryOf(c, ["kind", "namespace", "limit", "continue"]);
      const filter = { ...(kind ? { kind: kindOf(kind) } : {}), ...(namespace ? { namespace: readNamespace(namespace) } : {}) };
      const { next, ...listing } = await control.list(filter, pageFrom(limit, token));
      return reply(c, next ? { ...listing, continue: tokenOf(next) } : listing);
    },
  );

  app.get(
    ONE,
    describe({
      id: "getResource",
      summary: "One resource",
      tag: "resources",
      reply: ResourceSchema,
      statuses: [200, 304],
      problems: [404],
    }),
    async (c) => {
      queryOf(c, []);
      const { kind, namespace, name } = idOf(c);
      const resource = await control.get(kind, namespace, name);
      const tag = etag(resource.metadata.resourceVersion);
      const known = c.req
        .header("if-none-match")
        ?.split(",")
        .map((one) => one.trim().replace(/^W\//, ""));
      if (known?.includes(tag) || known?.includes("*")) return new Response(null, { status: 304, headers: { etag: tag } });
      return reply(c, resource, 200, { etag: tag });
    },
  );

  app.put(
    ONE,
    describe({
      id: "putResource",
      summary: "Create or replace one resource",
      tag: "resources",
      parameters: [
        DRY_RUN,
        query("file", "The file's name, for problems and provenance."),
        IF_MATCH,
        header("If-None-Match", '"*": create only.'),
      ],
      body: "resources",
      reply: ResourceSchema,
      statuses: [200, 201],
      problems: [400, 409, 412, 413, 422, 503],
    }),
    async (c) => {
      const { dryRun, file } = queryOf(c, ["dryRun", "file"]);
      const only = idOf(c);
      const dry = flagOf(dryRun, "dryRun");
      const request = {
        files: await readFiles(c, file),
        ...callerOf(c),
        principal: principalOf(c),
        dryRun: dry,
        parent: parentOf(c),
        only,
      };
      const expect = preconditionOf(c);
      const outcome = await control.apply({ ...request, ...(expect === undefined ? {} : { expect }) });
      const [applied] = outcome.applied;
      if (dry || !applied) return reply(c, outcome);
      const resource = await control.get(applied.kind, applied.namespace, applied.name);
      const created = applied.action === "created";
      const location = `/v1/resources/${[applied.kind, applied.namespace, applied.name].map(encodeURIComponent).join("/")}`;
      return reply(c, resource, created ? 201 : 200, {
        etag: etag(applied.resourceVersion),
        "weft-revision": String(outcome.revision),
        ...(created ? { location } : {}),
        ...warningHeaders(outcome),
      });
    },
  );

  app.delete(
    ONE,
    describe({
      id: "deleteResource",
      summary: "Delete one resource",
      tag: "resources",
      parameters: [DRY_RUN, IF_MATCH],
      reply: ApplyOutcomeSchema,
      problems: [400, 404, 409, 412, 503],
    }),
    async (c) => {
      const { dryRun } = queryOf(c, ["dryRun"]);
      const expect = preconditionOf(c);
      if (expect === "absent") throw new WeftError("invalid", "What is absent cannot be deleted: If-None-Match makes no sense here");
      const request = { ...idOf(c), ...callerOf(c), principal: principalOf(c), dryRun: flagOf(dryRun, "dryRun"), parent: parentOf(c) };
      // If-Match "*" asks for what a delete demands anyway: that the resource is there.
      return reply(c, await control.remove({ ...request, ...(typeof expect === "number" ? { expect } : {}) }));
    },
  );
}

/** Warnings of a PUT, whose body is the resource: one header for each. Control characters and non-ASCII have no place in a header. */
function warningHeaders(outcome: ApplyOutcome): Record<string, string> {
  if (outcome.problems.length === 0) return {};
  const clean = (text: string) => text.replace(/[^\x20-\x7e]/g, "?").replaceAll('"', "'");
  return {
    warning: outcome.problems
      .map((problem) => `299 weft "${clean(`${problem.code} line ${problem.line}: ${problem.message}`)}"`)
      .join(", "),
  };
}
