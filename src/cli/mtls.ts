import { buildCommand } from "@stricli/core";
import type { MtlsReport } from "../admin/control-plane.ts";
import { formatProvenance } from "../lib/provenance.ts";
import { BRIEF } from "./briefs.ts";
import { connect, connectFlags } from "./client.ts";
import { namespaceFlag, parseText } from "./names.ts";
import { staleText } from "./other-nodes.ts";
import { clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { verb } from "./verb.ts";

export const mtlsCommand = buildCommand({
  docs: {
    brief: BRIEF.mtls,
    fullDescription:
      "The mode of each workload and port as its PeerAuthentications give it, and whether the workload's proxy has taken it.",
  },
  parameters: {
    flags: {
      namespace: { ...namespaceFlag, brief: 'Where a short name is looked up, "default" where absent' },
      output: reportFormat,
      ...connectFlags,
    },
    aliases: { n: "namespace", o: "output" },
    positional: { kind: "tuple", parameters: [{ parse: parseText, placeholder: "SERVICE", brief: "orders, orders.shop, or a full host" }] },
  },
  func: verb<ReportFlags & { readonly namespace?: string }, [string]>(async (cli, flags, service) => {
    const client = await connect(cli.io, flags);
    const report = await client.call<MtlsReport>(`/v1/services/${encodeURIComponent(service)}/mtls`, {
      query: { namespace: flags.namespace },
    });
    if (flags.output === "json") {
      cli.print(json(report));
      return 0;
    }
    cli.print(clean(`${report.host}: ${report.mtls_mode}`));
    const rows = report.details.map((one) => [
      `${one.namespace}/${one.workload}`,
      String(one.port),
      one.mode,
      inForce(one),
      one.source ? formatProvenance(one.source) : "Istio's default",
    ]);
    const { stale } = report;
    if (rows.length > 0) cli.print(table(["WORKLOAD", "PORT", "MODE", "IN FORCE", "DECIDED BY"], rows));
    if (stale && report.details.some(({ proxy }) => proxy === "unknown")) cli.print(clean(staleText(stale, cli.io.clock.now())));
    return 0;
  }),
});

/** What only another node could say, and cannot be asked now, is not known. */
function inForce({ in_force: isInForce, proxy, reason }: MtlsReport["details"][number]): string {
  if (isInForce) return "yes";
  if (proxy === "unknown" || proxy === "away") return `unknown (${reason ?? proxy})`;
  return `no (${proxy}${reason === undefined ? "" : `: ${reason}`})`;
}
