/** How often one connection may call: so many at once, and so many a second in the long run (a token bucket for each). */
import type { Clock } from "./clock.ts";

export interface CallRate {
  readonly burst: number;
  readonly perSecond: number;
}

export class CallBudget {
  readonly #left = new WeakMap<object, { readonly left: number; readonly at: number }>();
  readonly #clock: Clock;
  readonly #rate: CallRate;

  constructor(clock: Clock, rate: CallRate) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Counts a call of `connection`. @returns whether it may be made */
  take(connection: object): boolean {
    const { burst, perSecond } = this.#rate;
    const now = this.#clock.monotonic();
    const known = this.#left.get(connection) ?? { left: burst, at: now };
    const left = Math.min(burst, known.left + ((now - known.at) / 1000) * perSecond) - 1;
    // What is refused is not counted: many that try again would else keep each other out for ever.
    this.#left.set(connection, { left: left < 0 ? left + 1 : left, at: now });
    return left >= 0;
  }
}
