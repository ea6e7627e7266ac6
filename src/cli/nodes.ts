import { buildCommand } from "@stricli/core";
import type { NodeAnswer } from "../admin/nodes.ts";
import { BRIEF } from "./briefs.ts";
import { connect, connectFlags } from "./client.ts";
import { age, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { verb } from "./verb.ts";

export const nodesCommand = buildCommand({
  docs: {
    brief: BRIEF.nodes,
    fullDescription:
      "LAG is how many revisions a node is behind the newest that any of them serves. AWAY is one whose card is not on the shared store's board: it may serve\n" +
      "on by itself.",
  },
  parameters: { flags: { output: reportFormat, ...connectFlags }, aliases: { o: "output" } },
  func: verb<ReportFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const { items } = await client.call<{ items: NodeAnswer[] }>("/v1/nodes");
    if (flags.output === "json") cli.print(json({ items }));
    else cli.print(nodeTable(items, cli.io.clock.now()));
    return 0;
  }),
});

function nodeTable(nodes: readonly NodeAnswer[], now: number): string {
  const text = (value: number | undefined) => (value === undefined ? "" : String(value));
  const rows = nodes.map((node) => [
    node.name,
    node.roles.join(",") || "node",
    node.state.toUpperCase(),
    text(node.revision),
    text(node.revisions_behind),
    text(node.proxies),
    node.certificate_expires ?? "",
    node.state === "removed" ? "" : seen(node, now),
    node.version ?? "",
    node.address ?? "",
  ]);
  return table(["NODE", "ROLE", "STATE", "REVISION", "LAG", "PROXIES", "CERTIFICATE UNTIL", "LAST SEEN", "VERSION", "ADDRESS"], rows);
}

function seen({ state, last_seen: at }: NodeAnswer, now: number): string {
  if (state !== "away") return "now";
  return at === undefined ? "" : `${age(at, now)} ago`;
}
