/** One cell: a fault under changes and calls, then all that was promised is looked for. */
import { systemClock } from "../../../src/lib/clock.ts";
import { waitFor } from "../lab/wait.ts";
import { type Cell, explains, isNode } from "./cells.ts";
import { type FaultTools, makeFault, nodeOf, prepareFault } from "./fault.ts";
import type { FaultMesh } from "./mesh.ts";
import { startObserver, stateOf, untilEverywhere } from "./observe.ts";
import { type FaultRecord, judge, type NodeState } from "./record.ts";
import type { Writers } from "./writers.ts";

export interface Trial extends Cell {
  /** What did not hold; nothing where all did. */
  readonly wrong: readonly string[];
  readonly made: number;
  readonly refused: number;
  readonly unknown: number;
  readonly calls: number;
  readonly failedCalls: number;
  readonly explained: string;
  /** The longest that nobody's change was made. */
  readonly pauseMs: number;
  /** From the end of the fault until all nodes are in touch, and a change made then is on all nodes and in all Envoys. */
  readonly recoveryMs: number;
  readonly notes: readonly string[];
  readonly seconds: number;
  /** It could not be brought to its end. */
  readonly isBroken?: boolean;
}

const PADDING = 100_000;

export async function runTrial(cell: Cell, mesh: FaultMesh, writers: Writers, tools: FaultTools): Promise<Trial> {
  const began = systemClock.monotonic();
  await prepareFault(cell, mesh, tools);
  const [first, second = first] = mesh.nodes;
  if (!first || !second) throw new Error("no node");
  const start = await writers.write(second);
  if (start.outcome !== "made") throw new Error(`before the fault a change was not made: ${start.said}`);
  await untilEverywhere(mesh.nodes, start.revision ?? 0, start.release);
  const before = writers.attempts
    .flatMap(({ release, revision }) => (revision === undefined ? [] : { release, revision }))
    .sort((a, b) => a.revision - b.revision);
  const since = before.at(-1)?.revision ?? 0;
  const [mark, sightingsMark, attemptsMark] = [mesh.calls.mark(), mesh.sightings.length, writers.attempts.length];
  const observer = startObserver(mesh);
  writers.resume();
  // Files that are there already have room in them for a while.
  if (cell.fault === "disk") writers.pad(PADDING);
  const { healedAt, notes, unfelt } = await makeFault(cell, mesh, tools);
  writers.pad(0);
  const last = await firstMade(mesh, writers);
  const pauseMs = writers.longestPauseMs();
  await writers.pause();
  await untilEverywhere(mesh.nodes, last, undefined);
  const final = await writers.write(second);
  if (final.outcome !== "made") throw new Error(`after the fault a change was not made: ${final.said}`);
  await untilEverywhere(mesh.nodes, final.revision ?? 0, final.release);
  const recoveryMs = systemClock.monotonic() - healedAt;
  await observer.stop();
  const nodes: NodeState[] = [];
  // It took a snapshot, which has no history.
  const mayLag = cell.fault === "compaction" && isNode(cell.target) ? nodeOf(cell.target, mesh) : undefined;
  for (const node of mesh.nodes) nodes.push(await stateOf(node, node === mayLag ? undefined : since));
  const stretch = mesh.calls.since(mark);
  const attempts = writers.attempts.slice(attemptsMark);
  const record: FaultRecord = {
    attempts,
    nodes,
    sightings: mesh.sightings.slice(sightingsMark),
    ledger: observer.ledger,
    before,
    failures: stretch.failures,
  };
  const count = (outcome: string) => attempts.filter((attempt) => attempt.outcome === outcome).length;
  return {
    ...cell,
    wrong: [...judge(record), ...unfelt.map((why) => `the fault was not felt: ${why}`)],
    made: count("made"),
    refused: count("refused"),
    unknown: count("unknown"),
    calls: stretch.calls,
    failedCalls: stretch.failures.length,
    explained: explains(cell),
    pauseMs,
    recoveryMs,
    notes,
    seconds: (systemClock.monotonic() - began) / 1000,
  };
}

/** The revision of the first change of each node's that is made from now on: by then every node takes changes again. */
async function firstMade(mesh: FaultMesh, { attempts }: Writers): Promise<number> {
  const from = attempts.length;
  const made = () =>
    mesh.nodes.map(({ name }) => attempts.slice(from).find(({ node, outcome }) => node === name && outcome === "made")?.revision);
  const revisions = await waitFor("a change of every node", made, (all) => all.every((one) => one !== undefined), { limitMs: 45_000 });
  return Math.max(...revisions.map((one) => one ?? 0));
}
