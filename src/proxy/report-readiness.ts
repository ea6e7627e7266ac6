/** Tells weft whether an instance's application is ready: at each change, and now and then, because weft may have been away. */
import type { Clock } from "../lib/clock.ts";
import type { Readiness } from "./probe.ts";

/** How often what has not changed is said again. */
export const REPEAT_MS = 10_000;
/** How soon what weft did not take is said again. */
export const RETRY_MS = 1_000;
/** So many failures in a row are worth a line: an instance may be a moment faster than its registration. */
const FAILURES = 3;

export interface ReporterOptions {
  readonly send: (readiness: Readiness) => Promise<void>;
  readonly clock: Clock;
  /** Told once when weft cannot be told for a while, and once when it can again. */
  readonly log: (level: "info" | "warn", message: string) => void;
}

export class ReadinessReporter {
  readonly #options: ReporterOptions;
  #readiness: Readiness | undefined;
  #sending: Promise<void> | undefined;
  #isStale = false;
  #failures = 0;
  #cancel = () => {};
  #closed = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  report(readiness: Readiness): void {
    if (this.#closed) return;
    this.#readiness = readiness;
    this.#isStale = true;
    void this.#send();
  }

  /** Says `readiness`, and nothing after it. Resolves when weft has taken it, or did not. */
  async finish(readiness: Readiness): Promise<void> {
    this.report(readiness);
    this.#closed = true;
    while (this.#sending) await this.#sending;
    this.#cancel();
  }

  /** One at a time: a slow answer must not let an older state overtake a newer one. */
  #send(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    const { send, clock, log } = this.#options;
    this.#cancel();
    let waitMs = REPEAT_MS;
    do {
      this.#isStale = false;
      const readiness = this.#readiness;
      if (!readiness) return;
      try {
        await send(readiness);
        if (this.#failures >= FAILURES) log("info", "weft is told of this instance's readiness again");
        this.#failures = 0;
      } catch (reason) {
        waitMs = RETRY_MS;
        const why = reason instanceof Error ? reason.message : String(reason);
        this.#failures += 1;
        if (this.#failures === FAILURES)
          log("warn", `weft cannot be told whether this instance is ready (${why}); trying again every ${RETRY_MS / 1_000} s`);
      }
    } while (this.#isStale);
    if (!this.#closed) this.#cancel = clock.after(waitMs, () => void this.#send());
  }
}
