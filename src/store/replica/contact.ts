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

export class Contact {
  readonly #clock: Clock;
  readonly #engine: string;
  readonly #onChange: () => void;
  readonly #onFound: () => void;
  readonly #wakeups = new Wakeups();
  /** Monotonic milliseconds; before this process knew anything, what it found in the database. */
  #current: number | undefined;
  #reason: string | undefined = "it has not answered yet";
  #warnings: readonly string[] = [];
  #alarms: readonly string[] = [];

  constructor({ clock, engine, seenAt, onChange, onFound }: ContactOptions) {
    this.#clock = clock;
    this.#engine = engine;
    this.#onChange = onChange;
    this.#onFound = onFound;
    if (seenAt !== undefined) this.#current = clock.monotonic() - Math.max(0, clock.now() - Date.parse(seenAt));
  }

  get inTouch(): boolean {
    return this.#reason === undefined;
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

  /** All that the engine has is here. */
  found(): void {
    this.#current = this.#clock.monotonic();
    this.#set(undefined);
    this.#onFound();
  }

  lost(reason: string): void {
    this.#set(reason);
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

  #set(reason: string | undefined): void {
    const before = this.#reason;
    this.#reason = reason;
    if (before !== reason) this.#onChange();
    this.#wakeups.wakeAll();
  }
}
