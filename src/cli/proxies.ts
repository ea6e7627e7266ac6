import { buildCommand } from "@stricli/core";
import type { ProxyStatus } from "../admin/control-plane.ts";
import type { OtherNodes } from "../admin/nodes.ts";
import { WeftError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { connect, connectFlags } from "./client.ts";
import { nackLines } from "./nacks.ts";
import { parseText, parseWorkload } from "./names.ts";
import { otherNodesLines } from "./other-nodes.ts";
import { age, clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { UsageError, verb } from "./verb.ts";

const TYPES = ["CDS", "EDS", "LDS", "RDS", "VHDS", "SDS", "ECDS"] as const;

interface Flags extends ReportFlags {
  readonly config: boolean;
}

export const proxiesCommand = buildCommand({
  docs: {
    brief: BRIEF.proxies,
    fullDescription:
      "A refusal (NACK) stands, with Envoy's words and the YAML line that it comes from, until the proxy accepts what replaces it.",
  },
  parameters: {
    flags: {
      config: { kind: "boolean", default: false, withNegated: false, brief: "The configuration as pushed, JSON with provenance" },
      output: reportFormat,
      ...connectFlags,
    },
    aliases: { o: "output" },
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseText, placeholder: "NAME", brief: "One workload's: NAME or NAMESPACE/NAME", optional: true }],
    },
  },
  func: verb<Flags, [string | undefined]>(async (cli, flags, name) => {
    const client = await connect(cli.io, flags);
    const wanted = name === undefined ? undefined : parseWorkload(name);
    if (flags.config) {
      if (!wanted) throw new UsageError("--config shows one proxy's configuration: name it");
      cli.print(json(await client.call(`/v1/proxies/${encodeURIComponent(wanted.namespace)}/${encodeURIComponent(wanted.name)}/config`)));
      return 0;
    }
    const { items, ...others } = await client.call<{ items: ProxyStatus[] } & OtherNodes>("/v1/proxies");
    const now = cli.io.clock.now();
    const shown = wanted ? items.filter((proxy) => proxy.id === `${wanted.namespace}/${wanted.name}`) : items;
    if (wanted && shown.length === 0) {
      throw new WeftError("not_found", `No proxy of ${wanted.namespace}/${wanted.name} is known`, {
        help: [...otherNodesLines(others, now), `start it with: weft proxy run ${wanted.namespace}/${wanted.name}`].join("; "),
      });
    }
    if (flags.output === "json") cli.print(json(wanted ? shown[0] : { items: shown, ...others }));
    else if (shown.length === 0) cli.complain("no proxy is connected: start one with weft proxy run WORKLOAD");
    else {
      cli.print(proxyTable(shown, now));
      for (const proxy of shown) for (const line of nackLines(proxy)) cli.print(line);
      for (const { id, unready } of shown) if (unready !== undefined) cli.print(clean(`${id} gets no calls: ${unready}`));
      for (const { id, unknown_because: why } of shown) if (why !== undefined) cli.print(clean(`what ${id} has is not known: ${why}`));
    }
    if (flags.output !== "json") for (const line of otherNodesLines(others, now)) cli.print(clean(line));
    return 0;
  }),
});

function proxyTable(proxies: readonly ProxyStatus[], now: number): string {
  const isMesh = proxies.some((proxy) => proxy.on_node !== undefined);
  const rows = proxies.map((proxy) => [
    proxy.id,
    ...(isMesh ? [proxy.on_node ?? "here"] : []),
    proxy.envoy_version,
    proxy.connected ? proxy.status : "DISCONNECTED",
    ...TYPES.map((type) => {
      const status = proxy.types.find((one) => one.type === type);
      return status === undefined || status.status === "NOT_SUBSCRIBED" ? "" : status.status;
    }),
    ackedRevision(proxy),
    proxy.on_node !== undefined ? "yes" : proxy.connected ? age(proxy.connected_at, now) : `gone ${age(proxy.disconnected_at, now)}`,
  ]);
  return table(["PROXY", ...(isMesh ? ["NODE"] : []), "ENVOY", "STATUS", ...TYPES, "REVISION", "CONNECTED"], rows);
}

/** The least of all types; "" where none is known. */
function ackedRevision({ on_node: node, acked_revision: told, types }: ProxyStatus): string {
  const acked = types.flatMap((type) => (type.acked_revision === undefined ? [] : [type.acked_revision]));
  const least = node === undefined ? (acked.length === 0 ? undefined : Math.min(...acked)) : told;
  return least === undefined ? "" : String(least);
}
