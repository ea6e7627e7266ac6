import { buildCommand } from "@stricli/core";
import type { ServiceSummary } from "../admin/control-plane.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags } from "./client.ts";
import { namespaceFlag } from "./names.ts";
import { clean, json, table } from "./output.ts";
import { verb } from "./verb.ts";

/** -o of verbs that show a report. */
export const reportFormat = { kind: "enum", values: ["table", "json"], default: "table", brief: "Format" } as const;

export interface ReportFlags extends ConnectFlags {
  readonly output: "table" | "json";
}

export const servicesCommand = buildCommand({
  docs: { brief: BRIEF.services },
  parameters: {
    flags: { namespace: { ...namespaceFlag, brief: "Namespace" }, output: reportFormat, ...connectFlags },
    aliases: { n: "namespace", o: "output" },
  },
  func: verb<ReportFlags & { readonly namespace?: string }, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const report = await client.call<{ items: ServiceSummary[] }>("/v1/services", { query: { namespace: flags.namespace } });
    if (flags.output === "json") cli.print(json(report));
    else if (report.items.length === 0) cli.complain("no services: apply a ServiceEntry to make one");
    else {
      const rows = report.items.map((one) => [
        one.namespace,
        one.service,
        one.host,
        one.ports.map((port) => `${port.number}/${port.protocol}`).join(","),
        one.mtls_mode,
        String(one.endpoints),
        one.workloads.join(","),
      ]);
      cli.print(table(["NAMESPACE", "SERVICE", "HOST", "PORTS", "MTLS", "ENDPOINTS", "WORKLOADS"], rows));
      for (const { host, unready, kept, reasons = {} } of report.items) {
        const told = (names: readonly string[]) => names.map((name) => (reasons[name] ? `${name} (${reasons[name]})` : name)).join(", ");
        if (unready) cli.print(clean(`${host}: not ready are ${told(unready)}`));
        if (kept) cli.print(clean(`${host}: may be gone, and kept because too few would be left, are ${told(kept)}`));
      }
    }
    return 0;
  }),
});
