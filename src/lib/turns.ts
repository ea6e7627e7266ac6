/** Long computations on the one thread that also serves everybody else. */

/** Few enough that others wait for milliseconds only, enough that giving way costs nothing. */
const STEPS_IN_A_TURN = 16;

/** Runs `steps` to its end and returns its result, letting other work go first now and then. Steps should take less than a millisecond. */
export async function inTurns<T>(steps: Generator<void, T>): Promise<T> {
  for (let count = 1; ; count++) {
    const step = steps.next();
    if (step.done) return step.value;
    if (count % STEPS_IN_A_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
