/**
 * When all proxies come at once, as after a restart of weft, few of them are brought into sync at a time, in the order in which they came: so
 * those that have begun finish, what is under way is bounded, and changes for those that are in sync do not wait behind the crowd.
 */
import type { Clock } from "../lib/clock.ts";
import { TaskQueue } from "../lib/turns.ts";

export interface AdmissionOptions {
  readonly clock: Clock;
  /** How many may be on their way into sync. */
  readonly atOnce: number;
  /** How long one may keep weft waiting, altogether, and its place with that, milliseconds: whoever is slow goes on all the same, but holds up nobody. */
  readonly patienceMs: number;
  /** Called when a crowd has passed: nobody waits any more, though many did. */
  readonly onPassed?: () => void;
}

/** So many that waited leave more behind than what comes and goes anyway. */
const CROWD = 100;

/** So often one may ask or answer on its way: Envoy does less. One that always has something to say never keeps weft waiting, and would keep its place for ever. */
const MOST_ANSWERS = 100;

/** What a stream has from its first request on. */
export interface Place {
  /** The stream has asked or answered, and weft has something to do for it: that this takes its time is not the stream's slowness. */
  works(): void;
  /** The stream is to answer, or to take what was sent, and has what is left of the patience with it. */
  waits(): void;
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

  private readonly tasks: TaskQueue;

  constructor(options: AdmissionOptions) {
    this.options = options;
    this.tasks = new TaskQueue(options.clock);
  }

  /** Calls `start` when it is its turn, which may be at once; never after leave(). */
  enter(start: () => void): Place {
    let release: (() => void) | undefined;
    let calm: (() => void) | undefined;
    let left = false;
    let answers = 0;
    const { clock } = this.options;
    let patienceMs = this.options.patienceMs;
    const waits = () => {
      if (!release || calm) return;
      const since = clock.monotonic();
      const cancel = clock.after(Math.ceil(Math.max(0, patienceMs)), () => release?.());
      calm = () => {
        cancel();
        patienceMs -= clock.monotonic() - since;
      };
    };
    const stopWaiting = () => {
      calm?.();
      calm = undefined;
    };
    const works = () => {
      answers += 1;
      if (answers > MOST_ANSWERS) waits();
      else stopWaiting();
    };
    const begin = () => {
      this.underWay += 1;
      release = () => {
        release = undefined;
        stopWaiting();
        this.underWay -= 1;
        this.next();
        if (this.underWay === 0 && this.waiting.size === 0) this.passed();
      };
      waits();
      start();
    };
    const place = {
      works,
      waits,
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

  /**
   * Does `task` when those have been done that were asked for before it, and gives way to everybody else every few milliseconds: all that streams ask for on their way into sync would
   * else be answered in one turn of the event loop, behind which a change would wait at each of its steps.
   */
  inTurn(task: () => void): void {
    this.tasks.add(async () => task());
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
