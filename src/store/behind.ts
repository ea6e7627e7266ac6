/** How old what is served is, in words. */

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
