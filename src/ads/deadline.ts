import type { Clock } from "../lib/clock.ts";

/** What `promise` gives, or `late()` thrown where it gives nothing within `milliseconds`; what it gives later is dropped. */
export function within<T>(clock: Clock, milliseconds: number, promise: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(milliseconds, () => reject(late()));
    promise.then(resolve, reject).finally(cancel);
  });
}
