/** Plays one case until it goes as recorded, or until it clearly does not. */
import { binomialBounds } from "../../scripts/lib/lab/binomial.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Case, describeCase } from "./cases.ts";
import { type Observation, observe } from "./observe.ts";
import type { Stage } from "./stage.ts";

/** Envoy's worker takes over what its main thread has settled a moment later; and a pooled connection may have closed under a request. */
const LIMIT_MS = 2_000;
/** Enough to meet both endpoints of a service, nearly always. */
const REPEATS = 4;
/** For subsets: with the smallest share of 1/4, one is missed once in (4/3)^60, 30 million runs. */
const SUBSET_REPEATS = 60;
/** For weights, whose share is measured: wrong once in a million runs. */
const WEIGHT_REPEATS = 300;
const ALPHA = 1e-6;
const WIDTH = 8;

/** Undefined where it agrees, else what differed. `late` is called where it did not agree at once. */
export async function play(stage: Stage, one: Case, late: () => void): Promise<string | undefined> {
  const deadline = systemClock.monotonic() + LIMIT_MS;
  for (let attempt = 1; ; attempt++) {
    const difference = await attemptOnce(stage, one);
    if (difference === undefined) {
      if (attempt > 1) late();
      return undefined;
    }
    if (systemClock.monotonic() >= deadline) return `${describeCase(one)}: expected ${expectedOf(one)}, but ${difference}`;
  }
}

async function attemptOnce(stage: Stage, one: Case): Promise<string | undefined> {
  const observations: Observation[] = [];
  const count = one.weights ? WEIGHT_REPEATS : one.subsets ? SUBSET_REPEATS : REPEATS;
  while (observations.length < count) {
    const batch = Array.from({ length: Math.min(WIDTH, count - observations.length) }, () => observe(stage, one));
    observations.push(...(await Promise.all(batch)));
    const wrong = observations.find(({ verdict, status }) => verdict !== one.expect || (one.status !== undefined && status !== one.status));
    if (wrong) return `got ${wrong.verdict} ${wrong.status ?? ""} (${wrong.evidence})`;
  }
  const counts: Record<string, number> = {};
  for (const { subset = "" } of observations) counts[subset] = (counts[subset] ?? 0) + 1;
  const shown = `the subsets reached were ${JSON.stringify(counts)}`;
  const names = one.subsets ?? (one.weights && Object.keys(one.weights));
  if (names && Object.keys(counts).sort().join() !== [...names].sort().join()) return shown;
  const total = Object.values(one.weights ?? {}).reduce((sum, weight) => sum + weight, 0);
  for (const [name, weight] of Object.entries(one.weights ?? {})) {
    const { low, high } = binomialBounds(count, weight / total, ALPHA);
    const found = counts[name] ?? 0;
    if (found < low || found > high) return shown;
  }
  return undefined;
}

function expectedOf({ expect, status, subsets, weights }: Case): string {
  return [expect, status, subsets && `subsets ${subsets.join(", ")}`, weights && `weights ${JSON.stringify(weights)}`]
    .filter((part) => part !== undefined)
    .join(" ");
}
