/** The API's description, from the schemas that the routes themselves use. https://spec.openapis.org/oas/v3.1.0 */
import { toJsonSchema } from "@valibot/to-json-schema";
import type { Hono } from "hono";
import { type DescribeRouteOptions, describeRoute, generateSpecs, resolver } from "hono-openapi";
import type * as v from "valibot";
import type { AdminEnv } from "./context.ts";
import { ProblemDetailsSchema } from "./schemas.ts";

type Parameter = Exclude<NonNullable<DescribeRouteOptions["parameters"]>[number], { $ref: string }>;

export const query = (name: string, description: string, type: "string" | "integer" | "boolean" = "string"): Parameter => ({
  name,
  in: "query",
  description,
  schema: { type },
});

export const header = (name: string, description: string): Parameter => ({ name, in: "header", description, schema: { type: "string" } });

const RESOURCE_TEXT = { schema: { type: "string" as const, description: "One or more resources, YAML or JSON." } };
const RESOURCE_CONTENT = {
  "application/yaml": RESOURCE_TEXT,
  "application/json": { schema: { type: "object" as const, description: "A resource, or a List of them." } },
};

export interface RouteDescription {
  readonly id: string;
  readonly summary: string;
  readonly tag: "resources" | "services" | "proxies" | "identity" | "access" | "audit" | "health" | "nodes";
  readonly parameters?: Parameter[];
  readonly reply?: v.GenericSchema;
  /** Where the reply is not JSON. */
  readonly media?: string;
  /** A schema, or "resources" for the user's YAML, "files" where several files may come too. */
  readonly body?: v.GenericSchema | "resources" | "files";
  /** Of success; 200 where absent. */
  readonly statuses?: readonly number[];
  /** Statuses of problem details besides 401 and 403. */
  readonly problems?: readonly number[];
  readonly open?: boolean;
}

const problem = (description: string) => ({
  description,
  content: { "application/problem+json": { schema: resolver(ProblemDetailsSchema) } },
});

const SUCCESS: Readonly<Record<number, string>> = { 201: "Created", 304: "Not modified: it has the ETag of If-None-Match" };

export function describe(route: RouteDescription) {
  const failures = [...(route.open ? [] : [401, 403]), ...(route.problems ?? [])];
  const json = route.reply ? { "application/json": { schema: resolver(route.reply) } } : textContent(route.media);
  const content = (status: number) => (status === 304 ? {} : { content: json });
  return describeRoute({
    operationId: route.id,
    summary: route.summary,
    tags: [route.tag],
    parameters: route.parameters ?? [],
    ...(route.open ? { security: [] } : {}),
    ...(route.body ? { requestBody: { required: true, content: bodyContent(route.body) } } : {}),
    responses: {
      ...Object.fromEntries(
        (route.statuses ?? [200]).map((status) => [status, { description: SUCCESS[status] ?? "Done", ...content(status) }]),
      ),
      ...Object.fromEntries(failures.map((status) => [status, problem("Problem details, RFC 9457")])),
    },
  });
}

const textContent = (media = "text/plain") => ({ [media]: { schema: { type: "string" as const } } });

function bodyContent(body: NonNullable<RouteDescription["body"]>) {
  if (body === "resources") return RESOURCE_CONTENT;
  if (body !== "files") return { "application/json": { schema: resolver(body) } };
  const files = { type: "object" as const, additionalProperties: { type: "string" as const, format: "binary" } };
  return { ...RESOURCE_CONTENT, "multipart/form-data": { schema: { ...files, description: "One file a part; all in one transaction." } } };
}

/** @param kinds The spec schema of each resource kind. */
export async function openApiDocument(
  app: Hono<AdminEnv>,
  version: string,
  kinds: Readonly<Record<string, v.GenericSchema>>,
): Promise<Readonly<Record<string, unknown>>> {
  const spec = await generateSpecs(app, {
    excludeStaticFile: false,
    documentation: {
      info: { title: "weft admin API", version, description: "Policies, services, proxies and identities of one weft." },
      security: [{ adminToken: [] }],
    },
  });
  const schemas: Record<string, unknown> = { ...spec.components.schemas };
  for (const [kind, schema] of Object.entries(kinds)) {
    const { $schema: _, ...json } = toJsonSchema(schema, { errorMode: "ignore", target: "draft-2020-12" });
    schemas[`${kind}Spec`] = json;
    schemas[kind] = {
      type: "object",
      required: ["apiVersion", "kind", "metadata", "spec"],
      properties: {
        apiVersion: { type: "string" },
        kind: { const: kind },
        metadata: { type: "object", required: ["name"], properties: { name: { type: "string" }, namespace: { type: "string" } } },
        spec: { $ref: `#/components/schemas/${kind}Spec` },
      },
    };
  }
  const securitySchemes = {
    adminToken: {
      type: "http",
      scheme: "bearer",
      description: "`weft token` prints it, `weft access create` makes others; the Unix socket admin.sock needs none.",
    },
  };
  return { ...spec, components: { ...spec.components, schemas, securitySchemes } };
}
