/** Who leaves the endpoints now, who comes back, and who would leave but must stay. */
import type { Mesh } from "../mesh/types.ts";
import { lastOnes } from "./presence-panic.ts";
import { dueIn, type WorkloadState } from "./presence-state.ts";

export interface DecisionInputs {
  /** This node's name. */
  readonly node: string;
  readonly mesh: Pick<Mesh, "endpoints" | "unready">;
  readonly states: ReadonlyMap<string, WorkloadState>;
  /** Keys of those whose place in the endpoints and whose evidence differ. */
  readonly pending: ReadonlySet<string>;
  /** Whether a node was given up. */
  readonly isOut: (node: string) => boolean;
  /** Nodes that are gone and not given up, for there are too many. */
  readonly held: ReadonlySet<string>;
  readonly graceMs: number;
  /** Clock.monotonic. */
  readonly now: number;
}

export interface Decision {
  readonly leaving: readonly string[];
  readonly returning: readonly string[];
  readonly doubtful: ReadonlySet<string>;
  /** Milliseconds until the next of them is due; undefined where none will be by itself. */
  readonly nextIn?: number;
}

export function decide({ node, mesh, states, pending, isOut, held, graceMs, now }: DecisionInputs): Decision {
  const leaving = new Set<string>();
  const returning: string[] = [];
  const doubtful = new Set<string>();
  let nextIn: number | undefined;
  const isIn = (key: string) => states.get(key)?.isIn ?? true;
  for (const key of pending) {
    const state = states.get(key);
    if (!state) continue;
    const due = dueIn(state, now, graceMs, isOut(state.node));
    if (due === undefined) {
      if (state.evidence === "node" && held.has(state.node)) doubtful.add(key);
    } else if (state.isIn) {
      if (due <= 0) leaving.add(key);
    } else if (due <= 0 || isMissed(key, mesh, states, pending)) returning.push(key);
    if (due !== undefined && due > 0) nextIn = Math.min(nextIn ?? due, due);
  }
  // What was taken out of the mesh goes whatever is left, and an instance of a group that this node registered is deleted anyhow.
  const isFinal = (key: string) =>
    states.get(key)?.evidence === "removed" || (states.get(key)?.node === node && states.get(key)?.isInstance === true);
  for (const key of lastOnes(mesh.endpoints, leaving, isIn)) {
    if (isFinal(key)) continue;
    leaving.delete(key);
    doubtful.add(key);
  }
  return { leaving: [...leaving], returning, doubtful, ...(nextIn === undefined ? {} : { nextIn }) };
}

/** Whether a service of its has no endpoint that is surely there: then one that has not stayed for long is better than none. */
function isMissed(
  key: string,
  { endpoints, unready }: DecisionInputs["mesh"],
  states: DecisionInputs["states"],
  pending: DecisionInputs["pending"],
): boolean {
  const isSure = (workload: string | undefined) =>
    workload === undefined || (states.get(workload)?.isIn !== false && !pending.has(workload));
  const { hosts = [] } = unready.get(key) ?? {};
  return hosts.some((host) => endpoints.get(host)?.some(({ workload }) => isSure(workload)) !== true);
}
