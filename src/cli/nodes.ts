import { buildCommand } from "@stricli/core";
import type { NodeAnswer, Stale } from "../admin/nodes.ts";
import { BRIEF } from "./briefs.ts";
import { connect, connectFlags } from "./client.ts";
import { staleText } from "./other-nodes.ts";
import { age, clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { verb } from "./verb.ts";

export const nodesCommand = buildCommand({
  docs: {
    brief: BRIEF.nodes,
    fullDescription:
      "LAG is how many revisions a node is behind the newest that any of them serves. AWAY is one whose card is not on the shared store's board: it may serve\n" +
      "on by itself. While the store is away, what is told of the others is as of the time that is printed.",
  },
  parameters: { flags: { output: reportFormat, ...connectFlags }, aliases: { o: "output" } },
  func: verb<ReportFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const answer = await client.call<{ items: NodeAnswer[]; stale?: Stale }>("/v1/nodes");
    const now = cli.io.clock.now();
    if (flags.output === "json") cli.print(json(answer));
    else {
      cli.print(nodeTable(answer, now));
      if (answer.stale) cli.print(clean(staleText(answer.stale, now)));
    }
    return 0;
  }),
});

function nodeTable({ items, stale }: { readonly items: readonly NodeAnswer[]; readonly stale?: Stale }, now: number): string {
  const text = (value: number | undefined) => (value === undefined ? "" : String(value));
  const rows = items.map((node) => [
    node.name,
    node.roles.join(",") || "node",
    node.state.toUpperCase(),
    text(node.revision),
    text(node.revisions_behind),
    text(node.proxies),
    node.certificate_expires ?? "",
    node.state === "removed" ? "" : seen(node, stale !== undefined, now),
    node.version ?? "",
    node.address ?? "",
  ]);
  return table(["NODE", "ROLE", "STATE", "REVISION", "LAG", "PROXIES", "CERTIFICATE UNTIL", "LAST SEEN", "VERSION", "ADDRESS"], rows);
}

function seen({ state, last_seen: at }: NodeAnswer, isStale: boolean, now: number): string {
  if (state === "here" || (state === "connected" && !isStale)) return "now";
  return at === undefined ? "" : `${age(at, now)} ago`;
}
