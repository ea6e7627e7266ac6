/** For what strangers can cause as often as they like, and weft tells of: so often in a while, and then how often more. */
import type { Clock } from "./clock.ts";

export interface SparinglyOptions {
  readonly clock: Clock;
  /** Told in one window. */
  readonly most: number;
  readonly windowMs: number;
  /** At a window's end, where there were more. */
  readonly onMore: (count: number) => void;
}

export class Sparingly {
  readonly #options: SparinglyOptions;
  #told = 0;
  #more = 0;
  #ends: number | undefined;

  constructor(options: SparinglyOptions) {
    this.#options = options;
  }

  /** Calls `tell`, or counts. */
  tell(tell: () => void): void {
    const { clock, most, windowMs } = this.#options;
    if (this.#ends !== undefined && clock.monotonic() >= this.#ends) this.#end();
    if (this.#ends === undefined) {
      this.#ends = clock.monotonic() + windowMs;
      clock.after(windowMs, () => {
        if (this.#ends !== undefined && clock.monotonic() >= this.#ends) this.#end();
      });
    }
    if (this.#told < most) {
      this.#told += 1;
      tell();
    } else this.#more += 1;
  }

  #end(): void {
    const more = this.#more;
    this.#told = 0;
    this.#more = 0;
    this.#ends = undefined;
    if (more > 0) this.#options.onMore(more);
  }
}
