/**
 * What became of each recent change: when it was committed and under which span, so that its pushes and answers are measured and traced
 * as parts of it.
 */
import type { Clock } from "../lib/clock.ts";
import type { SpanContext } from "../telemetry/tracing.ts";

export interface JournalEntry {
  readonly revision: number;
  /** Monotonic milliseconds at which the change was committed. */
  readonly at: number;
  readonly span: SpanContext;
}

/** How many changes are remembered; an answer to an older one is still counted, but not as a part of its trace. */
const REMEMBERED = 256;

export class Journal {
  #entries: JournalEntry[] = [];
  #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  began(revision: number, span: SpanContext): void {
    this.#entries.push({ revision, at: this.#clock.monotonic(), span });
    if (this.#entries.length > REMEMBERED) this.#entries.shift();
  }

  /** The change that made `revision`, if it is remembered. */
  find(revision: number): JournalEntry | undefined {
    return this.#entries.findLast((entry) => entry.revision === revision);
  }
}
