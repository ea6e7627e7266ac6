import type { Clock } from "../../src/lib/clock.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until told to move. Timers fire in the order of their due times (then of their making), each at the moment it
 * is due, so that what a callback reads from `now()` is exact.
 *
 * @example
 * const clock = new FakeClock("2026-01-01T00:00:00Z");
 * clock.after(1_000, () => renewed++);
 * await clock.advance(1_000);
 */
export class FakeClock implements Clock {
  #now: number;
  #monotonic = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(start: string | number = "2026-01-01T00:00:00Z") {
    this.#now = typeof start === "number" ? start : Date.parse(start);
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { due: this.#monotonic + Math.max(0, milliseconds), order: this.#order++, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers wait: 0 proves that nothing was left behind. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer, or undefined. */
  get nextIn(): number | undefined {
    const next = this.#next();
    return next && next.due - this.#monotonic;
  }

  /** Moves time on, firing what becomes due; callbacks run, the promises that they resolve do not. */
  advanceSync(milliseconds: number): void {
    const end = this.#monotonic + milliseconds;
    while (this.#fire(end));
    this.#moveTo(end);
  }

  /** Moves time on; after each timer, and at the end, lets promise reactions run (not I/O: await that by its own effect). */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#monotonic + milliseconds;
    await settle();
    while (this.#fire(end)) await settle();
    this.#moveTo(end);
  }

  /** Sets the wall clock as an operator or NTP would: monotonic time and timers do not notice. */
  setWallClock(time: string | number): void {
    this.#now = typeof time === "number" ? time : Date.parse(time);
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (!next || timer.due < next.due || (timer.due === next.due && timer.order < next.order)) next = timer;
    }
    return next;
  }

  #fire(end: number): boolean {
    const next = this.#next();
    if (!next || next.due > end) return false;
    this.#timers.delete(next);
    this.#moveTo(next.due);
    next.callback();
    return true;
  }

  #moveTo(monotonic: number): void {
    this.#now += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }
}

/** Lets pending promise reactions run: a macrotask turn comes after all microtasks. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
