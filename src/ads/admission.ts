/**
 * When all proxies come at once, as after a restart of weft, few of them are brought into sync at a time, in the order in which they came: so
 * those that have begun finish, what is under way is bounded, and changes for those that are in sync do not wait behind the crowd.
 */
import type { Clock } from "../lib/clock.ts";
import { Deadlines } from "./deadlines.ts";

export interface AdmissionOptions {
  readonly clock: Clock;
  /** How many may be on their way into sync. */
  readonly atOnce: number;
  /** How long one may keep its place, milliseconds: whoever is slow goes on all the same, but holds up nobody. */
  readonly patienceMs: number;
  /** Called when a crowd has passed: nobody waits any more, though many did. */
  readonly onPassed?: () => void;
}

/** So many that waited leave more behind than what comes and goes anyway. */
const CROWD = 100;

/** What a stream has from its first request on. */
export interface Place {
  /** The stream is in sync, or has ended: the next may begin. Any number of times. */
  leave(): void;
}

export class Admission {
  private readonly options: AdmissionOptions;
  private readonly waiting = new Set<() => void>();
  private underWay = 0;
  private scheduled = false;
  /** Since somebody had to wait. */
  private waited = 0;

  private readonly patience: Deadlines;

  constructor(options: AdmissionOptions) {
    this.options = options;
    this.patience = new Deadlines(options.clock, options.patienceMs);
  }

  /** Calls `start` when it is its turn, which may be at once; never after leave(). */
  enter(start: () => void): Place {
    let release: (() => void) | undefined;
    let left = false;
    const begin = () => {
      this.underWay += 1;
      const cancel = this.patience.begin(() => release?.());
      release = () => {
        release = undefined;
        cancel();
        this.underWay -= 1;
        this.next();
        if (this.underWay === 0 && this.waiting.size === 0) this.passed();
      };
      start();
    };
    const place = {
      leave: () => {
        if (left) return;
        left = true;
        this.waiting.delete(begin);
        release?.();
      },
    };
    if (this.waiting.size === 0 && this.underWay < this.options.atOnce) begin();
    else {
      this.waiting.add(begin);
      this.waited += 1;
    }
    return place;
  }

  private passed(): void {
    const { waited } = this;
    this.waited = 0;
    if (waited >= CROWD) this.options.onPassed?.();
  }

  /** One at a turn of the event loop: what came meanwhile, requests and changes, goes first. */
  private next(): void {
    if (this.scheduled || this.waiting.size === 0 || this.underWay >= this.options.atOnce) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      const [begin] = this.waiting;
      if (!begin || this.underWay >= this.options.atOnce) return;
      this.waiting.delete(begin);
      begin();
      this.next();
    });
  }
}
