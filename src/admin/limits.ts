/** How much anybody may ask of the admin API at once. Numbers are for one weft; who is over one is told to wait, and nothing was done. */
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";

/** How long a connection may stand between two requests. */
export const IDLE_SECONDS = 60;
/** How long the headers of a connection's first request may take: whoever connects wants to ask something. */
export const FIRST_REQUEST_MS = 10_000;
/** How long a body may take: 16 MiB (input.ts) over a line of 2 Mbit/s. */
export const BODY_MS = 60_000;
/** How long a caller may take nothing of the answer that waits for it. */
export const STALLED_MS = 30_000;
/** Of a request; a token has 4 KiB at most. */
export const MOST_HEADER_BYTES = 16 * 1024;
/** Requests of one connection whose answers are not written yet: who sends more at once does not mean to read them. */
export const MOST_PIPELINED = 64;
/** To one listener: the watches and requests below, and some that come and go. */
export const MOST_CONNECTIONS = 1024;
/** From one address; behind loopback is a whole machine. */
export const MOST_CONNECTIONS_PER_ADDRESS = 512;
/** Requests under way, watches aside: each may hold a body of 16 MiB while it is read. */
const MOST_REQUESTS = 64;
/** A watch costs a timer and a place in the log. */
const MOST_WATCHES = 256;

/** So many at once, and so many a second in the long run. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Of one address whose callers prove nothing: people mistype tokens, programs guess them. */
export const UNKNOWN_RATE: Rate = { burst: 50, perSecond: 5 };
/** Of one access token: a pipeline applies some files a second, a loop that went wild thousands. The owner and the admin token have no limit. */
export const TOKEN_RATE: Rate = { burst: 500, perSecond: 100 };
/** Callers whose rate is remembered; the one that was not seen for longest is forgotten first, and has its whole burst again. */
const MOST_CALLERS = 10_000;

/** A token bucket for each caller. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #clock: Clock;
  /** In the order in which they were last seen. */
  readonly #callers = new Map<string, { left: number; at: number }>();

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** @throws WeftError "rate_limited" where `caller` has nothing left; that try costs nothing */
  check(caller: string): void {
    if (this.#left(caller) >= 1) return;
    throw new WeftError("rate_limited", `Too many requests: ${this.#rate.perSecond} a second are taken in the long run`, {
      help: "wait a second and go on more slowly",
    });
  }

  take(caller: string): void {
    const left = Math.max(0, this.#left(caller) - 1);
    this.#callers.delete(caller);
    this.#callers.set(caller, { left, at: this.#clock.monotonic() });
    const [oldest] = this.#callers.keys();
    if (this.#callers.size > MOST_CALLERS && oldest !== undefined) this.#callers.delete(oldest);
  }

  #left(caller: string): number {
    const { burst, perSecond } = this.#rate;
    const known = this.#callers.get(caller);
    return known ? Math.min(burst, known.left + ((this.#clock.monotonic() - known.at) / 1000) * perSecond) : burst;
  }
}

/** Counts what is under way. */
export class Concurrency {
  #requests = 0;
  #watches = 0;

  /** @returns what to call when it is done. @throws WeftError "unavailable" */
  begin(watch: boolean): () => void {
    const full = watch ? this.#watches >= MOST_WATCHES : this.#requests >= MOST_REQUESTS;
    if (full) {
      const what = watch ? `${MOST_WATCHES} watches are open` : `${MOST_REQUESTS} requests are under way`;
      throw new WeftError("unavailable", `The admin API is busy: ${what} already`, { help: "try again in a second; nothing was done" });
    }
    if (watch) this.#watches += 1;
    else this.#requests += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (watch) this.#watches -= 1;
      else this.#requests -= 1;
    };
  }
}
