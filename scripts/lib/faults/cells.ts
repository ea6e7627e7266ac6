/** The matrix: which fault is made where, how, and why some are not. */
import type { Limits } from "./hosts.ts";
import type { StoreKind } from "./store.ts";

export const FAULTS = ["kill", "stop", "partition", "slow", "disk", "clock", "compaction"] as const;
export const TARGETS = ["leader", "follower", "store", "node", "authority"] as const;
export type FaultName = (typeof FAULTS)[number];
export type TargetName = (typeof TARGETS)[number];

export interface Cell {
  readonly store: StoreKind;
  readonly fault: FaultName;
  readonly target: TargetName;
}

/** What each is, for --list. */
export const MEANING: Readonly<Record<FaultName, string>> = {
  kill: "kill -9, and started again",
  stop: "SIGSTOP, and SIGCONT",
  partition: "its link to the store and the other nodes takes nothing, either way",
  slow: "that link is slow",
  disk: "its file system has no byte left",
  clock: "its wall clock jumps ahead by 20 minutes, and back",
  compaction: "the engine throws its past away; under a node: and the log's, while the node is stopped and changes go on",
};

export const WHERE: Readonly<Record<StoreKind, Readonly<Record<TargetName, string>>>> = {
  etcd: { leader: "the leader", follower: "a follower", store: "all three members", node: "node-3", authority: "node-1" },
  redis: { leader: "the master", follower: "the replica", store: "both", node: "node-3", authority: "node-1" },
};

/** The handful that scripts/test looks at. */
const QUICK: readonly (readonly [FaultName, TargetName])[] = [
  ["kill", "leader"],
  ["kill", "store"],
  ["kill", "node"],
  ["stop", "authority"],
  ["partition", "leader"],
  ["slow", "node"],
  ["disk", "node"],
  ["compaction", "node"],
];

export const isNode = (target: TargetName): target is "node" | "authority" => target === "node" || target === "authority";
export const isQuick = ({ fault, target }: Cell): boolean => QUICK.some((one) => one[0] === fault && one[1] === target);

export const cellsOf = (store: StoreKind): readonly Cell[] =>
  FAULTS.flatMap((fault) => TARGETS.map((target) => ({ store, fault, target })));

/** Why a cell is not possible at all, on any machine. */
export function senseless({ store, fault, target }: Cell): string | undefined {
  if (fault !== "clock" || store !== "etcd" || target === "node" || target === "authority") return undefined;
  return "etcd asks the kernel for the time, past the C library in which it can be changed for one process; the kernel has one wall clock for all";
}

/** Why it is not possible here. */
export function impossible({ fault }: Cell, limits: Limits, faketime: string | undefined): string | undefined {
  if (fault === "partition") return limits.cut;
  if (fault === "slow") return limits.slow;
  if (fault === "disk") return limits.fill;
  return fault === "clock" && faketime === undefined ? "there is no libfaketime" : undefined;
}

/**
 * Which failed calls the fault explains. None: in every cell the Envoys, the applications and the network between them are left alone, and a control plane
 * that is hurt is no reason for a call to fail.
 */
export const explains = (_cell: Cell): string => "none";
