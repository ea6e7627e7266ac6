/**
 * What became of each recent change: when it was committed and under which span, so that its pushes and answers are measured and traced
 * as parts of it.
 */
import type { Clock } from "../lib/clock.ts";
import type { SpanContext } from "../telemetry/tracing.ts";

export interface JournalEntry {
  readonly revision: number;
  /** Monotonic milliseconds at which the change was committed; undefined where another node did so, by another clock. */
  readonly at?: number;
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

  /** A change was committed here. */
  began(revision: number, span: SpanContext): void {
    this.#add({ revision, at: this.#clock.monotonic(), span });
  }

  /** A change came from another node, where `span` is the root of what it caused. */
  heard(revision: number, span: SpanContext): void {
    if (!this.find(revision)) this.#add({ revision, span });
  }

  /** The change that made `revision`, if it is remembered. */
  find(revision: number): JournalEntry | undefined {
    return this.#entries.findLast((entry) => entry.revision === revision);
  }

  #add(entry: JournalEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > REMEMBERED) this.#entries.shift();
  }
}
