/** The HTTP/2 connections of one listener: signs of life, how much each may ask, and the end of all of them. */
import { constants, type Http2Session, type ServerHttp2Session } from "node:http2";
import { CallBudget } from "../lib/call-budget.ts";
import type { Clock } from "../lib/clock.ts";
import { Deadlines } from "./deadlines.ts";
import type { AdsLimits } from "./limits.ts";
import type { AnyServer } from "./listener.ts";

export class Connections {
  private readonly sessions = new Set<ServerHttp2Session>();
  private readonly streams = new WeakMap<object, number>();
  /** Of those of which no stream was admitted yet: cancels their end. */
  private readonly unproven = new WeakMap<object, () => void>();

  /** How many each has made. */
  private readonly calls = new WeakMap<object, number>();
  private readonly budget: CallBudget;
  /** Calls of which it is being found out whose they are. */
  private readonly judged = new WeakMap<object, number>();
  private readonly limits: AdsLimits;
  private readonly proofs: Deadlines;
  private readonly pings: Deadlines;
  private readonly answers: Deadlines;

  constructor(server: AnyServer, clock: Clock, limits: AdsLimits) {
    this.budget = new CallBudget(clock, { burst: limits.callsBurst, perSecond: limits.callsPerSecond });
    this.limits = limits;
    this.proofs = new Deadlines(clock, limits.unprovenMs);
    this.pings = new Deadlines(clock, limits.pingEveryMs);
    this.answers = new Deadlines(clock, limits.pingTimeoutMs);
    server.on("session", (session) => {
      this.sessions.add(session);
      // A peer that resets its connection ends its streams by that; nobody needs to hear of it twice.
      session.on("error", () => session.destroy());
      const stop = this.watch(session);
      // A stranger may take a place for a moment only.
      this.unproven.set(
        session,
        this.proofs.begin(() => this.doubt(session)),
      );
      session.on("close", () => {
        stop();
        this.unproven.get(session)?.();
        this.sessions.delete(session);
      });
    });
  }

  /** Counts a stream of `session` in or out. Returns how many there are now. */
  count(session: object, by: 1 | -1): number {
    const streams = (this.streams.get(session) ?? 0) + by;
    this.streams.set(session, streams);
    this.unproven.get(session)?.();
    return streams;
  }

  /** A call of `session` is (1), or is no longer (-1), judged: nobody is to blame for the time that weft takes. */
  judge(session: object, by: 1 | -1): void {
    this.judged.set(session, (this.judged.get(session) ?? 0) + by);
  }

  /**
   * `session` has proved nothing in time. What it sent may lie there unread, where weft itself was busy: it is read first, and what is being judged
   * is judged.
   */
  private doubt(session: ServerHttp2Session): void {
    const settle = () => {
      if (session.destroyed || this.streams.has(session)) return;
      if ((this.judged.get(session) ?? 0) === 0) session.destroy();
      else
        this.unproven.set(
          session,
          this.proofs.begin(() => this.doubt(session)),
        );
    };
    setImmediate(() => setImmediate(settle));
  }

  /**
   * Whether `session` may make one more call. One that opens stream after stream, and has each refused or resets it at once (CVE-2023-44487),
   * costs its peer nothing and weft a signature check and an audit record each: it is ended, and what it sent besides is not looked at.
   */
  mayCall(session: Http2Session): boolean {
    if (session.destroyed) return false;
    const made = this.calls.get(session) ?? 0;
    this.calls.set(session, made + 1);
    const isWithin = this.budget.take(session);
    if (this.streams.has(session) ? isWithin : made < this.limits.maxUnprovenCalls) return true;
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    return false;
  }

  /** GOAWAY: no new streams; those that are there go on to their end. */
  sayGoodbye(): void {
    for (const session of this.sessions) if (!session.closed && !session.destroyed) session.close();
  }

  destroy(): void {
    for (const session of this.sessions) session.destroy();
    this.sessions.clear();
  }

  /**
   * A dead peer does not close its connection: it must answer a PING, or lose it. One that has carried no stream between two PINGs is
   * closed, so that idle connections do not pile up.
   */
  private watch(session: ServerHttp2Session): () => void {
    let cancel = () => {};
    let unused = false;
    const next = () => {
      cancel = this.pings.begin(ping);
    };
    const ping = () => {
      if (session.destroyed) return;
      const used = (this.streams.get(session) ?? 0) > 0;
      if (!used && unused) {
        session.destroy();
        return;
      }
      unused = !used;
      cancel = this.answers.begin(() => session.destroy());
      const asked = session.ping((error) => {
        cancel();
        if (error) session.destroy();
        else next();
      });
      if (!asked) session.destroy();
    };
    next();
    return () => cancel();
  }
}
