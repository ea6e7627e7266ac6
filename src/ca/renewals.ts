/**
 * Keeps a current SVID for everybody that asks for one: one per key, shared, renewed in time, forgotten when nobody needs it any more.
 */
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { TaskQueue } from "../lib/turns.ts";
import {
  LINGER_MS,
  REISSUE_SPREAD_MS,
  RENEW_AT,
  RENEW_JITTER,
  RETRY_FIRST_MS,
  RETRY_LONGEST_MS,
  WALL_CLOCK_CHECK_MS,
} from "./lifetimes.ts";

/** What ends, and is to be replaced before. Milliseconds since the epoch. */
export interface Ending {
  readonly notBefore: number;
  readonly notAfter: number;
  /** When to ask for another, where that is not by its age: it is an old one, given because there is no new one to be had now. */
  readonly renewAt?: number;
}

export interface RenewalsOptions<S extends Ending> {
  readonly issue: (key: string) => Promise<S>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** When an SVID of `key` that was made before is to be replaced, whatever its age: ms since the epoch. Never where absent. */
  readonly replaceAt?: (key: string) => number | undefined;
  /** Issuing is waiting for somebody else, not computing: all that is due is asked for at once. */
  readonly remote?: boolean;
  /** Both are called synchronously, and must not throw. */
  readonly issued?: (svid: S, milliseconds: number) => void;
  readonly failed?: (failure: Failure) => void;
}

export interface Failure {
  readonly key: string;
  readonly error: WeftError;
  readonly attempt: number;
  readonly retryInMs: number;
  /** Until when the old one is good, which stays in use; absent where there is none. */
  readonly expires?: number;
}

interface Entry<S> {
  readonly key: string;
  readonly listeners: Set<(svid: S) => void>;
  svid?: S;
  /** Wall time, ms since the epoch, of the next issuance; undefined while one is running or waits for its turn. */
  due?: number;
  /** Wall time, by which it is to be issued again whatever its age. */
  reissueAt?: number;
  failures: number;
  /** The last of them. */
  error?: WeftError;
  cancelLinger?: () => void;
}

export class Renewals<S extends Ending> {
  readonly #options: RenewalsOptions<S>;
  readonly #entries = new Map<string, Entry<S>>();
  /** A thousand proxies come at once: what they ask for, and what their getting it makes others do, is done in their order, and pushes go between. */
  readonly #tasks: TaskQueue;
  #cancelTimer: (() => void) | undefined;
  /** Wall time at which the timer fires, while there is one. */
  #wakesAt: number | undefined;
  /** What nextExpiry found, as long as it holds: it is asked for at each issuance. */
  #firstEnd: number | undefined;
  #closed = false;

  constructor(options: RenewalsOptions<S>) {
    this.#options = options;
    this.#tasks = new TaskQueue(options.clock);
  }

  /**
   * Calls `listener` with the current SVID, now where there is one, and with each that replaces it, until the returned function is
   * called. Issuance that fails is tried again until it works: see RenewalsOptions.failed.
   */
  subscribe(key: string, listener: (svid: S) => void): () => void {
    if (this.#closed) throw new WeftError("unavailable", "weft is shutting down: it issues no more SVIDs");
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const own = (svid: S) => listener(svid);
    const entry = this.#entries.get(key) ?? this.#add(key);
    entry.cancelLinger?.();
    entry.cancelLinger = undefined;
    entry.listeners.add(own);
    if (entry.svid) own(entry.svid);
    return () => {
      if (entry.listeners.delete(own) && entry.listeners.size === 0) this.#release(entry);
    };
  }

  /** The SVID in use, or undefined before the first is issued. Expired ones too: whether one is better than none, the peer decides. */
  current(key: string): S | undefined {
    return this.#entries.get(key)?.svid;
  }

  /** The SVIDs in use. They hold private keys, or are as good as one: show nothing of that. */
  *inUse(): Iterable<S> {
    for (const { svid } of this.#entries.values()) if (svid) yield svid;
  }

  /** Replaces every SVID, within REISSUE_SPREAD_MS: what signed them is to be used no more. */
  reissue(): void {
    const now = this.#options.clock.now();
    for (const entry of this.#entries.values()) {
      // One that is being issued now may come from the authority before: it is done again too.
      entry.reissueAt = now + this.#options.random() * REISSUE_SPREAD_MS;
      if (entry.due === undefined) continue;
      entry.due = Math.min(entry.due, entry.reissueAt);
      this.#wakeBy(entry.due);
    }
  }

  /** To be called when RenewalsOptions.replaceAt has changed for `key`. */
  recheck(key: string): void {
    const entry = this.#entries.get(key);
    if (entry?.due === undefined) return;
    entry.due = Math.min(entry.due, this.#replaceAt(key));
    this.#wakeBy(entry.due);
  }

  /** Why none could be issued when it was tried last; undefined where one could. */
  failureOf(key: string): WeftError | undefined {
    return this.#entries.get(key)?.error;
  }

  /** Tries again now what could not be issued, where what kept it from that may be gone. */
  retry(mayWork: (key: string, error: WeftError) => boolean): void {
    const now = this.#options.clock.now();
    for (const entry of this.#entries.values()) {
      if (entry.due === undefined || !entry.error || !mayWork(entry.key, entry.error)) continue;
      entry.due = now;
      this.#wakeBy(now);
    }
  }

  /** notAfter of the SVID that ends first, or undefined where there is none; ms since the epoch. */
  nextExpiry(): number | undefined {
    if (this.#firstEnd !== undefined) return this.#firstEnd;
    for (const { svid } of this.#entries.values()) {
      if (svid && (this.#firstEnd === undefined || svid.notAfter < this.#firstEnd)) this.#firstEnd = svid.notAfter;
    }
    return this.#firstEnd;
  }

  /** Stops all timers and forgets all keys. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    for (const entry of this.#entries.values()) entry.cancelLinger?.();
    this.#entries.clear();
    this.#firstEnd = undefined;
  }

  #add(key: string): Entry<S> {
    const entry: Entry<S> = { key, listeners: new Set(), failures: 0 };
    this.#entries.set(key, entry);
    this.#ask(entry);
    return entry;
  }

  #ask(entry: Entry<S>): void {
    entry.due = undefined;
    if (this.#options.remote) queueMicrotask(() => void this.#issue(entry));
    else this.#tasks.add(() => this.#issue(entry));
  }

  #release(entry: Entry<S>): void {
    if (this.#closed) return;
    entry.cancelLinger = this.#options.clock.after(LINGER_MS, () => {
      this.#entries.delete(entry.key);
      this.#noteEnd(entry.svid, undefined);
    });
  }

  #noteEnd(before: S | undefined, after: S | undefined): void {
    if (this.#firstEnd === undefined) return;
    if (before?.notAfter === this.#firstEnd) this.#firstEnd = undefined;
    else if (after) this.#firstEnd = Math.min(this.#firstEnd, after.notAfter);
  }

  /** Never rejects. */
  async #issue(entry: Entry<S>): Promise<void> {
    const { issue, clock, issued, failed } = this.#options;
    if (!this.#alive(entry)) return;
    const [started, startedAt] = [clock.monotonic(), clock.now()];
    entry.reissueAt = undefined;
    try {
      const svid = await issue(entry.key);
      if (!this.#alive(entry)) return;
      this.#noteEnd(entry.svid, svid);
      entry.svid = svid;
      entry.failures = 0;
      entry.error = undefined;
      const replaceAt = this.#replaceAt(entry.key);
      entry.due = Math.min(
        this.#renewalTime(svid),
        entry.reissueAt ?? Number.POSITIVE_INFINITY,
        replaceAt > startedAt ? replaceAt : Number.POSITIVE_INFINITY,
      );
      issued?.(svid, clock.monotonic() - started);
    } catch (reason) {
      if (!this.#alive(entry)) return;
      const retryInMs = this.#retryDelay(entry.failures++);
      entry.error = WeftError.from(reason);
      entry.due = clock.now() + retryInMs;
      const { key, failures: attempt, svid } = entry;
      failed?.({ key, error: entry.error, attempt, retryInMs, expires: svid?.notAfter });
      this.#wakeBy(entry.due);
      return;
    }
    this.#wakeBy(entry.due);
    for (const listener of [...entry.listeners]) if (entry.svid) listener(entry.svid);
  }

  #replaceAt(key: string): number {
    return this.#options.replaceAt?.(key) ?? Number.POSITIVE_INFINITY;
  }

  #alive(entry: Entry<S>): boolean {
    return !this.#closed && this.#entries.get(entry.key) === entry;
  }

  /** Half of what is left of its life, give or take the jitter. notBefore is backdated and says nothing. */
  #renewalTime(svid: S): number {
    if (svid.renewAt !== undefined) return svid.renewAt;
    const now = this.#options.clock.now();
    const jitter = 1 + RENEW_JITTER * (2 * this.#options.random() - 1);
    return now + (svid.notAfter - now) * RENEW_AT * jitter;
  }

  #retryDelay(failures: number): number {
    const longest = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** failures);
    return longest * (1 - this.#options.random() / 2);
  }

  /** One timer for all: at the next due time, but never later than WALL_CLOCK_CHECK_MS. */
  #wakeBy(due: number): void {
    const { clock } = this.#options;
    const now = clock.now();
    const at = Math.min(Math.max(now, due), now + WALL_CLOCK_CHECK_MS);
    if (this.#closed || (this.#wakesAt !== undefined && this.#wakesAt <= at)) return;
    this.#cancelTimer?.();
    this.#wakesAt = at;
    this.#cancelTimer = clock.after(at - now, () => {
      this.#wakesAt = undefined;
      this.#wake(clock.now());
    });
  }

  #wake(now: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (isDue(entry, now)) this.#ask(entry);
      else if (entry.due !== undefined) next = Math.min(next, entry.due);
    }
    if (this.#entries.size > 0) this.#wakeBy(next);
  }
}

/** An SVID that has not begun was made while the clock was wrong, and is refused by everybody until then. */
function isDue({ due, svid }: { readonly due?: number; readonly svid?: Ending }, now: number): boolean {
  return due !== undefined && (due <= now || (svid !== undefined && now < svid.notBefore));
}
