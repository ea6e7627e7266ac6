/** Follows the log: gives its entries on in order, many at a time where they are there already, and says how the engine stands. */
import { type Clock, sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import type { LogEntry, LogEvent, Place, SharedLog } from "../shared/log.ts";
import { Unreachable } from "../shared/unreachable.ts";
import type { Contact } from "./contact.ts";
import { heard } from "./deadline.ts";

export interface FollowTarget {
  place(): Place;
  /** Takes entries that follow each other; those that it has already are none to it. @throws WeftError where it cannot: the follower tries again */
  take(entries: readonly LogEntry[], signal: AbortSignal): Promise<void>;
  /** The log cannot go on from `place`. @throws WeftError where that cannot be mended now */
  resync(reason: string, signal: AbortSignal): Promise<void>;
}

export interface FollowerOptions {
  readonly log: SharedLog;
  readonly clock: Clock;
  readonly contact: Contact;
  readonly target: FollowTarget;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Between tries: doubles from the first to the longest, by a half more or less, so that a thousand nodes do not come back at once. */
const RETRY_MS = { first: 250, longest: 5_000 };
/** Where it is needed now, tries are no closer together. */
const STEP_MS = 500;
/** What one transaction takes at most, unless a single entry is larger: one sync for all, and the event loop is free again after some ten milliseconds. */
const BATCH = { entries: 64, bytes: 256 * 1024 };

export class Follower {
  readonly #options: FollowerOptions;
  #wait = RETRY_MS.first;
  #attempt: AbortController | undefined;
  #isWanted = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Asks the log anew, soon: what it has said until now does not count any more. */
  again(): void {
    this.#wait = RETRY_MS.first;
    this.#attempt?.abort();
  }

  /** Somebody was refused for want of the log: a pause between tries is cut short. */
  hurry(): void {
    this.#isWanted = true;
  }

  /** Until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { contact } = this.#options;
    while (!signal.aborted) {
      const attempt = new AbortController();
      this.#attempt = attempt;
      const stop = () => attempt.abort();
      signal.addEventListener("abort", stop, { once: true });
      try {
        const outcome = await this.#follow(attempt.signal);
        if (outcome === "ended" && !attempt.signal.aborted) contact.lost("the log ended; following it again");
      } catch (reason) {
        if (signal.aborted) return;
        if (!attempt.signal.aborted) contact.lost(WeftError.from(reason).message, reason instanceof Unreachable);
      } finally {
        attempt.abort();
        signal.removeEventListener("abort", stop);
      }
      if (signal.aborted) return;
      await this.#rest(signal);
      this.#wait = Math.min(this.#wait * 2, RETRY_MS.longest);
    }
  }

  async #rest(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    this.#isWanted = false;
    for (let left = this.#wait * (0.5 + random()); left > 0 && !this.#isWanted && !signal.aborted; left -= STEP_MS) {
      await sleep(clock, Math.min(left, STEP_MS), signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<"ended" | "resynced"> {
    const { log, clock, contact, target } = this.#options;
    const events = log.follow(target.place(), signal)[Symbol.asyncIterator]();
    const next = () => {
      const promise = events.next();
      // It may fail while nobody looks; who looks later is told all the same.
      promise.catch(() => {});
      return promise;
    };
    let coming = next();
    for (;;) {
      const { value: event, done } = await heard(coming, clock);
      if (done || signal.aborted) return "ended";
      if (event.type === "lost") {
        await target.resync(event.reason, signal);
        return "resynced";
      }
      coming = next();
      if (event.type === "current") {
        checkReached(event, target.place());
        this.#wait = RETRY_MS.first;
        contact.found();
        continue;
      }
      const batch: LogEntry[] = [event];
      let bytes = event.bytes.length;
      while (batch.length < BATCH.entries && bytes < BATCH.bytes) {
        const soon = await atOnce(coming);
        if (soon?.done !== false || soon.value.type !== "entry") break;
        batch.push(soon.value);
        bytes += soon.value.bytes.length;
        coming = next();
      }
      await target.take(batch, signal);
    }
  }
}

/** A log that says it gave us all and did not must be asked again. */
function checkReached({ head }: Extract<LogEvent, { type: "current" }>, place: Place): void {
  if (head.sequence <= place.sequence) return;
  throw new WeftError("internal", `the log gave entries up to ${place.sequence}, and says that it ends at ${head.sequence}`);
}

/** What `coming` has come to within this turn of the event loop. */
function atOnce<T>(coming: Promise<T>): Promise<T | undefined> {
  const turn = new Promise<undefined>((resolve) => {
    setImmediate(() => resolve(undefined));
  });
  return Promise.race([coming, turn]);
}
