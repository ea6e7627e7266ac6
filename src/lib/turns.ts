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

/** `work` on each item, one after the other, in turns likewise; what it returns, in their order. @throws what `work` throws, and goes no further */
export async function eachInTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (const item of items) {
    done.push(await work(item));
    if (done.length % STEPS_IN_A_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return done;
}
