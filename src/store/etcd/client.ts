/** Calls to an etcd cluster: each with a deadline, on the member that answered last, and where that fails on another. */
import type { Clock } from "../../lib/clock.ts";
import { EtcdFailure, failureOf, notConnected, tooLate } from "./failure.ts";
import { Member, type Session } from "./member.ts";
import { Tokens } from "./tokens.ts";
import type { EtcdAddress } from "./url.ts";

/** What a call of the generated clients needs. */
export interface CallOptions {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

export type Call<T> = (session: Session, options: CallOptions) => Promise<T>;

export interface Limits {
  /** Of one try, connecting included, milliseconds. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface ClientOptions {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  /** For how long a call is tried on one member after the other, milliseconds. */
  readonly patienceMs?: number;
}

/** A member that is stopped, or cut off, answers nothing: another is asked soon enough that "current" comes every 10 s. */
const DEADLINE_MS = 3_000;
const CONNECT_MS = 2_000;
/** An election takes etcd one to three seconds with its default timeout; a member that does not answer is found out in three. */
const PATIENCE_MS = 10_000;
const BACKOFF = { firstMs: 50, mostMs: 1_000 };

export class EtcdClient {
  readonly name: string;
  readonly clock: Clock;
  readonly members: readonly Member[];
  readonly patienceMs: number;
  readonly #random: () => number;
  readonly #tokens: Tokens;
  readonly #closed = new AbortController();
  #preferred: number;

  constructor(address: EtcdAddress, { clock, random, patienceMs = PATIENCE_MS }: ClientOptions) {
    this.name = address.name;
    this.clock = clock;
    this.patienceMs = patienceMs;
    this.#random = random;
    this.#tokens = new Tokens(address);
    this.members = address.members.map((name) => new Member(name, address));
    this.#preferred = Math.floor(random() * this.members.length) % this.members.length;
  }

  /** Aborts when the client is closed. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** The member that calls go to now. */
  get preferred(): Member {
    return this.members[this.#preferred] as Member;
  }

  /** Tries until it succeeds: only for calls that may be carried out twice. @throws WeftError "unavailable" */
  async call<T>(send: Call<T>, limits: Limits = {}): Promise<T> {
    const began = this.clock.monotonic();
    for (let tries = 1; ; tries++) {
      try {
        return await this.attempt(send, limits);
      } catch (reason) {
        const failure = reason as EtcdFailure;
        const over = this.clock.monotonic() - began >= this.patienceMs;
        if (failure.cure !== "member" || over || limits.signal?.aborted || this.closed.aborted) throw failure.unavailable();
        await this.backOff(tries, { signal: limits.signal });
      }
    }
  }

  /** One try, on the preferred member or `only`; after a failure another is preferred. @throws EtcdFailure */
  async attempt<T>(send: Call<T>, limits: Limits = {}, only?: Member): Promise<T> {
    const member = only ?? this.preferred;
    const deadlineMs = limits.deadlineMs ?? DEADLINE_MS;
    const began = this.clock.monotonic();
    const stop = this.stopper(limits.signal);
    let late = false;
    const cancel = this.clock.after(deadlineMs, () => {
      late = true;
      stop.abort();
    });
    let session: Session | undefined;
    try {
      session = await this.open(member, stop.signal, limits.signal);
      const answer = await this.#authenticated(session, member, stop.signal, send);
      member.heardAt = this.clock.monotonic();
      return answer;
    } catch (reason) {
      // A connection on which other answers came meanwhile is kept: it is etcd that takes long.
      const silent = member.heardAt < began;
      const failure = late && !(reason instanceof EtcdFailure) ? tooLate(member.name, deadlineMs, silent) : failureOf(member.name, reason);
      if (!limits.signal?.aborted) this.turnAway(member, failure, session);
      throw failure;
    } finally {
      cancel();
      stop.release();
    }
  }

  /** What aborts with `signal`, with the client, or by itself. */
  stopper(signal?: AbortSignal): { readonly signal: AbortSignal; abort(): void; release(): void } {
    const controller = new AbortController();
    const sources = signal ? [this.closed, signal] : [this.closed];
    const release = () => {
      for (const source of sources) source.removeEventListener("abort", abort);
    };
    const abort = () => {
      release();
      controller.abort();
    };
    if (sources.some((source) => source.aborted)) abort();
    else for (const source of sources) source.addEventListener("abort", abort);
    return { signal: controller.signal, abort, release };
  }

  /**
   * Connects to a member.
   * @param caller aborts `signal` too, and says nothing of the connection, which others use, when it does
   * @throws EtcdFailure that says that nothing was sent
   */
  async open(member: Member, signal: AbortSignal, caller?: AbortSignal): Promise<Session> {
    const session = member.session();
    let cancel = () => {};
    const slow = new Promise<never>((_, reject) => {
      cancel = this.clock.after(CONNECT_MS, () => reject(new Error(`no connection within ${CONNECT_MS} ms`)));
    });
    try {
      await unlessAborted(Promise.race([session.connect(signal), slow]), signal);
      return session;
    } catch (reason) {
      if (!caller?.aborted) member.discard(session);
      throw notConnected(member.name, reason);
    } finally {
      cancel();
    }
  }

  /** Calls with a token, and once more where it was no good any more. */
  async #authenticated<T>(session: Session, member: Member, signal: AbortSignal, send: Call<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const headers = await this.#headers(session, member, signal);
      try {
        // The library's own abort does not come before the request has been sent, so it is not waited for alone.
        return await unlessAborted(send(session, { headers, signal }), signal);
      } catch (reason) {
        const { cure } = failureOf(member.name, reason);
        if (cure !== "token" || !this.#tokens.drop(headers) || tries > 1) throw reason;
      }
    }
  }

  async #headers(session: Session, member: Member, signal: AbortSignal): Promise<Record<string, string>> {
    try {
      return await unlessAborted(this.#tokens.headers(session, signal), signal);
    } catch (reason) {
      const { message, cure, broken } = signal.aborted ? tooLate(member.name, DEADLINE_MS, true) : failureOf(member.name, reason);
      throw new EtcdFailure(message, { cure, broken, maybeDone: false, cause: reason });
    }
  }

  /** The headers of a stream on `session`. @throws EtcdFailure */
  streamHeaders(session: Session, member: Member, signal: AbortSignal): Promise<Record<string, string>> {
    return this.#headers(session, member, signal);
  }

  /** A stream was refused for its token: the next gets another. */
  dropToken(headers: Readonly<Record<string, string>>): void {
    this.#tokens.drop(headers);
  }

  /** Prefers another member after a failure of this one, and throws away a connection that is no good. */
  turnAway(member: Member, failure: EtcdFailure, session?: Session): void {
    if (failure.broken && session) member.discard(session);
    if (failure.cure === "member" && member === this.preferred) this.#preferred = (this.#preferred + 1) % this.members.length;
  }

  /** Waits where all members were tried: longer each time, not all nodes at the same moment, and no longer than `leftMs`. */
  async backOff(
    tries: number,
    { signal, leftMs = Number.POSITIVE_INFINITY }: { signal?: AbortSignal; leftMs?: number } = {},
  ): Promise<void> {
    if (tries % this.members.length !== 0) return;
    const rounds = tries / this.members.length;
    const most = Math.min(BACKOFF.mostMs, BACKOFF.firstMs * 2 ** (rounds - 1));
    await this.pause(Math.min(leftMs, most * (0.5 + this.#random() / 2)), signal);
  }

  /** Resolves after `milliseconds`, or when `signal` aborts or the client is closed. */
  pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const stops = [this.closed, ...(signal ? [signal] : [])];
    if (stops.some((stop) => stop.aborted)) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        for (const stop of stops) stop.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.clock.after(milliseconds, end);
      for (const stop of stops) stop.addEventListener("abort", end);
    });
  }

  /** Something between half of `milliseconds` and all of it. */
  jittered(milliseconds: number): number {
    return milliseconds * (0.5 + this.#random() / 2);
  }

  close(): void {
    this.#closed.abort();
    for (const member of this.members) member.close();
  }
}

/** `promise`, or a rejection as soon as `signal` aborts; what becomes of `promise` then is nobody's. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error("stopped"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
