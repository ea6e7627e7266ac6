/**
 * Who may do what at the admin API. An admin may do everything. An editor changes what is in its namespaces, and takes tokens for the
 * workloads there. A viewer looks, asks and tries (`dryRun`). Both see everything but the audit and the access tokens, as policies of all namespaces
 * decide together on a request. What is not named here is the admin's.
 */
import { WeftError } from "../lib/errors.ts";
import { readNamespace } from "../model/index.ts";
import type { AdminContext } from "./context.ts";

export const ROLES = ["admin", "editor", "viewer"] as const;
export type Role = (typeof ROLES)[number];

/** Somebody who proved who they are. */
export interface Principal {
  /** In the words of the audit: "access token ci (editor of shop)". */
  readonly who: string;
  readonly role: Role;
  /** Of an editor: the namespaces that it may change. */
  readonly namespaces: readonly string[];
}

/** What only admins read. */
const SECLUDED = /^\/v1\/(?:audit|access)(?:\/|$)/;
/** POSTs that change nothing. */
const ASKING = new Set(["POST /v1/why"]);
/** Calls that change nothing with dryRun. */
const TRYING = /^(?:POST \/v1\/(?:apply|delete)|(?:PUT|DELETE) \/v1\/resources\/[^/]+\/[^/]+\/[^/]+)$/;
/** What an editor changes; which namespaces it touches is asked once that is known (mayChange). */
const EDITING = /^(?:POST \/v1\/(?:apply|delete|tokens|tokens\/revoke|bootstrap)|(?:PUT|DELETE) \/v1\/resources\/[^/]+\/[^/]+\/[^/]+)$/;

/** @throws WeftError "forbidden" */
export function checkAccess(c: AdminContext, { who, role }: Principal): void {
  if (role === "admin") return;
  const call = `${c.req.method} ${c.req.path}`;
  const reading = c.req.method === "GET" || c.req.method === "HEAD";
  if (reading && !SECLUDED.test(c.req.path)) return;
  if (ASKING.has(call)) return;
  if (TRYING.test(call) && ["", "true", "1"].includes(c.req.query("dryRun") ?? "false")) return;
  if (role === "editor" && EDITING.test(call)) return;
  throw new WeftError("forbidden", `${who} may not ${reading ? "read" : "do"} this: it is for ${needed(call)}`, {
    help: "an admin gives out tokens with more rights: weft access create NAME --role ROLE",
  });
}

function needed(call: string): string {
  return EDITING.test(call) ? "admins, and for editors of the namespace" : "admins";
}

/** Whether `principal` may change what is in `namespace`. */
export function mayChange({ role, namespaces }: Principal, namespace: string): boolean {
  return role === "admin" || (role === "editor" && namespaces.some((own) => readNamespace(own) === namespace));
}

/** Kinds that are about a machine, not about a namespace: whose processes are whose. */
const MACHINES: ReadonlySet<string> = new Set(["WorkloadRegistration"]);

/** @throws WeftError "forbidden" naming the first of `targets` that lies outside */
export function checkNamespaces(
  principal: Principal,
  targets: readonly { readonly kind?: string; readonly namespace: string; readonly what: string }[],
): void {
  const machines = targets.find(({ kind }) => kind !== undefined && MACHINES.has(kind));
  if (machines && principal.role !== "admin") {
    throw new WeftError("forbidden", `${machines.what}: it says whose processes of a machine are whose, and is for admins`);
  }
  const outside = targets.find(({ namespace }) => !mayChange(principal, namespace));
  if (!outside) return;
  const own = principal.namespaces.length > 0 ? `namespace ${principal.namespaces.join(", ")}` : "no namespace";
  throw new WeftError("forbidden", `${outside.what}: ${principal.who} may change ${own} only`, {
    help: "nothing was changed; ask an admin, or leave out what is of other namespaces",
  });
}
