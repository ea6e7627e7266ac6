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
  /** Those that were kept until now. */
  readonly doubtful: ReadonlySet<string>;
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
  /** Those that were kept, and need not be any longer: they have their grace anew. */
  readonly pardoned: readonly string[];
  /** Milliseconds until the next of them is due; undefined where none will be by itself. */
  readonly nextIn?: number;
}

export function decide({ node, mesh, states, pending, isOut, doubtful: kept, held, graceMs, now }: DecisionInputs): Decision {
  const leaving = new Set<string>();
  const returning: string[] = [];
  const waiting: string[] = [];
  const doubtful = new Set<string>();
  const pardoned: string[] = [];
  let nextIn: number | undefined;
  for (const key of pending) {
    const state = states.get(key);
    if (!state) continue;
    const due = dueIn(state, now, graceMs, isOut(state.node));
    if (due === undefined) {
      if (state.evidence === "node" && held.has(state.node)) doubtful.add(key);
    } else if (due <= 0) {
      if (state.isIn) leaving.add(key);
      else returning.push(key);
    } else {
      if (!state.isIn) waiting.push(key);
      nextIn = Math.min(nextIn ?? due, due);
    }
  }
  const isIn = (key: string) => states.get(key)?.isIn ?? true;
  // What was taken out of the mesh goes whatever is left, and an instance of a group that this node registered is deleted anyhow.
  const isFinal = (key: string) =>
    states.get(key)?.evidence === "removed" || (states.get(key)?.node === node && states.get(key)?.isInstance === true);
  // One that has just gone away too is no comfort: what goes together is kept together, though its graces end a moment apart.
  for (const key of lastOnes(mesh.endpoints, leaving, (other) => isIn(other) && !pending.has(other))) {
    if (isFinal(key)) continue;
    leaving.delete(key);
    doubtful.add(key);
  }
  for (const [key, state] of [...leaving].map((one) => [one, states.get(one)] as const)) {
    if (!state || !kept.has(key) || state.evidence === "removed") continue;
    leaving.delete(key);
    pardoned.push(key);
    nextIn = Math.min(nextIn ?? graceMs, graceMs);
  }
  const stays = (key: string) => isIn(key) && !leaving.has(key) && !doubtful.has(key);
  for (const key of waiting) if (isMissed(key, mesh, stays)) returning.push(key);
  return { leaving: [...leaving], returning, doubtful, pardoned, ...(nextIn === undefined ? {} : { nextIn }) };
}

/** Whether a service of its has no endpoint that stays: then one that has not stayed for long itself is better than none. */
function isMissed(key: string, { endpoints, unready }: DecisionInputs["mesh"], stays: (workload: string) => boolean): boolean {
  const { hosts = [] } = unready.get(key) ?? {};
  return hosts.some((host) => endpoints.get(host)?.some(({ workload }) => workload === undefined || stays(workload)) !== true);
}
