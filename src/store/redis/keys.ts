/** Where things are in Redis. */
import type { Target } from "./target.ts";

export interface Keys {
  readonly log: string;
  readonly snapshot: string;
  /** Of one client. */
  readonly fence: string;
  readonly probe: string;
  /** In the order of the scripts (scripts.ts). */
  readonly board: readonly string[];
  readonly boardWake: string;
  /** What the keys of parts begin with, before an id. */
  readonly entryParts: string;
  readonly snapshotParts: string;
}

export function keysOf({ keys }: Target, client: string): Keys {
  return {
    log: `${keys}log`,
    snapshot: `${keys}snapshot`,
    fence: `${keys}fence:${client}`,
    probe: `${keys}probe`,
    board: ["cards", "versions", "until", "count", "wake"].map((name) => `${keys}board:${name}`),
    boardWake: `${keys}board:wake`,
    entryParts: `${keys}entry:`,
    snapshotParts: `${keys}state:`,
  };
}

export const partKeys = (prefix: string, parts: number): string[] => Array.from({ length: parts }, (_, index) => `${prefix}:${index}`);
