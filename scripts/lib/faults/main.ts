/** The fault matrix: main.ts [--quick] [--store etcd|redis] [--only FAULT/TARGET]... [--list] [--json FILE]. Exit 0: all held, 1: something did not, 2: it could not run. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../../src/lib/clock.ts";
import { openProcesses } from "../lab/processes.ts";
import { type Cell, cellsOf, FAULTS, impossible, isQuick, MEANING, senseless, TARGETS, WHERE } from "./cells.ts";
import type { FaultTools } from "./fault.ts";
import { type Hosts, openHosts } from "./hosts.ts";
import { startMesh } from "./mesh.ts";
import type { StoreKind } from "./store.ts";
import { formatTrials, type Skipped } from "./table.ts";
import { runTrial, type Trial } from "./trial.ts";
import { startWriters } from "./writers.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    store: { type: "string", multiple: true, default: ["etcd", "redis"] },
    only: { type: "string", multiple: true, default: [] },
    list: { type: "boolean", default: false },
    json: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});
const stores = values.store.map((name): StoreKind => {
  if (name === "etcd" || name === "redis") return name;
  return fail(`--store is etcd or redis, not ${name}`);
});
const known = new Set(cellsOf("etcd").map(nameOf));
for (const name of values.only)
  if (!known.has(name)) fail(`--only: no cell ${name}: FAULT is one of ${FAULTS.join(", ")}, TARGET of ${TARGETS.join(", ")}`);
const { FAULTS_CONFINED: confined, FAULTS_FAKETIME: faketime } = process.env;
const tools: FaultTools = { faketime: faketime === "" ? undefined : faketime, holdMs: values.quick ? 2_500 : 4_000 };
const directory = mkdtempSync(join(tmpdir(), "weft-faults-"));
mkdirSync(join(directory, "logs"));
const processes = openProcesses(join(directory, "logs"));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => end(2));

const began = systemClock.monotonic();
const skipped: Skipped[] = [];
let hosts: readonly Hosts[] = [];
try {
  hosts = await Promise.all(
    stores.map((_, number) => openHosts({ directory, processes, number, confined: confined === "" ? undefined : confined })),
  );
  const chosen = stores.map((store, index) => chooseCells(store, hosts[index]));
  if (values.list) {
    console.log(formatList(chosen.flat()));
    await end(0);
  }
  const left = skipped.filter(({ everywhere }) => !everywhere);
  for (const cell of left) console.error(`SKIPPED ${cell.store} ${nameOf(cell)}: ${cell.reason}`);
  if (left.length > 0 && process.env.CI === "true") throw new Error("with CI=true none may be skipped");
  const runs = await Promise.all(stores.map((store, index) => runStore(store, hosts[index], chosen[index] ?? [])));
  const trials = runs.flat();
  const failed = trials.filter(({ wrong }) => wrong.length > 0);
  console.log(`\n${formatTrials(trials, skipped)}\n`);
  console.log(`${trials.length - failed.length} of ${trials.length} held, in ${((systemClock.monotonic() - began) / 1000).toFixed(0)} s`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ trials, skipped }, undefined, 2)}\n`);
  await end(failed.length > 0 || trials.length === 0 ? 1 : 0);
} catch (reason) {
  console.error(`faults: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`);
  await end(2);
}

function chooseCells(store: StoreKind, hosts: Hosts | undefined): readonly Cell[] {
  if (!hosts) return [];
  return cellsOf(store).filter((cell) => {
    if (values.only.length > 0 ? !values.only.includes(nameOf(cell)) : values.quick && !isQuick(cell)) return false;
    const never = senseless(cell);
    const reason = never ?? impossible(cell, hosts.limits, tools.faketime);
    if (reason !== undefined) skipped.push({ ...cell, reason, everywhere: never !== undefined });
    return reason === undefined;
  });
}

async function runStore(kind: StoreKind, hosts: Hosts | undefined, cells: readonly Cell[]): Promise<readonly Trial[]> {
  const engine = process.env[kind === "etcd" ? "FAULTS_ETCD" : "FAULTS_REDIS"];
  const { WEFT_BINARY: binary, WEFT_ENVOY: envoy } = process.env;
  if (!engine || !binary || !envoy || !hosts) return fail("run it as scripts/faults");
  if (cells.length === 0) return [];
  console.error(`==> ${kind}: starting it, three nodes and three Envoys`);
  const mesh = await startMesh({ kind, binary, envoy, engine, hosts, processes });
  const writers = startWriters(mesh.nodes, kind);
  const trials: Trial[] = [];
  for (const cell of cells) {
    const trial = await runTrial(cell, mesh, writers, tools).catch((reason: unknown): Trial => broken(cell, reason));
    trials.push(trial);
    const { wrong, seconds, recoveryMs } = trial;
    console.error(
      `==> ${kind} ${nameOf(cell)}: ${wrong.length === 0 ? `held, recovered in ${(recoveryMs / 1000).toFixed(1)} s` : `FAILED: ${wrong.slice(0, 3).join("; ")}`} (${seconds.toFixed(1)} s)`,
    );
    if (trial.isBroken) break;
  }
  await writers.stop();
  for (const { name, weft } of mesh.nodes) {
    const { code, stdout, stderr } = await weft.cli(["audit", "--verify"]);
    const last = trials.at(-1);
    if (code !== 0 && last)
      trials[trials.length - 1] = { ...last, wrong: [...last.wrong, `weft audit --verify on ${name}: ${stdout}${stderr}`] };
  }
  await mesh.stop();
  return trials;
}

/** What follows it would fail for that reason only. */
function broken(cell: Cell, reason: unknown): Trial {
  const wrong = [reason instanceof Error ? reason.message : String(reason)];
  const none = { made: 0, refused: 0, unknown: 0, calls: 0, failedCalls: 0, pauseMs: 0, recoveryMs: 0, seconds: 0 };
  return { ...cell, ...none, wrong, explained: "", notes: [], isBroken: true };
}

function formatList(cells: readonly Cell[]): string {
  const lines = cells.map((cell) => `${cell.store} ${nameOf(cell)}: ${WHERE[cell.store][cell.target]}: ${MEANING[cell.fault]}`);
  const not = skipped.map((cell) => `${cell.store} ${nameOf(cell)}: NOT ${cell.everywhere ? "POSSIBLE" : "HERE"}: ${cell.reason}`);
  return [...lines, ...not].join("\n");
}

function nameOf({ fault, target }: Pick<Cell, "fault" | "target">): string {
  return `${fault}/${target}`;
}

function fail(message: string): never {
  console.error(`faults: ${message}`);
  process.exit(2);
}

async function end(code: number): Promise<never> {
  // What waits for a process in a trial starts it again meanwhile.
  while (processes.running().length > 0) await processes.stopAll(0);
  for (const one of hosts) one.close();
  if (code === 0 && !values.keep) rmSync(directory, { recursive: true, force: true });
  else console.error(`logs: ${processes.logDirectory}`);
  process.exit(code);
}
