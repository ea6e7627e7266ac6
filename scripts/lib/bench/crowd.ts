/** What becomes of proxies in sync, and of changes for them, while many others lose their connections and come again at once. */
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import type { CrowdReport } from "./load.ts";
import { dumpMesh, measureWeft, prepare } from "./prepare.ts";
import { figures, formatMilliseconds, table } from "./table.ts";

const SERVICES = { full: 1_000, quick: 50 };
const STEADY = { full: 100, quick: 5 };
const CROWDS = { full: [1_000, 5_000], quick: [20] };

export async function crowd({ processes, command, directory, load, options, say }: Bench): Promise<readonly CrowdReport[]> {
  const of = options.quick ? "quick" : "full";
  const crowds: CrowdReport[] = [];
  for (const others of CROWDS[of]) {
    const size = { services: SERVICES[of], streams: STEADY[of] + others };
    const prepared = await prepare(processes, command, join(directory, String(others)), size);
    const run = { protocol: "delta", change: options.change, quick: options.quick } as const;
    const dumps = await dumpMesh(processes, load, prepared, run);
    const { crowd: report } = await measureWeft(processes, load, prepared, { ...run, dumps, syncs: 1, changes: 0, steady: STEADY[of] });
    if (!report) throw new Error("the load client did not say what became of the crowd");
    crowds.push(report);
    say(
      `${others} came again: in sync after ${formatMilliseconds(report.all_ms)}; a change took ${formatMilliseconds(report.change_p99_ms)} at p99`,
    );
  }
  return crowds;
}

export function crowdTable(crowds: readonly CrowdReport[]): string {
  const row = (name: string, cell: (one: CrowdReport) => string) => [name, ...crowds.map(cell)];
  return table(
    [`${crowds[0]?.steady} proxies in sync, while`, ...crowds.map(({ came }) => `${came} others reconnect`)],
    [
      row("the others are in sync: half", (one) => formatMilliseconds(one.p50_ms)),
      row("99 of 100", (one) => formatMilliseconds(one.p99_ms)),
      row("all", (one) => formatMilliseconds(one.all_ms)),
      row("changes meanwhile", (one) => String(one.changes)),
      row("a change at the proxies in sync, p50", (one) => formatMilliseconds(one.change_p50_ms)),
      row("p99", (one) => formatMilliseconds(one.change_p99_ms)),
      row("longest", (one) => formatMilliseconds(one.change_max_ms)),
      row("keepalives answered", (one) => String(one.pings)),
      row("the answer to one, p99", (one) => formatMilliseconds(one.ping_p99_ms)),
      row("longest", (one) => formatMilliseconds(one.ping_max_ms)),
      row("memory, peak", (one) => `${figures(one.server_peak_mib)} MiB`),
      row("CPU", (one) => `${figures(one.server_cpu_s)} s`),
    ],
  );
}
