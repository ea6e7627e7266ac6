import type { Socket } from "node:net";
import type { Siege } from "./siege.ts";

/** One way into the process. */
export interface Door {
  readonly name: string;
  /** ADS and the Workload API are HTTP/2, the admin API is HTTP/1.1. */
  readonly speaks: "ads" | "admin" | "workload";
  /** Whether callers must prove who they are on it: the admin socket's proof is that its owner opened it. */
  readonly asks: boolean;
  /** Connected. @throws where it does not let one in */
  open(): Promise<Socket>;
}

export interface Result {
  readonly attempts: number;
  /** Attempts that got what they must not get. */
  readonly gotIn: number;
  /** What else is to be known, in a few words. */
  readonly note?: string;
}

export interface Attack {
  readonly name: string;
  /** Who does it: "stranger" has nothing, "workload" a workload's own token, "editor" the right to apply. */
  readonly by: "stranger" | "workload" | "editor";
  /** The doors on which it is tried. */
  readonly on: "ads" | "admin" | "http2" | ((door: Door) => boolean);
  /** How often: in full, and with --quick. */
  readonly times: readonly [full: number, quick: number];
  run(siege: Siege, door: Door, times: number): Promise<Result>;
}
