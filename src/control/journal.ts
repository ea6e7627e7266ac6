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
  /** Monotonic milliseconds at which this node knew of it. */
  readonly knownAt: number;
}

/** How many changes are remembered; an answer to an older one is still counted, but not as a part of its trace. */
const REMEMBERED = 256;
/** What is sent so long after a change is none of it: certificates are renewed and proxies come back at a revision that may be days old. Milliseconds. */
const PUSHED_WITHIN_MS = 60_000;

export class Journal {
  #entries: JournalEntry[] = [];
  #clock: Clock;
  /** The revision of which a Mesh was built last. */
  #built: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A change was committed here. */
  began(revision: number, span: SpanContext): void {
    const now = this.#clock.monotonic();
    this.#add({ revision, at: now, span, knownAt: now });
  }

  /** A change came from another node, where `span` is the root of what it caused. */
  heard(revision: number, span: SpanContext): void {
    if (!this.#find(revision)) this.#add({ revision, span, knownAt: this.#clock.monotonic() });
  }

  /**
   * A Mesh of `revision` was built. @returns the change that it was built for; undefined where that is not remembered, and where it had its Mesh before: this
   * one is for who came or went, or what was renewed, which makes no revision
   */
  built(revision: number): JournalEntry | undefined {
    const isAgain = this.#built === revision;
    this.#built = revision;
    return isAgain ? undefined : this.#find(revision);
  }

  /** The change that a push of `revision` is a part of, if of any; `sentAt`: monotonic milliseconds. */
  pushed(revision: number, sentAt: number): JournalEntry | undefined {
    const entry = this.#find(revision);
    return entry && sentAt - entry.knownAt <= PUSHED_WITHIN_MS ? entry : undefined;
  }

  /** The change that made `revision`, if it is remembered. */
  #find(revision: number): JournalEntry | undefined {
    return this.#entries.findLast((entry) => entry.revision === revision);
  }

  #add(entry: JournalEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > REMEMBERED) this.#entries.shift();
  }
}
