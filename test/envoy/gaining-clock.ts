import { type Clock, systemClock } from "../../src/lib/clock.ts";

/** How long a wait may miss that the clock began to run fast. */
const LOOK_EVERY_MS = 100;

/** A clock that is ahead of the real one by `gained()` milliseconds, which may be less than 0 and only grows: its waits end when it says so. */
export function gainingClock(gained: () => number): Clock {
  const passed = () => systemClock.monotonic() + gained();
  return {
    now: () => systemClock.now() + gained(),
    monotonic: systemClock.monotonic,
    after(milliseconds, callback) {
      const end = passed() + milliseconds;
      let cancel = () => {};
      const wait = (): void => {
        const left = Math.max(0, end - passed());
        cancel = left === 0 ? systemClock.after(0, callback) : systemClock.after(Math.min(left, LOOK_EVERY_MS), wait);
      };
      wait();
      return () => cancel();
    },
  };
}
