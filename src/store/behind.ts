/** How old what is served is, and why, in words. */
import type { Standing } from "./store.ts";

/** Unit, its milliseconds, and from how many of it on it is used. */
const UNITS = [
  ["d", 86_400_000, 2],
  ["h", 3_600_000, 2],
  ["min", 60_000, 1],
  ["s", 1_000, 0],
] as const;

/** "serving revision 812, 14 min behind". @param behindMs Standing.behindMs */
export function behindText(revision: number, behindMs: number | undefined): string {
  if (behindMs === undefined) return `serving revision ${revision}, never in touch with the engine`;
  const [unit, size] = UNITS.find(([, milliseconds, least]) => behindMs >= milliseconds * least) ?? UNITS[3];
  return `serving revision ${revision}, ${Math.floor(behindMs / size)} ${unit} behind`;
}

/** Why, naming the engine once. */
export function reasonText({ engine, reason = "it does not answer" }: Pick<Standing, "engine" | "reason">): string {
  return reason.includes(engine) ? reason : `${engine}: ${reason}`;
}
