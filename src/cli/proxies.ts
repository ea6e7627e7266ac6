import { buildCommand } from "@stricli/core";
import type { ProxyStatus } from "../admin/control-plane.ts";
import { WeftError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { connect, connectFlags } from "./client.ts";
import { nackLines } from "./nacks.ts";
import { parseText, parseWorkload } from "./names.ts";
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
    const { items } = await client.call<{ items: ProxyStatus[] }>("/v1/proxies");
    const shown = wanted ? items.filter((proxy) => proxy.id === `${wanted.namespace}/${wanted.name}`) : items;
    if (wanted && shown.length === 0) {
      throw new WeftError("not_found", `No proxy of ${wanted.namespace}/${wanted.name} is known`, {
        help: `start it with: weft proxy run ${wanted.namespace}/${wanted.name}`,
      });
    }
    if (flags.output === "json") cli.print(json(wanted ? shown[0] : { items: shown }));
    else if (shown.length === 0) cli.complain("no proxy is connected: start one with weft proxy run WORKLOAD");
    else {
      cli.print(proxyTable(shown, cli.io.clock.now()));
      for (const proxy of shown) for (const line of nackLines(proxy)) cli.print(line);
      for (const { id, unready } of shown) if (unready !== undefined) cli.print(clean(`${id} gets no calls: ${unready}`));
    }
    return 0;
  }),
});

function proxyTable(proxies: readonly ProxyStatus[], now: number): string {
  const rows = proxies.map((proxy) => [
    proxy.id,
    proxy.envoy_version,
    proxy.connected ? proxy.status : "DISCONNECTED",
    ...TYPES.map((type) => {
      const status = proxy.types.find((one) => one.type === type);
      return status === undefined || status.status === "NOT_SUBSCRIBED" ? "" : status.status;
    }),
    String(
      Math.min(...proxy.types.flatMap((type) => (type.acked_revision === undefined ? [] : [type.acked_revision])), Number.MAX_SAFE_INTEGER),
    ),
    proxy.connected ? age(proxy.connected_at, now) : `gone ${age(proxy.disconnected_at, now)}`,
  ]);
  for (const row of rows) if (row[row.length - 2] === String(Number.MAX_SAFE_INTEGER)) row[row.length - 2] = "";
  return table(["PROXY", "ENVOY", "STATUS", ...TYPES, "REVISION", "CONNECTED"], rows);
}
