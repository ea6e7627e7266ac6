/** What the audit hears of requests that were refused: every change, and everyone who was kept out. */
import type { AuditEvent } from "../lib/audit.ts";
import type { WeftError } from "../lib/errors.ts";
import { type AdminContext, callerOf } from "./context.ts";

/** POSTs that change nothing. */
const READING = new Set(["/v1/why"]);

/** The words of the audit for a call; others are named by method and pattern. */
const ACTIONS: ReadonlyMap<string, string> = new Map([
  ["POST /v1/apply", "apply"],
  ["PUT /v1/resources/:kind/:namespace/:name", "apply"],
  ["DELETE /v1/resources/:kind/:namespace/:name", "delete"],
  ["POST /v1/delete", "delete"],
  ["POST /v1/tokens", "issue-token"],
  ["POST /v1/bootstrap", "issue-token"],
  ["POST /v1/tokens/revoke", "revoke-token"],
  ["POST /v1/registrations", "register"],
  ["POST /v1/access", "create-access"],
  ["DELETE /v1/access/:name", "revoke-access"],
]);

/** @param route the pattern of the call, "unknown" where there is none. @returns undefined where nothing was refused that the audit is about */
export function refusalOf(
  c: AdminContext,
  route: string,
  error: WeftError,
): (Omit<AuditEvent, "outcome" | "count"> & { readonly reason: string }) | undefined {
  const keptOut = error.code === "unauthenticated" || error.code === "forbidden";
  const changing = c.req.method !== "GET" && c.req.method !== "HEAD" && !READING.has(route) && !isDryRun(c);
  if (!keptOut && !changing) return undefined;
  const { kind, namespace, name } = c.req.param() as Partial<Record<"kind" | "namespace" | "name", string>>;
  const named = kind && namespace && name ? [`${kind} ${namespace}/${name}`] : [];
  const found = error.problems.flatMap(({ severity, resource }) =>
    severity === "error" && resource ? [`${resource.kind} ${resource.namespace}/${resource.name}`] : [],
  );
  return {
    ...callerOf(c),
    action: ACTIONS.get(`${c.req.method} ${route}`) ?? `${c.req.method} ${route}`,
    targets: named.length > 0 ? named : [...new Set(found)].slice(0, 20),
    reason: `${error.code}: ${error.message}`,
  };
}

function isDryRun(c: AdminContext): boolean {
  const value = c.req.query("dryRun");
  return value === "" || value === "true" || value === "1";
}
