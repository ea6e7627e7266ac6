import { buildCommand, buildRouteMap } from "@stricli/core";
import type { AccessReport, NewAccess } from "../admin/control-plane.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags } from "./client.ts";
import { parseText } from "./names.ts";
import { clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { verb } from "./verb.ts";

interface CreateFlags extends ConnectFlags {
  readonly role: "admin" | "editor" | "viewer";
  readonly namespace?: readonly string[];
  readonly ttl?: string;
}

const name = {
  kind: "tuple",
  parameters: [{ parse: parseText, placeholder: "NAME", brief: "What the token is called in lists and in the audit" }],
} as const;

const createCommand = buildCommand({
  docs: {
    brief: "Make a token for the admin API with a role",
    fullDescription:
      "admin: everything. editor: changes what is in its namespaces, and takes tokens of the workloads there. viewer: looks, asks, tries with --dry-run.\n" +
      "The token is printed this once; weft keeps its hash.",
  },
  parameters: {
    flags: {
      role: { kind: "enum", values: ["admin", "editor", "viewer"], brief: "What its holder may do" },
      namespace: {
        kind: "parsed",
        parse: parseText,
        variadic: true,
        optional: true,
        brief: "Of an editor; several times for several",
        placeholder: "NS",
      },
      ttl: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        brief: "How long it is good, such as 24h or 7d; 90 days where absent",
        placeholder: "TIME",
      },
      ...connectFlags,
    },
    aliases: { n: "namespace" },
    positional: name,
  },
  func: verb<CreateFlags, [string]>(async (cli, flags, name) => {
    const client = await connect(cli.io, flags);
    const { role, namespace: namespaces = [], ttl } = flags;
    const body = JSON.stringify({ name, role, namespaces, ...(ttl === undefined ? {} : { ttl }) });
    const made = await client.call<NewAccess>("/v1/access", { method: "POST", headers: { "content-type": "application/json" }, body });
    // Only the token on stdout, so that $(weft access create ...) works.
    cli.complain(clean(`access token ${made.name} (${scopeOf(made)}), good until ${made.expires}`));
    cli.print(clean(made.token));
    return 0;
  }),
});

const listCommand = buildCommand({
  docs: { brief: "List the tokens of the admin API" },
  parameters: { flags: { output: reportFormat, ...connectFlags }, aliases: { o: "output" } },
  func: verb<ReportFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const { items } = await client.call<{ items: AccessReport[] }>("/v1/access");
    if (flags.output === "json") cli.print(json(items));
    else if (items.length === 0) cli.complain("there is none besides the admin token of the data directory");
    else {
      const rows = items.map((one) => [one.name, one.role, one.namespaces.join(","), one.state, one.expires, one.created_by]);
      cli.print(table(["NAME", "ROLE", "NAMESPACES", "STATE", "EXPIRES", "CREATED BY"], rows));
    }
    return 0;
  }),
});

const revokeCommand = buildCommand({
  docs: { brief: "Revoke a token of the admin API: it is refused from now on" },
  parameters: { flags: { ...connectFlags }, positional: name },
  func: verb<ConnectFlags, [string]>(async (cli, flags, name) => {
    const client = await connect(cli.io, flags);
    const revoked = await client.call<AccessReport>(`/v1/access/${encodeURIComponent(name)}`, { method: "DELETE" });
    cli.print(clean(`access token ${revoked.name} (${scopeOf(revoked)}) revoked`));
    return 0;
  }),
});

function scopeOf({ role, namespaces }: AccessReport): string {
  return namespaces.length > 0 ? `${role} of ${namespaces.join(", ")}` : role;
}

export const accessRoutes = buildRouteMap({
  routes: { create: createCommand, list: listCommand, revoke: revokeCommand },
  docs: { brief: BRIEF.access },
});
