/** Waiting for at most so long. */
import type { Clock } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";

export class Deadline {
  readonly #abort = new AbortController();
  readonly #cancel: () => void;

  /** @param signal ends it before its time */
  constructor(clock: Clock, milliseconds: number, signal?: AbortSignal) {
    this.#cancel = clock.after(milliseconds, () => this.#abort.abort());
    if (signal?.aborted) this.#abort.abort();
    signal?.addEventListener("abort", () => this.#abort.abort(), { once: true, signal: this.#abort.signal });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get passed(): boolean {
    return this.#abort.signal.aborted;
  }

  /** What `work` comes to, or "late". A rejection that comes late is nobody's. */
  async limit<T>(work: Promise<T>): Promise<T | "late"> {
    let stop = () => {};
    const late = new Promise<"late">((resolve) => {
      if (this.passed) return resolve("late");
      stop = () => resolve("late");
      this.signal.addEventListener("abort", stop, { once: true });
    });
    try {
      work.catch(() => {});
      return await Promise.race([work, late]);
    } finally {
      this.signal.removeEventListener("abort", stop);
    }
  }

  end(): void {
    this.#cancel();
    this.#abort.abort();
  }
}

/** The log speaks at least every 10 s (SharedLog): this is half as much again. */
const SILENCE_MS = 15_000;

/** @throws WeftError "unavailable" after a silence that is too long */
export async function heard<T>(coming: Promise<T>, clock: Clock, milliseconds = SILENCE_MS): Promise<T> {
  let cancel = () => {};
  const silence = new Promise<never>((_, reject) => {
    const late = () => reject(new WeftError("unavailable", `the engine has said nothing for ${milliseconds / 1000} s`));
    cancel = clock.after(milliseconds, late);
  });
  try {
    return await Promise.race([coming, silence]);
  } finally {
    cancel();
  }
}

/** The first of `events`, which end with it. */
export async function firstOf<T>(events: AsyncIterable<T>): Promise<T | undefined> {
  for await (const event of events) return event;
  return undefined;
}
