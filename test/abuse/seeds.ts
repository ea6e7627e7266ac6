/** Fuzzing that can be done again: each run has a recorded seed, and one of its own, which it prints. */
import { randomInt } from "node:crypto";
import fc from "fast-check";

/** Seeds that once found something, or that stand for all machines that run these tests. */
const RECORDED = [20_260_101, 1_815, 42];

const chosen = process.env.WEFT_FUZZ_SEED;

/** Holds `property` for the recorded seeds and for one that is new each time (or $WEFT_FUZZ_SEED alone). */
export async function hold<T>(name: string, property: fc.IAsyncProperty<T> | fc.IProperty<T>, runs = 300): Promise<void> {
  const seeds = chosen === undefined ? [...RECORDED, randomInt(2 ** 31)] : [Number(chosen)];
  console.error(`fuzz "${name}": seeds ${seeds.join(", ")}; again with WEFT_FUZZ_SEED=${seeds.at(-1)}`);
  for (const seed of seeds) await fc.assert(property as fc.IAsyncProperty<T>, { seed, numRuns: runs });
}
