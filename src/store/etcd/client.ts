/** Calls to an etcd cluster: each with a deadline, on the member that answered last, and where that fails on another. */
import { type Clock, sleep } from "../../lib/clock.ts";
import { EtcdFailure, failureOf, notConnected, tooLate } from "./failure.ts";
import { Member, type Session } from "./member.ts";
import { Tokens } from "./tokens.ts";
import { Tries } from "./tries.ts";
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
/** A call that takes longer is reason to see who else is there. */
const ASIDE_MS = 1_000;
/** And who else, where that one does not answer either. */
const NEXT_ASIDE_MS = 500;
/** An election takes etcd one to three seconds with its default timeout; a member that does not answer is found out in three. */
const PATIENCE_MS = 10_000;

export class EtcdClient {
  readonly name: string;
  readonly clock: Clock;
  readonly members: readonly Member[];
  readonly patienceMs: number;
  readonly random: () => number;
  readonly #tokens: Tokens;
  readonly #closed = new AbortController();
  #preferred: number;

  constructor(address: EtcdAddress, { clock, random, patienceMs = PATIENCE_MS }: ClientOptions) {
    this.name = address.name;
    this.clock = clock;
    this.patienceMs = patienceMs;
    this.random = random;
    this.#tokens = new Tokens(address);
    this.members = address.members.map((name) => new Member(name, address, clock));
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
    const tries = new Tries(this, this.patienceMs, limits.signal);
    for (;;) {
      try {
        return await this.attempt(send, limits);
      } catch (reason) {
        const failure = reason as EtcdFailure;
        if (!(await tries.again(failure))) throw failure.unavailable(tries.nowhere);
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
    const stopLooking = this.clock.after(ASIDE_MS, () => void this.#lookAside(member));
    let session: Session | undefined;
    try {
      session = await this.open(member, stop.signal);
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
      stopLooking();
      stop.release();
    }
  }

  /**
   * A member takes long. By the time that it is given up, it is known whether its connection still works, and which other member can be reached: a client
   * that is cut off from all of them knows that then.
   */
  async #lookAside(slow: Member): Promise<void> {
    void slow.ask();
    const from = this.members.indexOf(slow);
    for (const other of [...this.members.slice(from + 1), ...this.members.slice(0, from)]) {
      if (this.closed.aborted) return;
      if (await Promise.race([other.look(), this.pause(NEXT_ASIDE_MS).then(() => false)])) return;
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

  /** Connects to a member. @throws EtcdFailure that says that nothing was sent */
  async open(member: Member, signal: AbortSignal): Promise<Session> {
    try {
      // Nobody would close it any more.
      if (this.closed.aborted) throw new Error("the store is closed");
      return await unlessAborted(member.connect(), signal);
    } catch (reason) {
      throw notConnected(member.name, signal.aborted ? new Error("no connection in time") : reason);
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
    const began = this.clock.monotonic();
    try {
      return await unlessAborted(this.#tokens.headers(session, signal), signal);
    } catch (reason) {
      // A token takes a quorum: without a leader it is etcd that takes long here too.
      const silent = member.heardAt < began;
      const { message, cure, broken } = signal.aborted ? tooLate(member.name, DEADLINE_MS, silent) : failureOf(member.name, reason);
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

  /** Resolves after `milliseconds`, or when `signal` aborts or the client is closed. */
  async pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const stop = this.stopper(signal);
    await sleep(this.clock, milliseconds, stop.signal);
    stop.release();
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
