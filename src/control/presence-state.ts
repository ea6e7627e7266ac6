/** What is known of one workload that belongs to a node: whether it is there, and whether it is in the endpoints as far as that goes. */
import { type Flaps, holdMs, oneMore, timesAt } from "./presence-damping.ts";

/**
 * "there": its proxy is connected to some node. "proxy": it is connected to none, and its node is there. "node": nor is its node. "removed": that was
 * taken out of the mesh. "unknown": the board cannot be read.
 */
export type Evidence = "there" | "proxy" | "node" | "removed" | "unknown";

export interface WorkloadState {
  readonly node: string;
  /** Whether it gets calls only once a probe has succeeded. */
  readonly isProbed: boolean;
  /** Whether it is an instance of a WorkloadGroup, whose entry its node deletes. */
  readonly isInstance: boolean;
  evidence: Evidence;
  /** Since when it is there, or is not, by Clock.monotonic. */
  since: number;
  /** The same by Clock.now, for people. */
  sinceTime: number;
  isIn: boolean;
  /** Whether its proxy ever was connected. */
  wasThere: boolean;
  /** Whether it never was in the endpoints. */
  isNew: boolean;
  flaps: Flaps;
  /** Of one that was kept as one of the last, and is so no longer, as its like come back one by one: since when it has its grace anew. */
  pardonedAt?: number;
}

export interface Moment {
  /** Clock.monotonic. */
  readonly now: number;
  /** Clock.now. */
  readonly time: number;
}

const isAway = (evidence: Evidence) => evidence === "proxy" || evidence === "node" || evidence === "removed";

/** Takes what is seen of it now. */
export function observe(state: WorkloadState, evidence: Evidence, { now, time }: Moment): void {
  const before = state.evidence;
  if (evidence === before) return;
  state.evidence = evidence;
  if (evidence === "there") {
    state.wasThere = true;
    state.pardonedAt = undefined;
  }
  // A node that goes while the proxy is away makes it no shorter; one that comes back without the proxy gives that a while anew.
  if (isAway(before) && isAway(evidence) && !(before === "node" && evidence === "proxy")) return;
  state.since = now;
  state.sinceTime = time;
  // One that goes away again while it is held back has not been quiet.
  if (before === "there" && isAway(evidence) && state.flaps.times > 0) {
    state.flaps = { times: timesAt(state.flaps, now), at: now };
  }
}

/**
 * In how many milliseconds it is to leave the endpoints or to come back, 0 or less where that is due; undefined where it is to stay as it is.
 * @param isNodeOut whether its node was given up
 */
export function dueIn(state: WorkloadState, now: number, graceMs: number, isNodeOut: boolean): number | undefined {
  const { evidence, isIn, since, flaps, pardonedAt = Number.NEGATIVE_INFINITY } = state;
  switch (evidence) {
    case "there":
      return isIn ? undefined : since + holdMs(timesAt(flaps, now)) - now;
    case "proxy":
      return isIn ? Math.max(since, pardonedAt) + graceMs - now : undefined;
    case "node":
      return isIn && isNodeOut ? Math.max(0, pardonedAt + graceMs - now) : undefined;
    case "removed":
      return isIn ? 0 : undefined;
    case "unknown":
      return undefined;
  }
}

export function leave(state: WorkloadState, now: number): void {
  state.isIn = false;
  state.flaps = oneMore(state.flaps, now);
}

/**
 * Why it gets no calls, or may be gone, in words; `since` where it is to be told for how long. Of one that is held back it is the same whether it is there
 * or away just now: words alone must not build the Mesh anew.
 */
export function reasonOf(state: WorkloadState, now: number): { readonly message: string; readonly since?: number } {
  const { node, evidence, isIn, wasThere, sinceTime, flaps } = state;
  if (evidence === "removed") return { message: `node ${node} was removed from the mesh` };
  const times = timesAt(flaps, now);
  const heldMs = holdMs(times);
  if (!isIn && heldMs > 0) {
    const stayed = `it gets calls when it has stayed for ${heldMs / 1_000} s`;
    return { message: `its proxy on node ${node} has gone away ${times} times lately: ${stayed}` };
  }
  if (evidence === "there") return { message: `its proxy on node ${node} is back` };
  if (!wasThere) return { message: `its proxy has not connected to node ${node} yet` };
  if (evidence === "node") return { message: `its node ${node} has been away`, since: sinceTime };
  return { message: `its proxy on node ${node} has been away`, since: sinceTime };
}
