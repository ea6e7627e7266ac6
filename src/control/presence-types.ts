/** What presence is told, and what it tells. */
import type { Clock } from "../lib/clock.ts";
import type { WorkloadHealth } from "../mesh/settings.ts";

export interface PresenceEvent {
  readonly workload: string;
  /** "arrived", "left" and "returned" tell of the endpoints; "kept" is in them although it may be gone, and "confirmed" is there after all. */
  readonly change: "arrived" | "left" | "returned" | "kept" | "confirmed";
  /** Why. */
  readonly reason: string;
}

/** What must be said of presence as a whole. */
export interface PresenceReport {
  /** Why nothing is known of other nodes, and what was known last holds; undefined where the board is read, and on a node that has none. */
  readonly frozen?: string;
  /** Nodes that are gone, and not given up because they are the larger part. */
  readonly held: readonly string[];
  /** Workloads that are in the endpoints and may be gone. */
  readonly kept: readonly string[];
  /** How many are out because they are away, and how many that are back must stay for longer first. */
  readonly away: number;
  readonly heldBack: number;
}

export interface PresenceOptions {
  /** This node's name. */
  readonly node: string;
  /** The file that outlives a restart. */
  readonly path: string;
  readonly clock: Clock;
  /** Whether the node shares a board with others. Without one nothing is ever known of others, and their workloads are static. */
  readonly hasBoard: boolean;
  readonly graceMs: number;
  readonly nodeGraceMs: number;
  /** Whose streams are open: workload keys, several times where there are several streams. */
  readonly connected: () => Iterable<string>;
  /** WorkloadHealthKeeper.all. */
  readonly own: () => ReadonlyMap<string, WorkloadHealth>;
  /** Nodes that were taken out of the mesh; `changed` when that changes. */
  readonly removed?: () => ReadonlySet<string>;
  /** `health` changed. */
  readonly onChange: () => void;
  readonly onEvent: (event: PresenceEvent) => void;
  readonly onTrouble: (message: string) => void;
}
