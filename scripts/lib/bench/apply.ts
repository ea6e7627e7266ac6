/** From an apply that moves one endpoint to the encoded bytes at a subscribed proxy, as the mesh grows. */
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import type { LoadReport } from "./load.ts";
import { dumpMesh, measureWeft, prepare } from "./prepare.ts";
import { figures, formatMilliseconds, median, table } from "./table.ts";

const SERVICES = [100, 1_000, 10_000];
/** One that is looked at, and some more, so that it is a fleet. */
const STREAMS = 5;
const CHANGES = 20;

export interface Applied {
  readonly services: number;
  readonly report: LoadReport;
}

export async function apply({ processes, command, directory, load, options, say }: Bench): Promise<readonly Applied[]> {
  const applied: Applied[] = [];
  for (const services of SERVICES) {
    const prepared = await prepare(processes, command, join(directory, String(services)), { services, streams: STREAMS });
    const run = { protocol: "delta", change: options.change, quick: options.quick } as const;
    const dumps = await dumpMesh(processes, load, prepared, run);
    const report = await measureWeft(processes, load, prepared, { ...run, dumps, syncs: 1, changes: CHANGES });
    applied.push({ services, report });
    say(`${services} services: ${formatMilliseconds(median(report.changes.map((one) => one.p50_ms)))}`);
  }
  return applied;
}

export function applyTable(applied: readonly Applied[]): string {
  const cells = (pick: (report: LoadReport) => string) => applied.map(({ report }) => pick(report));
  const times = (report: LoadReport) => report.changes.map((one) => one.p50_ms);
  const base = applied[0] ? median(times(applied[0].report)) : Number.NaN;
  return table(
    ["from an apply to the proxy", ...applied.map(({ services }) => `${services} services`)],
    [
      ["median", ...cells((report) => formatMilliseconds(median(times(report))))],
      ["fastest", ...cells((report) => formatMilliseconds(Math.min(...times(report))))],
      ["slowest", ...cells((report) => formatMilliseconds(Math.max(...times(report))))],
      ["median, of the smallest mesh's", ...cells((report) => figures(median(times(report)) / base))],
      ["the apply's answer", ...cells((report) => formatMilliseconds(median(report.changes.map((one) => one.trigger_ms))))],
      ["CPU", ...cells((report) => `${figures(1000 * median(report.changes.map((one) => one.server_cpu_s)))} ms`)],
    ],
  );
}
