/** How a replica stands to its engine, and who waits for a change of it. */
import type { Clock } from "../../lib/clock.ts";
import { Wakeups } from "../follow.ts";
import type { Standing } from "../store.ts";

export interface ContactOptions {
  readonly clock: Clock;
  /** SharedLog.name. */
  readonly engine: string;
  /** When the engine was heard by an earlier process: RFC 3339. */
  readonly seenAt?: string;
  /** After each change of the standing. */
  readonly onChange: () => void;
  /** Whenever all that the engine has is found to be here. */
  readonly onFound: () => void;
}

const DOUBT = "it is not known yet what became of a change that was given up";

export class Contact {
  readonly #clock: Clock;
  readonly #engine: string;
  readonly #onChange: () => void;
  readonly #onFound: () => void;
  readonly #wakeups = new Wakeups();
  /** Monotonic milliseconds; before this process knew anything, what it found in the database. */
  #current: number | undefined;
  /** Likewise: since when, at most, nothing is known. */
  #gapSince: number | undefined;
  #reason: string | undefined = "it has not answered yet";
  #unreachable = false;
  #warnings: readonly string[] = [];
  #alarms: readonly string[] = [];
  /** Appends that were given up and have not ended. */
  #doubts = 0;

  constructor({ clock, engine, seenAt, onChange, onFound }: ContactOptions) {
    this.#clock = clock;
    this.#engine = engine;
    this.#onChange = onChange;
    this.#onFound = onFound;
    if (seenAt !== undefined) this.#current = clock.monotonic() - Math.max(0, clock.now() - Date.parse(seenAt));
    this.#gapSince = this.#current;
  }

  get inTouch(): boolean {
    return this.#reason === undefined;
  }

  /** Whether a gap is none that is worth waiting out: nobody was there to connect to. */
  get unreachable(): boolean {
    return this.#unreachable;
  }

  /** How long ago the engine was in touch, or a doubt came up or ended: whichever was last. */
  get gapMs(): number {
    return this.#gapSince === undefined ? Number.POSITIVE_INFINITY : this.#clock.monotonic() - this.#gapSince;
  }

  get standing(): Standing {
    return {
      engine: this.#engine,
      inTouch: this.inTouch,
      behindMs: this.#current === undefined ? undefined : Math.round(this.#clock.monotonic() - this.#current),
      ...(this.#reason !== undefined && { reason: this.#reason }),
      warnings: [...this.#alarms, ...this.#warnings],
    };
  }

  /** All that the engine has is here; no word of it as long as an append that was given up may still come true. */
  found(): void {
    if (this.#doubts > 0) {
      this.lost(DOUBT);
      return;
    }
    this.#current = this.#clock.monotonic();
    this.#gapSince = this.#current;
    this.#set(undefined);
    this.#onFound();
  }

  /** @param unreachable whether no address of the engine took a connection */
  lost(reason: string, unreachable = false): void {
    this.#set(reason, unreachable);
  }

  /**
   * Nobody knows what became of an append, or, before `ended`, what will: only what the log says after that is the last word.
   * @param ask asks it anew
   */
  async doubt(ended: Promise<unknown>, ask: () => void): Promise<void> {
    this.#doubts += 1;
    this.#gapSince = this.#clock.monotonic();
    this.lost(DOUBT, this.#unreachable);
    try {
      await ended;
    } catch {
      // Whoever waited for it has been answered.
    } finally {
      this.#doubts -= 1;
      this.#gapSince = this.#clock.monotonic();
      ask();
    }
  }

  /** What the engine cannot promise. */
  warn(warnings: readonly string[]): void {
    if (warnings.join("\n") === this.#warnings.join("\n")) return;
    this.#warnings = warnings;
    this.#onChange();
  }

  alarm(alarms: readonly string[]): void {
    this.#alarms = alarms;
    this.#onChange();
  }

  /** Something moved: who waits looks again. */
  moved(): void {
    this.#wakeups.wakeAll();
  }

  /** Until something moves, or `signal` aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return this.#wakeups.wait(signal);
  }

  #set(reason: string | undefined, unreachable = false): void {
    const isOther = reason !== this.#reason || unreachable !== this.#unreachable;
    this.#reason = reason;
    this.#unreachable = unreachable;
    if (isOther) this.#onChange();
    this.#wakeups.wakeAll();
  }
}
