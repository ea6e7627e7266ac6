/** How long is waited between tries, of an engine that many nodes ask: each time longer, and not by all of them at the same moment. */

const FIRST_MS = 50;
const LONGEST_MS = 1_000;

/** Something between half of `milliseconds` and all of it. @param random from 0 to 1 */
export const jittered = (milliseconds: number, random: () => number): number => milliseconds * (0.5 + random() / 2);

/** After so many failures in a row, 1 and up: milliseconds. */
export const backoff = (failures: number, random: () => number): number =>
  jittered(Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1)), random);
