/** weft and its peers in turns, and the table of the ratios. */
import type { Bench } from "./bench.ts";
import type { LoadReport } from "./load.ts";
import { runLoad } from "./load.ts";
import type { Options, Protocol } from "./options.ts";
import { dumpMesh, measureWeft, type Prepared, prepare } from "./prepare.ts";
import { type Dumps, startPeer } from "./servers.ts";
import { figures, formatMilliseconds, formatRatio, median, type Ratio, ratio, table } from "./table.ts";

export type ServerName = "weft" | "go-control-plane" | "floor";
/** Mass connects of each run: the first, in which weft also signs everybody's certificate, and one as after a restart of the network. */
const SYNCS = 2;
/** Changes of each run, half of them there and half back. */
const CHANGES = { full: 6, quick: 2 };

export interface Compared {
  readonly protocol: Protocol;
  /** By server, a report a round. */
  readonly reports: Readonly<Partial<Record<ServerName, readonly LoadReport[]>>>;
}

interface Measure {
  readonly name: string;
  readonly of: (report: LoadReport) => number;
  readonly format: (value: number) => string;
  /** Of go-control-plane's; undefined where no goal was set. */
  readonly goal: Readonly<Record<Protocol, number>> | undefined;
}

const sync = (pick: (one: LoadReport["syncs"][number]) => number, at: number) => (report: LoadReport) => {
  const one = report.syncs.at(at);
  return one ? pick(one) : Number.NaN;
};
const change = (pick: (one: LoadReport["changes"][number]) => number) => (report: LoadReport) => median(report.changes.map(pick));
const mebibytes = (value: number) => `${figures(value)} MiB`;
const seconds = (value: number) => `${figures(value)} s`;

export const MEASURES: readonly Measure[] = [
  {
    name: "first connect: all in sync",
    of: sync((one) => one.all_ms, 0),
    format: formatMilliseconds,
    goal: { delta: 0.3, sotw: 0.3 },
  },
  { name: "reconnect: all in sync", of: sync((one) => one.all_ms, -1), format: formatMilliseconds, goal: { delta: 0.3, sotw: 0.3 } },
  { name: "change, p50 at the proxies", of: change((one) => one.p50_ms), format: formatMilliseconds, goal: { delta: 0.08, sotw: 0.2 } },
  { name: "change, p99 at the proxies", of: change((one) => one.p99_ms), format: formatMilliseconds, goal: { delta: 0.1, sotw: 0.2 } },
  { name: "memory after", of: (report) => report.server_after_mib, format: mebibytes, goal: { delta: 0.35, sotw: 0.35 } },
  { name: "memory, peak", of: (report) => report.server_peak_mib, format: mebibytes, goal: { delta: 0.5, sotw: 0.5 } },
  { name: "CPU for the first connect", of: sync((one) => one.server_cpu_s, 0), format: seconds, goal: { delta: 0.3, sotw: 0.3 } },
  { name: "CPU for a reconnect", of: sync((one) => one.server_cpu_s, -1), format: seconds, goal: { delta: 0.3, sotw: 0.3 } },
  { name: "CPU for a change", of: change((one) => one.server_cpu_s), format: seconds, goal: undefined },
  {
    name: "sent for a change, a proxy",
    of: change((one) => one.bytes / one.streams),
    format: (value) => `${figures(value)} B`,
    goal: undefined,
  },
  { name: "the client's own CPU", of: (report) => report.client_cpu_s, format: seconds, goal: undefined },
];

export async function compare(bench: Bench): Promise<readonly Compared[]> {
  const { options, say } = bench;
  const prepared = await prepareAndSay(bench);
  const compared: { protocol: Protocol; reports: Partial<Record<ServerName, LoadReport[]>>; dumps: Dumps }[] = [];
  for (const protocol of options.protocols) {
    say(`taking what weft pushes to ${options.streams} proxies, ${protocol}`);
    const dumps = await dumpMesh(bench.processes, bench.load, prepared, { ...options, protocol });
    compared.push({ protocol, reports: {}, dumps });
  }
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { protocol, reports, dumps } of compared) {
      for (const server of options.peers ? (["weft", "go-control-plane", "floor"] as const) : (["weft"] as const)) {
        const report = await measure(bench, prepared, server, protocol, dumps);
        reports[server] = [...(reports[server] ?? []), report];
        const [p50, p99] = [change((one) => one.p50_ms)(report), change((one) => one.p99_ms)(report)].map(formatMilliseconds);
        const syncs = report.syncs.map((one) => formatMilliseconds(one.all_ms)).join(" and ");
        say(`round ${round}, ${protocol}, ${server}: in sync after ${syncs}; change ${p50} / ${p99}; ${mebibytes(report.server_peak_mib)}`);
      }
    }
  }
  return compared.map(({ protocol, reports }) => ({ protocol, reports }));
}

async function prepareAndSay({ processes, command, directory, options, say }: Bench): Promise<Prepared> {
  const prepared = await prepare(processes, command, directory, options);
  const { documents, applySeconds, tokenSeconds } = prepared;
  say(`applied ${documents} documents in ${figures(applySeconds)} s, took ${options.streams} tokens in ${figures(tokenSeconds)} s`);
  return prepared;
}

async function measure(bench: Bench, prepared: Prepared, name: ServerName, protocol: Protocol, dumps: Dumps): Promise<LoadReport> {
  const { change, quick } = bench.options;
  const run = { protocol, change, quick, dumps, syncs: SYNCS, changes: quick ? CHANGES.quick : CHANGES.full };
  if (name === "weft") return measureWeft(bench.processes, bench.load, prepared, run);
  const server = await startPeer(bench.processes, bench.peer, dumps, name === "floor" ? ["-raw"] : []);
  try {
    return await runLoad({ program: bench.load, server, streams: bench.options.streams, tokens: prepared.tokens, ...run });
  } finally {
    await server.stop();
  }
}

export interface ComparedMeasure {
  readonly name: string;
  readonly medians: Readonly<Partial<Record<ServerName, number>>>;
  readonly ratio: Ratio | undefined;
  readonly goal: number | undefined;
  readonly met: boolean | undefined;
}

/** The goals are for this size: beside a small mesh, what a process needs to be there outweighs the rest. */
const GOAL_SIZE = 1_000;

const hasGoals = ({ services, streams, change }: Options) => services >= GOAL_SIZE && streams >= GOAL_SIZE && change === "endpoint";

export function measuresOf({ protocol, reports }: Compared, options: Options): readonly ComparedMeasure[] {
  return MEASURES.map(({ name, of, goal }) => {
    const values = (server: ServerName) => reports[server]?.map(of);
    const weft = values("weft");
    const other = values("go-control-plane");
    const medians = Object.fromEntries(
      (["weft", "go-control-plane", "floor"] as const).flatMap((server) => {
        const found = values(server);
        return found ? [[server, median(found)]] : [];
      }),
    );
    const found = weft && other ? ratio(weft, other) : undefined;
    const wanted = hasGoals(options) ? goal?.[protocol] : undefined;
    return { name, medians, ratio: found, goal: wanted, met: found && wanted !== undefined ? found.median <= wanted : undefined };
  });
}

export function compareTable(compared: Compared, options: Options): string {
  const rows = measuresOf(compared, options).map(({ name, medians, ratio: found, goal, met }) => {
    const format = MEASURES.find((one) => one.name === name)?.format ?? figures;
    const cell = (server: ServerName) => (medians[server] === undefined ? "-" : format(medians[server]));
    const verdict = met === undefined ? "" : met ? "met" : "MISSED";
    return [
      name,
      cell("weft"),
      cell("go-control-plane"),
      cell("floor"),
      found ? formatRatio(found) : "-",
      goal === undefined ? "" : String(goal),
      verdict,
    ];
  });
  return table([compared.protocol, "weft", "go-control-plane", "floor", "weft / go-control-plane", "goal", ""], rows);
}
