import { buildCommand, buildRouteMap } from "@stricli/core";
import type { JoinTokenAnswer, NodeAnswer } from "../admin/nodes.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags } from "./client.ts";
import { parseText } from "./names.ts";
import { clean } from "./output.ts";
import { verb } from "./verb.ts";

interface TokenFlags extends ConnectFlags {
  readonly authority: boolean;
  readonly node?: string;
  readonly ttl?: string;
}

const tokenCommand = buildCommand({
  docs: {
    brief: "Let a node join: print the command that it calls",
    fullDescription:
      "The token in it is good for one node, once, and is shown this once; weft keeps its hash. It names this authority by its CA's key.",
  },
  parameters: {
    flags: {
      authority: { kind: "boolean", default: false, withNegated: false, brief: "The node is to hold a CA of its own, and sign for others" },
      node: { kind: "parsed", parse: parseText, optional: true, brief: "Good for a node of this name only", placeholder: "NAME" },
      ttl: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        brief: "How long it is good: 15m where absent, a day at most",
        placeholder: "TIME",
      },
      ...connectFlags,
    },
  },
  func: verb<TokenFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const { authority, node, ttl } = flags;
    const body = JSON.stringify({
      ...(authority ? { authority } : {}),
      ...(node === undefined ? {} : { node }),
      ...(ttl === undefined ? {} : { ttl }),
    });
    const made = await client.call<JoinTokenAnswer>("/v1/nodes/tokens", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    // Only the command on stdout, so that it can be passed on.
    cli.complain(clean(`good for one ${made.authority ? "authority" : "node"} until ${made.expires}; call there:`));
    cli.print(clean(`weft join ${made.address} --token ${made.token}${node === undefined ? "" : ` --node ${node}`}`));
    return 0;
  }),
});

const removeCommand = buildCommand({
  docs: {
    brief: "Remove a node: it is refused from now on, and its workloads leave the endpoints",
    fullDescription:
      "It can come back with a new token only. An authority's SVIDs are issued again by the others, and its roots leave the bundle two minutes later.",
  },
  parameters: {
    flags: { ...connectFlags },
    positional: { kind: "tuple", parameters: [{ parse: parseText, placeholder: "NAME", brief: "As weft nodes has it" }] },
  },
  func: verb<ConnectFlags, [string]>(async (cli, flags, name) => {
    const client = await connect(cli.io, flags);
    const removed = await client.call<NodeAnswer>(`/v1/nodes/${encodeURIComponent(name)}`, { method: "DELETE" });
    cli.print(clean(`node ${removed.name} removed`));
    return 0;
  }),
});

export const nodeRoutes = buildRouteMap({
  routes: { token: tokenCommand, remove: removeCommand },
  docs: { brief: BRIEF.node },
});
