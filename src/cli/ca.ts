import { buildCommand, buildRouteMap } from "@stricli/core";
import { connect, connectFlags } from "./client.ts";
import { clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { verb } from "./verb.ts";

/** GET /v1/ca. */
export interface CaAnswer {
  readonly trustDomain: string;
  readonly certificates: readonly {
    readonly subject: string;
    readonly serial: string;
    readonly fingerprint: string;
    readonly notBefore: string;
    readonly notAfter: string;
  }[];
}

const showCommand = buildCommand({
  docs: { brief: "Show the CA: its trust domain and certificates" },
  parameters: { flags: { output: reportFormat, ...connectFlags }, aliases: { o: "output" } },
  func: verb<ReportFlags, []>(async (cli, flags) => {
    const ca = await (await connect(cli.io, flags)).call<CaAnswer>("/v1/ca");
    if (flags.output === "json") cli.print(json(ca));
    else {
      cli.print(clean(`trust domain ${ca.trustDomain}`));
      const rows = ca.certificates.map((one) => [one.subject, one.serial, one.notBefore, one.notAfter, one.fingerprint]);
      cli.print(table(["SUBJECT", "SERIAL", "NOT BEFORE", "NOT AFTER", "SHA-256"], rows));
    }
    return 0;
  }),
});

export const caRoutes = buildRouteMap({ routes: { show: showCommand }, docs: { brief: "The certificate authority" } });
