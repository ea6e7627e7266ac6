/**
 * Writes through the log. Those that are asked for at the same time become one entry: each is planned on the rows as those before it leave them, and
 * the entry is appended if the log still ends where these rows stand. Else the others' entries are taken first, and all is planned again.
 */
import { type AuditMark, type AuditRecord, chain } from "../../lib/audit.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import type { Place, SharedLog } from "../shared/log.ts";
import { UnknownOutcome } from "../shared/unknown-outcome.ts";
import { Unreachable } from "../shared/unreachable.ts";
import type { SnapshotMark } from "../sqlite/place.ts";
import { Overlay, type Planned, type Request, type Stamp, type View, type Write } from "../write.ts";
import type { Contact } from "./contact.ts";
import { Deadline, firstOf } from "./deadline.ts";
import { type Entry, encodeEntry } from "./entry.ts";
import type { PlacedEntry } from "./take.ts";

/** Where writes are planned, and what becomes of them here. */
export interface WriteTarget {
  /** Everything of one moment. */
  look(): { readonly place: Place; readonly view: View; readonly head: AuditMark; readonly log: string; readonly snapshot: SnapshotMark };
  stamp(): Stamp;
  /** Writes an own entry down, unless it came through the log already. @throws WeftError "unavailable": this node cannot, others have it */
  takeOwn(entry: PlacedEntry): Promise<void>;
  /** The id of the entry at that sequence; undefined where it is not remembered. */
  idAt(sequence: number): string | undefined;
  /** How to say that nothing can be written now. */
  refusal(): WeftError;
  /** An append found that no address of the engine takes a connection. */
  unreachable(reason: string): void;
  /** Its caller is told that nobody knows what became of an append, which ends with `ended`: it may come true until the log was read after that. */
  doubt(ended: Promise<unknown>): void;
}

/** The engine acknowledged an entry, and lost it before it was written down here. */
export class LostAgain extends WeftError {
  constructor(engine: string) {
    super("unavailable", `${engine} acknowledged the change, and has lost it`, { help: "make it again" });
    this.name = "LostAgain";
  }
}

export interface WriterOptions {
  readonly log: SharedLog;
  readonly clock: Clock;
  readonly contact: Contact;
  readonly target: WriteTarget;
  /** A write that is not known to be made by then is answered. */
  readonly timeoutMs: number;
}

interface Job {
  readonly request: Request<unknown>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

type Outcome =
  | { readonly answer: (record: AuditRecord | undefined) => unknown; readonly record?: AuditRecord }
  | { readonly reason: unknown };

/** What one entry takes at most, unless a single write is larger: followers write it down in one transaction, in which they serve nobody. */
const MOST_ROWS = 256;
/** Between tries to learn whether an entry was appended. */
const ASK_AGAIN_MS = 200;

export class Writer {
  readonly #options: WriterOptions;
  readonly #jobs: Job[] = [];
  #running: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  write<Answer>(request: Request<Answer>): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#options.contact.unreachable) throw this.#options.target.refusal();
      this.#jobs.push({ request, resolve: (answer) => resolve(answer as Answer), reject });
      this.#running ??= this.#run();
    });
  }

  /** Those that nothing has been done for yet would find nobody. */
  refuseWaiting(): void {
    for (const { reject } of this.#jobs.splice(0)) reject(this.#options.target.refusal());
  }

  /** Resolves when all that was asked for is answered. */
  async drain(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#jobs.length > 0) {
      // After the callers whose requests have come already have asked too.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const jobs = this.#take();
      if (jobs.length === 0) break;
      const deadline = new Deadline(this.#options.clock, this.#options.timeoutMs);
      try {
        await this.#commit(jobs, deadline);
      } catch (reason) {
        for (const { reject } of jobs) reject(reason);
      } finally {
        deadline.end();
      }
    }
    this.#running = undefined;
  }

  #take(): readonly Job[] {
    let [count, rows] = [0, 0];
    for (const { request } of this.#jobs) {
      rows += request.rows;
      if (count > 0 && rows > MOST_ROWS) break;
      count += 1;
    }
    return this.#jobs.splice(0, count);
  }

  /** Answers all of `jobs`. @throws what all of them are answered with */
  async #commit(jobs: readonly Job[], deadline: Deadline): Promise<void> {
    const { contact, target } = this.#options;
    for (let tries = 1; ; tries++) {
      await this.#inTouch(deadline);
      if (!contact.inTouch) throw target.refusal();
      const { place, view, head, log, snapshot } = target.look();
      const { outcomes, writes, head: after } = planAll(jobs, view, head, target.stamp());
      const done =
        writes.length === 0
          ? await this.#proveCurrent(place, deadline)
          : await this.#append(place, { log: log || crypto.randomUUID(), head: after, snapshot, writes }, jobs, deadline);
      if (done) {
        for (const [index, { resolve, reject }] of jobs.entries()) settle(outcomes[index], resolve, reject);
        return;
      }
      await this.#moved(place, deadline);
      if (deadline.passed) {
        if (!contact.inTouch) throw target.refusal();
        throw new WeftError("conflict", `other nodes wrote first, ${tries} times in a row; nothing was changed`, { help: "try again" });
      }
    }
  }

  /** Waits out a gap that has just begun, such as a change of leaders; in a long one, or where there is nobody to connect to, all are refused at once. */
  async #inTouch(deadline: Deadline): Promise<void> {
    const { contact, timeoutMs } = this.#options;
    while (!contact.inTouch && !contact.unreachable && contact.gapMs < timeoutMs && !deadline.passed) await contact.wait(deadline.signal);
  }

  /** Until the rows stand elsewhere; no longer than the engine is in touch, where only it could move them. */
  async #moved(from: Place, deadline: Deadline, { patient = false } = {}): Promise<void> {
    const { contact, target } = this.#options;
    const isThere = () => target.look().place.sequence === from.sequence;
    while (isThere() && (patient || contact.inTouch) && !deadline.passed) await contact.wait(deadline.signal);
  }

  /** @returns whether it was appended after `at`, and is written down here; false where another entry was, and nothing was changed */
  async #append(at: Place, entry: Entry, jobs: readonly Job[], deadline: Deadline): Promise<boolean> {
    const bytes = await encodeEntry(entry);
    const id = crypto.randomUUID();
    if (deadline.passed) throw this.#options.target.refusal();
    const outcome = await this.#outcome(at, { id, bytes }, deadline);
    if (outcome === "behind") return false;
    if (outcome !== "appended") {
      this.#options.target.doubt(outcome.ended);
      throw this.#unknown(jobs, outcome.unknown);
    }
    await this.#takeOwn({ place: { sequence: at.sequence + 1, id }, entry, size: bytes.length });
    return true;
  }

  /** @returns where it is not known, why, and what the last try ends with. @throws WeftError "unavailable": nothing was changed */
  async #outcome(
    at: Place,
    entry: { readonly id: string; readonly bytes: Uint8Array },
    deadline: Deadline,
  ): Promise<"appended" | "behind" | { readonly unknown: unknown; readonly ended: Promise<unknown> }> {
    const { log, clock, contact, target } = this.#options;
    let unknown: { readonly unknown: unknown } | undefined;
    let ended: Promise<unknown> = Promise.resolve();
    for (;;) {
      try {
        const appending = log.append(at, entry);
        ended = appending;
        const outcome = await deadline.limit(appending);
        if (outcome === "late") return { unknown: unknown?.unknown, ended };
        if (outcome === "appended" || !unknown) return outcome;
        // What is at that place is what an earlier try has left, or another node's.
        await this.#moved(at, deadline, { patient: true });
        const found = target.idAt(at.sequence + 1);
        if (found === undefined) return { ...unknown, ended };
        return found === entry.id ? "appended" : "behind";
      } catch (reason) {
        if (!isUnavailable(reason)) throw reason;
        const nowhere = [reason, reason.cause].find((one) => one instanceof Unreachable);
        if (nowhere && contact.inTouch) target.unreachable(nowhere.message);
        if (!unknown && !(reason instanceof UnknownOutcome)) throw refused(reason);
        unknown ??= { unknown: reason };
      }
      // Asked again with the same id, the log takes it once at most: whoever comes second finds it there, and is behind.
      await sleep(clock, ASK_AGAIN_MS, deadline.signal);
      if (deadline.passed) return { ...unknown, ended };
    }
  }

  async #takeOwn(entry: PlacedEntry): Promise<void> {
    try {
      await this.#options.target.takeOwn(entry);
    } catch (reason) {
      if (reason instanceof LostAgain) throw reason;
      const { message, help } = WeftError.from(reason);
      throw new WeftError("unavailable", `the change is made, and other nodes have it, but this one cannot write it down yet: ${message}`, {
        help: help ?? "this node catches up by itself",
        cause: reason,
      });
    }
  }

  #unknown(jobs: readonly Job[], cause: unknown): UnknownOutcome {
    const { log, timeoutMs } = this.#options;
    const [first] = jobs;
    return new UnknownOutcome(
      `${log.name} did not say within ${timeoutMs / 1000} s whether the change was made: it may have been, or may still be, or not. ` +
        `Once this node is in touch again, \`${first?.request.lookUp ?? "weft get"}\` shows it`,
      cause,
    );
  }

  /** Whether the log ends at `place` now, so that what was planned there holds though nothing is appended. @throws WeftError "unavailable" */
  async #proveCurrent(place: Place, deadline: Deadline): Promise<boolean> {
    const abort = new AbortController();
    try {
      const first = await deadline.limit(firstOf(this.#options.log.follow(place, abort.signal)));
      if (first === "late") throw new WeftError("unavailable", `${this.#options.log.name} did not answer in time`);
      return first?.type === "current" && first.head.id === place.id;
    } catch (reason) {
      throw isUnavailable(reason) ? refused(reason) : reason;
    } finally {
      abort.abort();
    }
  }
}

function refused(reason: unknown): WeftError {
  const { message, help } = WeftError.from(reason);
  return new WeftError("unavailable", `${message}; nothing was changed`, { ...(help !== undefined && { help }), cause: reason });
}

function isUnavailable(reason: unknown): reason is WeftError {
  return reason instanceof WeftError && reason.code === "unavailable";
}

function planAll(jobs: readonly Job[], view: View, before: AuditMark, stamp: Stamp) {
  const overlay = new Overlay(view);
  const writes: Write[] = [];
  let head = before;
  const outcomes = jobs.map(({ request }): Outcome => {
    let planned: Planned<unknown>;
    try {
      planned = request.plan(overlay, stamp);
    } catch (reason) {
      return { reason };
    }
    const { write, answer } = planned;
    if (!write) return { answer };
    overlay.take(write);
    writes.push(write);
    const event = write.type === "compact" ? undefined : write.audit;
    if (!event) return { answer };
    const record = chain(head, event, write.at, overlay.revision);
    head = { sequence: record.sequence, hash: record.hash };
    return { answer, record };
  });
  return { outcomes, writes, head };
}

function settle(outcome: Outcome | undefined, resolve: (answer: unknown) => void, reject: (reason: unknown) => void): void {
  if (!outcome) return;
  try {
    if ("reason" in outcome) reject(outcome.reason);
    else resolve(outcome.answer(outcome.record));
  } catch (reason) {
    reject(reason);
  }
}
