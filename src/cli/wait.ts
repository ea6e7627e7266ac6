import { parsePeriod } from "../lib/duration.ts";

/** Milliseconds; "" (the flag alone) is `otherwise`. */
export const parseWait =
  (otherwise: number) =>
  (text: string): number => {
    if (text === "") return otherwise;
    const milliseconds = parsePeriod(text);
    if (milliseconds === undefined || milliseconds <= 0) throw new Error(`write a duration such as 30s, not "${text}"`);
    return milliseconds;
  };
