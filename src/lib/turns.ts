/** Long computations, and many short ones, on the one thread that also serves everybody else. */
import type { Clock } from "./clock.ts";

/** Few enough that others wait for milliseconds only, enough that giving way costs nothing. */
const STEPS_IN_A_TURN = 16;

/** Runs `steps` to its end and returns its result, letting other work go first now and then. Steps should take less than a millisecond. */
export async function inTurns<T>(steps: Generator<void, T>): Promise<T> {
  for (let count = 1; ; count++) {
    const step = steps.next();
    if (step.done) return step.value;
    if (count % STEPS_IN_A_TURN === 0) await others();
  }
}

const others = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Short enough to be nothing beside a network; long enough that what goes between does not cost more than the work. */
const SLICE_MS = 4;

/**
 * Tasks of a millisecond or less that come by the thousand: each whole, in the order in which they came, and after each SLICE_MS others go first. The
 * first begins when whoever adds it has done.
 */
export class TaskQueue {
  readonly #clock: Pick<Clock, "monotonic">;
  #tasks: (() => Promise<void>)[] = [];
  #running = false;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Where `task` rejects, which is a defect, that is left unhandled, as if it had been called without a queue; the others go on. */
  add(task: () => Promise<void>): void {
    this.#tasks.push(task);
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    let spent = 0;
    while (this.#tasks.length > 0) {
      // Taken whole: shift() moves all that is left.
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const task of tasks) {
        const began = this.#clock.monotonic();
        await task().catch((reason) => void Promise.reject(reason));
        spent += this.#clock.monotonic() - began;
        if (spent < SLICE_MS) continue;
        await others();
        spent = 0;
      }
      // What comes before the next turn of the loop shares this one's slice.
      if (this.#tasks.length === 0 && spent > 0) {
        await others();
        spent = 0;
      }
    }
    this.#running = false;
  }
}

/** `work` on each item, one after the other, in turns likewise; what it returns, in their order. @throws what `work` throws, and goes no further */
export async function eachInTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (const item of items) {
    done.push(await work(item));
    if (done.length % STEPS_IN_A_TURN === 0) await others();
  }
  return done;
}
