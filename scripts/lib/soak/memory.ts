/** Whether memory grows: what is resident of a process, sampled, and the line through the samples. */
import { readFileSync } from "node:fs";

export interface Sample {
  /** Milliseconds on a monotonic clock. */
  readonly at: number;
  readonly mib: number;
}

export interface Growth {
  /** Least squares through the low points, MiB an hour: what a collection has not given back yet is no growth. */
  readonly slope: number;
  /** By how much that line rises over the time of the samples, MiB. */
  readonly rise: number;
  readonly first: number;
  readonly last: number;
  readonly most: number;
}

/** VmRSS, MiB. */
export function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

const HOUR_MS = 3_600_000;
/** Into so many stretches the samples are cut; the least of each counts. */
const STRETCHES = 20;

export function growthOf(samples: readonly Sample[]): Growth {
  const all = samples.map(({ mib }) => mib);
  const lows = lowsOf(samples);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [at, mib] = [mean(lows.map((one) => one.at)), mean(lows.map((one) => one.mib))];
  const covariance = lows.reduce((sum, one) => sum + (one.at - at) * (one.mib - mib), 0);
  const variance = lows.reduce((sum, one) => sum + (one.at - at) ** 2, 0);
  const slope = variance === 0 ? 0 : covariance / variance;
  const span = (samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0);
  return { slope: slope * HOUR_MS, rise: slope * span, first: all[0] ?? 0, last: all.at(-1) ?? 0, most: Math.max(0, ...all) };
}

/** The least sample of each stretch: memory after a collection. */
function lowsOf(samples: readonly Sample[]): Sample[] {
  const size = Math.max(1, Math.ceil(samples.length / STRETCHES));
  const lows: Sample[] = [];
  for (let from = 0; from < samples.length; from += size) {
    const stretch = samples.slice(from, from + size);
    lows.push(stretch.reduce((least, one) => (one.mib < least.mib ? one : least)));
  }
  return lows;
}
