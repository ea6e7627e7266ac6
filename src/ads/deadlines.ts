/** Many waits of one length, behind one timer: they end in the order in which they began, and most are called off. */
import type { Clock } from "../lib/clock.ts";

interface Wait {
  readonly at: number;
  readonly callback: () => void;
}

export class Deadlines {
  private readonly clock: Clock;
  private readonly milliseconds: number;
  private readonly waits = new Set<Wait>();
  private cancel: (() => void) | undefined;

  constructor(clock: Clock, milliseconds: number) {
    this.clock = clock;
    this.milliseconds = milliseconds;
  }

  /** Calls `callback` once, after the deadline's milliseconds, unless the returned function is called before. */
  begin(callback: () => void): () => void {
    const wait = { at: this.clock.monotonic() + this.milliseconds, callback };
    this.waits.add(wait);
    this.arm();
    return () => {
      this.waits.delete(wait);
      if (this.waits.size > 0) return;
      this.cancel?.();
      this.cancel = undefined;
    };
  }

  private arm(): void {
    const [first] = this.waits;
    if (!first || this.cancel) return;
    // Rounded up: a timer may come a fraction of a millisecond early.
    this.cancel = this.clock.after(Math.ceil(Math.max(0, first.at - this.clock.monotonic())), () => {
      this.cancel = undefined;
      this.end();
    });
  }

  private end(): void {
    const now = this.clock.monotonic();
    for (const wait of this.waits) {
      if (wait.at > now) break;
      this.waits.delete(wait);
      wait.callback();
    }
    this.arm();
  }
}
