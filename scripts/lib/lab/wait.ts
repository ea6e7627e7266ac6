import { sleep, systemClock } from "../../../src/lib/clock.ts";

const DEFAULT_LIMIT_MS = 30_000;
const DEFAULT_EVERY_MS = 20;

/**
 * Calls `probe` until `accept` says yes to what it returns, and returns that.
 * @throws Error after `limitMs`, naming `what` and showing the last state seen (or the last error thrown by `probe`).
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T> | T,
  accept: (state: T) => boolean = Boolean,
  { limitMs = DEFAULT_LIMIT_MS, everyMs = DEFAULT_EVERY_MS }: { readonly limitMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const deadline = systemClock.monotonic() + limitMs;
  let last = "nothing";
  for (;;) {
    try {
      const state = await probe();
      if (accept(state)) return state;
      last = show(state);
    } catch (reason) {
      last = String(reason);
    }
    if (systemClock.monotonic() >= deadline) throw new Error(`waited ${limitMs} ms for ${what}; last state: ${last}`);
    await sleepAwake(everyMs);
  }
}

/** Like lib/clock's sleep, but keeps the process alive: whoever waits for a condition has nothing else to do. */
function sleepAwake(milliseconds: number): Promise<void> {
  const hold = setInterval(() => {}, 1 << 30);
  return sleep(systemClock, milliseconds).finally(() => clearInterval(hold));
}

function show(state: unknown): string {
  const text = typeof state === "string" ? state : (JSON.stringify(state) ?? String(state));
  return text.length > 2000 ? `${text.slice(0, 2000)}...` : text;
}
