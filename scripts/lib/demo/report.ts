/** What the demo prints. */
import { join } from "node:path";
import { formatAddress } from "../lab/network.ts";
import type { Processes } from "../lab/processes.ts";
import { inboundOf } from "../lab/workload.ts";
import type { Proof } from "./proofs.ts";
import type { Town } from "./town.ts";

export interface Row {
  readonly proof: Proof;
  readonly held: boolean;
  readonly measured: string;
  readonly milliseconds: number;
}

export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map(({ proof, held, measured }) => [held ? "ok" : "FAILED", proof.name, proof.policy ?? "", measured]);
  const all = [["", "what", "policy", "measured"], ...cells];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(all[0] ?? []), ...cells.map(line)].join("\n");
}

export function formatLogs(processes: Processes, lines: number): string {
  const tails = processes.running().map(({ name, tail }) => `--- ${name} (the last ${lines} lines)\n${tail(lines)}`);
  return [...tails, `logs: ${processes.logDirectory}`].join("\n");
}

/** Commands that work as they stand, while the demo is up. */
export function formatNextSteps(town: Town): string {
  const { weft, meshDirectory } = town;
  const shop = formatAddress(town.place("shop-1").outbound);
  const stock = formatAddress(town.place("stock-1").outbound);
  const file = (name: string) => quote(join(meshDirectory, name));
  const cli = (rest: string) => `${quote(weft.binary)} ${rest} --data ${quote(weft.data)}`;
  const socket = quote(join(weft.data, "admin.sock"));
  return `
The mesh is up. In another terminal:

  # as the shop, through its Envoy; as stock, which may not; as the legacy client, in plaintext
  curl -sSi -H 'Host: orders' http://${shop}/
  curl -sSi -H 'Host: orders' http://${stock}/
  curl -sSi http://${formatAddress(inboundOf(town.place("orders-v1")))}/

  # change a policy: edit the file first if you like
  ${cli(`apply -f ${file("permissive.yaml")}`)}
  ${cli(`apply -f ${file("split.yaml")}`)}
  ${cli("delete AuthorizationPolicy orders")}

  # see what is in force
  ${cli("services")}
  ${cli("mtls orders")}
  ${cli("proxies")}
  ${cli("get VirtualService orders -o yaml")}
  curl -s --unix-socket ${socket} http://weft/v1/services/orders/mtls

Files: ${meshDirectory} (policies), ${join(weft.data, "..", "logs")} (logs). Ctrl-C ends everything.`;
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
