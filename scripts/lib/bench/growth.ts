/** How weft's figures grow with the mesh and with the fleet. */
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { MEASURES } from "./compare.ts";
import type { LoadReport } from "./load.ts";
import type { MeshSize } from "./mesh.ts";
import { dumpMesh, measureWeft, prepare } from "./prepare.ts";
import { figures, formatMilliseconds, table } from "./table.ts";

/** Of the services, at a fleet that every mesh can have; of the fleet, at the mesh of the main table. */
const SERVICES = [100, 1_000, 10_000];
const STREAMS_OF_ALL = 100;
const STREAMS = [100, 1_000, 5_000];
const SERVICES_OF_ALL = 1_000;

export interface Grown {
  readonly size: MeshSize;
  readonly applySeconds: number;
  readonly report: LoadReport;
}

export async function growth(bench: Bench): Promise<readonly Grown[]> {
  const sizes = [
    ...SERVICES.map((services) => ({ services, streams: STREAMS_OF_ALL })),
    ...STREAMS.filter((streams) => streams !== STREAMS_OF_ALL).map((streams) => ({ services: SERVICES_OF_ALL, streams })),
  ];
  const grown: Grown[] = [];
  for (const size of sizes) {
    const { processes, command, directory, load, options, say } = bench;
    const prepared = await prepare(processes, command, join(directory, `${size.services}-${size.streams}`), size);
    const protocol = options.protocols[0] ?? "delta";
    const run = { protocol, change: options.change, quick: options.quick };
    const dumps = await dumpMesh(processes, load, prepared, run);
    const report = await measureWeft(processes, load, prepared, { ...run, dumps, syncs: 2, changes: 4 });
    grown.push({ size, applySeconds: prepared.applySeconds, report });
    say(
      `${size.services} services, ${size.streams} proxies: in sync after ${formatMilliseconds(report.syncs.at(-1)?.all_ms ?? Number.NaN)}`,
    );
  }
  return grown;
}

export function growthTables(grown: readonly Grown[]): string {
  const of = (pick: (size: MeshSize) => boolean, name: string) => {
    const chosen = grown
      .filter(({ size }) => pick(size))
      .sort((a, b) => a.size.services - b.size.services || a.size.streams - b.size.streams);
    const headers = [name, ...chosen.map(({ size }) => `${size.services} services, ${size.streams} proxies`)];
    const rows = [
      ["apply of the whole mesh", ...chosen.map(({ applySeconds }) => `${figures(applySeconds)} s`)],
      ...MEASURES.map(({ name, of, format }) => [name, ...chosen.map(({ report }) => format(of(report)))]),
    ];
    return table(headers, rows);
  };
  return [of(({ streams }) => streams === STREAMS_OF_ALL, "services"), of(({ services }) => services === SERVICES_OF_ALL, "proxies")].join(
    "\n\n",
  );
}
