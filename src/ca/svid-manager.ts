/**
 * Keeps a current X.509-SVID for every workload that somebody asks for: one per SPIFFE ID, shared, renewed in time, forgotten when nobody
 * needs it any more.
 */
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import {
  LINGER_MS,
  REISSUE_SPREAD_MS,
  RENEW_AT,
  RENEW_JITTER,
  RETRY_FIRST_MS,
  RETRY_LONGEST_MS,
  WALL_CLOCK_CHECK_MS,
} from "./lifetimes.ts";
import type { SpiffeAuthority, X509Svid } from "./types.ts";

export type SvidListener = (svid: X509Svid) => void;

export interface SvidManagerOptions {
  readonly authority: Pick<SpiffeAuthority, "issueX509">;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly observer?: SvidObserver;
}

/** Told for metrics and logs. Called synchronously; must not throw. Never given a key. */
export interface SvidObserver {
  issued?(event: { readonly spiffeId: string; readonly serial: string; readonly notAfter: number; readonly milliseconds: number }): void;
  /** The old SVID, where there is one, stays in use until `expires` (ms since the epoch). */
  failed?(event: {
    readonly spiffeId: string;
    readonly error: WeftError;
    readonly attempt: number;
    readonly retryInMs: number;
    readonly expires?: number;
  }): void;
}

interface Entry {
  readonly spiffeId: string;
  readonly listeners: Set<SvidListener>;
  svid?: X509Svid;
  /** Wall time, ms since the epoch, of the next issuance; undefined while one is running. */
  due?: number;
  /** Wall time, by which it is to be issued again whatever its age. */
  reissueAt?: number;
  failures: number;
  cancelLinger?: () => void;
}

export class SvidManager {
  readonly #options: SvidManagerOptions;
  readonly #entries = new Map<string, Entry>();
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(options: SvidManagerOptions) {
    this.#options = options;
  }

  /**
   * Calls `listener` with the current SVID, now where there is one, and with each that replaces it, until the returned function is
   * called. Issuance that fails is tried again until it works: see SvidObserver.failed.
   */
  subscribe(spiffeId: string, listener: SvidListener): () => void {
    if (this.#closed) throw new WeftError("unavailable", "weft is shutting down: it issues no more certificates");
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const own: SvidListener = (svid) => listener(svid);
    const entry = this.#entries.get(spiffeId) ?? this.#add(spiffeId);
    entry.cancelLinger?.();
    entry.cancelLinger = undefined;
    entry.listeners.add(own);
    if (entry.svid) own(entry.svid);
    return () => {
      if (entry.listeners.delete(own) && entry.listeners.size === 0) this.#release(entry);
    };
  }

  /** The SVID in use, or undefined before the first is issued. Expired ones too: whether one is better than none, the peer decides. */
  current(spiffeId: string): X509Svid | undefined {
    return this.#entries.get(spiffeId)?.svid;
  }

  /** The SVIDs in use. They hold private keys: show nothing else of them. */
  *inUse(): Iterable<X509Svid> {
    for (const { svid } of this.#entries.values()) if (svid) yield svid;
  }

  /** Replaces every SVID, within REISSUE_SPREAD_MS: what signed them is to be used no more. */
  reissue(): void {
    const now = this.#options.clock.now();
    for (const entry of this.#entries.values()) {
      // One that is being issued now may come from the authority before: it is done again too.
      entry.reissueAt = now + this.#options.random() * REISSUE_SPREAD_MS;
      if (entry.due !== undefined) entry.due = Math.min(entry.due, entry.reissueAt);
    }
    this.#schedule();
  }

  /** notAfter of the SVID that ends first, or undefined where there is none; ms since the epoch. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const { svid } of this.#entries.values()) if (svid && (next === undefined || svid.notAfter < next)) next = svid.notAfter;
    return next;
  }

  /** Stops all timers and forgets all keys. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    for (const entry of this.#entries.values()) entry.cancelLinger?.();
    this.#entries.clear();
  }

  #add(spiffeId: string): Entry {
    const entry: Entry = { spiffeId, listeners: new Set(), failures: 0 };
    this.#entries.set(spiffeId, entry);
    void this.#issue(entry);
    return entry;
  }

  #release(entry: Entry): void {
    if (this.#closed) return;
    entry.cancelLinger = this.#options.clock.after(LINGER_MS, () => this.#entries.delete(entry.spiffeId));
  }

  /** Never rejects. */
  async #issue(entry: Entry): Promise<void> {
    const { authority, clock, observer } = this.#options;
    const started = clock.monotonic();
    entry.due = undefined;
    entry.reissueAt = undefined;
    try {
      const svid = await authority.issueX509(entry.spiffeId);
      if (!this.#alive(entry)) return;
      entry.svid = svid;
      entry.failures = 0;
      entry.due = Math.min(this.#renewalTime(svid), entry.reissueAt ?? Number.POSITIVE_INFINITY);
      const { spiffeId, serial, notAfter } = svid;
      observer?.issued?.({ spiffeId, serial, notAfter, milliseconds: clock.monotonic() - started });
    } catch (reason) {
      if (!this.#alive(entry)) return;
      const retryInMs = this.#retryDelay(entry.failures++);
      entry.due = clock.now() + retryInMs;
      const { spiffeId, failures: attempt, svid } = entry;
      observer?.failed?.({ spiffeId, error: WeftError.from(reason), attempt, retryInMs, expires: svid?.notAfter });
      this.#schedule();
      return;
    }
    this.#schedule();
    for (const listener of [...entry.listeners]) if (entry.svid) listener(entry.svid);
  }

  #alive(entry: Entry): boolean {
    return !this.#closed && this.#entries.get(entry.spiffeId) === entry;
  }

  /** Half of what is left of its life, give or take the jitter. notBefore is backdated and says nothing. */
  #renewalTime(svid: X509Svid): number {
    const now = this.#options.clock.now();
    const jitter = 1 + RENEW_JITTER * (2 * this.#options.random() - 1);
    return now + (svid.notAfter - now) * RENEW_AT * jitter;
  }

  #retryDelay(failures: number): number {
    const longest = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** failures);
    return longest * (1 - this.#options.random() / 2);
  }

  /** One timer for all: at the next due time, but never later than WALL_CLOCK_CHECK_MS. */
  #schedule(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#closed) return;
    let next: number | undefined;
    for (const { due } of this.#entries.values()) if (due !== undefined && (next === undefined || due < next)) next = due;
    if (next === undefined) return;
    const wait = Math.min(Math.max(0, next - this.#options.clock.now()), WALL_CLOCK_CHECK_MS);
    this.#cancelTimer = this.#options.clock.after(wait, () => {
      const now = this.#options.clock.now();
      for (const entry of [...this.#entries.values()]) if (isDue(entry, now)) void this.#issue(entry);
      this.#schedule();
    });
  }
}

/** An SVID that has not begun was made while the clock was wrong, and is refused by everybody until then. */
function isDue({ due, svid }: Entry, now: number): boolean {
  return due !== undefined && (due <= now || (svid !== undefined && now < svid.notBefore));
}
