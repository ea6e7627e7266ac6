/** The command line of scripts/bench. Exit 0 where it could measure, whatever it measured; 1 where a run failed; 2 where it could not run. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { openProcesses } from "../lab/processes.ts";
import { apply, applyTable } from "./apply.ts";
import type { Bench } from "./bench.ts";
import { compare, compareTable, measuresOf } from "./compare.ts";
import { crowd, crowdTable } from "./crowd.ts";
import { growth, growthTables } from "./growth.ts";
import { type Mode, type Options, readOptions, USAGE } from "./options.ts";

interface Outcome {
  readonly text: string;
  /** What --json has besides. */
  readonly data: object;
}

/** Each mode in one line: what it measures, and how that is shown. */
const MODES: Readonly<Record<Mode, (bench: Bench) => Promise<Outcome>>> = {
  async compare(bench) {
    const compared = await compare(bench);
    const { services, streams, change, rounds } = bench.options;
    const head = `${cpus().length} CPUs (${cpus()[0]?.model.trim()}), ${services} services, ${streams} proxies, change: ${change}, rounds: ${rounds}`;
    const data = compared.map((one) => ({ protocol: one.protocol, measures: measuresOf(one, bench.options), reports: one.reports }));
    return { text: [head, ...compared.map((one) => compareTable(one, bench.options))].join("\n\n"), data: { compare: data } };
  },
  async growth(bench) {
    const grown = await growth(bench);
    return { text: growthTables(grown), data: { growth: grown } };
  },
  async crowd(bench) {
    const crowds = await crowd(bench);
    return { text: crowdTable(crowds), data: { crowd: crowds } };
  },
  async apply(bench) {
    const applied = await apply(bench);
    return { text: applyTable(applied), data: { apply: applied } };
  },
};

const root = join(import.meta.dir, "../../..");

if (process.argv.includes("--help")) {
  console.log(USAGE);
  process.exit(0);
}
let options: Options;
try {
  options = readOptions(process.argv.slice(2));
} catch (reason) {
  console.error(`${reason instanceof Error ? reason.message : reason}\n\n${USAGE}`);
  process.exit(2);
}

const [load = "", peer = ""] = (process.env.WEFT_BENCH_PROGRAMS ?? "").split("\n");
if (!load || !peer) {
  console.error("start scripts/bench: it builds the programs that this needs");
  process.exit(2);
}
const built = process.env.WEFT_BINARY ?? join(root, "dist/weft");
const profile = options.cpuProfile ? ["--cpu-prof", "--cpu-prof-md", `--cpu-prof-dir=${options.cpuProfile}`] : [];
const command = options.sources ? [process.execPath, ...profile, join(root, "src/main.ts")] : [built];
// Not in a folder of the system's that may be memory: the store is measured with its fsyncs.
const directory = mkdtempSync(join(process.env.WEFT_BENCH_DIRECTORY ?? tmpdir(), "weft-bench-"));
mkdirSync(join(directory, "logs"));
const processes = openProcesses(join(directory, "logs"));
const bench: Bench = { options, processes, command, load, peer, directory, say: (line) => console.error(`==> ${line}`) };
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
// What was started is killed when this process exits (lab/processes.ts, load.ts), which a signal by itself does not let it do.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
let code = 0;
try {
  const { text, data } = await MODES[options.mode](bench);
  console.log(text);
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ options, cpus: cpus().length, ...data }, null, 2)}\n`);
} catch (reason) {
  console.error(reason instanceof Error ? reason.message : reason);
  code = 1;
} finally {
  await processes.stopAll(10_000);
}
process.exit(code);
