/** The settings of `weft run` that say how long a workload or a node may be away before its endpoints are taken out. */
import { parsePeriod } from "../lib/duration.ts";

/** Milliseconds. */
export interface PresenceSettings {
  readonly presenceGrace: number;
  readonly nodeGrace: number;
}

export const PRESENCE_VARIABLES: Readonly<Record<keyof PresenceSettings, string>> = {
  presenceGrace: "WEFT_PRESENCE_GRACE",
  nodeGrace: "WEFT_NODE_GRACE",
};

type Pick = <T>(key: keyof PresenceSettings, fallback: string, read: (text: string) => T | undefined, expected: string) => T;

const SHORTEST_MS = 1_000;
const LONGEST_MS = 3_600_000;

/** @throws WeftError "invalid" */
export function readPresenceSettings(pick: Pick): PresenceSettings {
  const grace = (key: keyof PresenceSettings, fallback: string) => pick(key, fallback, read, "a duration from 1s to 1h");
  return { presenceGrace: grace("presenceGrace", "10s"), nodeGrace: grace("nodeGrace", "30s") };
}

function read(text: string): number | undefined {
  const milliseconds = parsePeriod(text);
  return milliseconds !== undefined && milliseconds >= SHORTEST_MS && milliseconds <= LONGEST_MS ? milliseconds : undefined;
}
