import type { Clock } from "../../src/lib/clock.ts";

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  private time = 1_700_000_000_000;
  private readonly timers = new Map<object, { at: number; callback: () => void }>();

  now(): number {
    return this.time;
  }

  monotonic(): number {
    return this.time;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const key = {};
    this.timers.set(key, { at: this.time + milliseconds, callback });
    return () => this.timers.delete(key);
  }

  get waiting(): number {
    return this.timers.size;
  }

  advance(milliseconds: number): void {
    this.time += milliseconds;
    for (const [key, timer] of [...this.timers]) {
      if (timer.at > this.time || !this.timers.delete(key)) continue;
      timer.callback();
    }
  }
}
