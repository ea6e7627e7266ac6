/**
 * Time, passed in: the only place that reads the machine's clock, so that expiry, rotation and back-off are tested in milliseconds.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, UTC. */
  now(): number;
  /** Milliseconds on a clock that never goes back; only differences mean anything. */
  monotonic(): number;
  /** Runs `callback` once after `milliseconds`; the returned function cancels it. */
  after(milliseconds: number, callback: () => void): () => void;
}

/** setTimeout takes at most 2^31-1 ms (24.8 days); longer waits are made of several. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(milliseconds, callback) {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (left: number) => {
      const step = Math.min(left, LONGEST_TIMEOUT_MS);
      timer = setTimeout(() => (left > step ? arm(left - step) : callback()), Math.max(0, step));
      timer.unref?.();
    };
    arm(milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `milliseconds` on `clock`, or when `signal` aborts; never rejects. */
export function sleep(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      cancel();
      // The signal may outlive many such waits.
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.after(milliseconds, end);
    signal?.addEventListener("abort", end);
  });
}

/**
 * Keeps the process alive, and its event loop asleep while there is nothing to do: where no more than unreferenced timers are left, Bun 1.4.5 neither ends
 * nor sleeps while the program's first promise is pending, but looks at them over and over. @returns what ends it
 */
export function stayAwake(): () => void {
  const timer = setInterval(() => {}, LONGEST_TIMEOUT_MS);
  return () => clearInterval(timer);
}
