/**
 * Inputs that leave some hundred times their size behind: one at a time, each on what the one before has given back. Together, or one right after
 * the other, a few of them would take what a small machine has. Small inputs wait for nobody.
 */
import type { Clock } from "../lib/clock.ts";

/** Characters from which on an input is large. */
const LARGE = 512 * 1024;
/** After the answer is out. */
const GIVE_BACK_MS = 500;

export class LargeInputs {
  readonly #clock: Clock;
  readonly #collect: (atOnce: boolean) => void;
  #before: Promise<unknown> = Promise.resolve();
  /** Calls off the collection that is due after the last one. */
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, collect: (atOnce: boolean) => void = (atOnce) => Bun.gc(atOnce)) {
    this.#clock = clock;
    this.#collect = collect;
  }

  /** `work` on an input of `size` characters, in its turn. */
  run<T>(size: number, work: () => Promise<T>): Promise<T> {
    if (size < LARGE) return work();
    const done = this.#before.then(async () => {
      if (this.#cancel) this.#giveBack(true);
      try {
        return await work();
      } finally {
        this.#cancel = this.#clock.after(GIVE_BACK_MS, () => this.#giveBack(false));
      }
    });
    this.#before = done.catch(() => {});
    return done;
  }

  /** At once where the next one waits for it; else beside other work, which a collection in one go would hold up. */
  #giveBack(atOnce: boolean): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#collect(atOnce);
  }
}
