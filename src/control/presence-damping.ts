/**
 * How long a workload that keeps going away must stay before it gets calls again: nothing after the first time, then 10 s, doubling to 5 min; each
 * 5 min in which it did not go away take one time back. So one that flaps for ever changes the endpoints twice in five minutes. (As BGP damps routes,
 * RFC 2439, with steps in place of a half-life, which people can reckon with.)
 */
export const HOLD_MS = { first: 10_000, longest: 300_000 } as const;
const QUIET_MS = 300_000;
/** Seven times are held for the longest; more would only be remembered for longer. */
const MOST_TIMES = 7;

/** How often it left the endpoints lately. */
export interface Flaps {
  readonly times: number;
  /** When it went away last, by Clock.monotonic. */
  readonly at: number;
}

/** At `now`, by Clock.monotonic. */
export function timesAt({ times, at }: Flaps, now: number): number {
  return Math.max(0, times - Math.floor((now - at) / QUIET_MS));
}

export function oneMore(flaps: Flaps, now: number): Flaps {
  return { times: Math.min(MOST_TIMES, timesAt(flaps, now) + 1), at: now };
}

/** Of one that left so often: how long it must have stayed. */
export function holdMs(times: number): number {
  return times < 2 ? 0 : Math.min(HOLD_MS.longest, HOLD_MS.first * 2 ** (times - 2));
}
