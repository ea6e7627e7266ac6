/**
 * A shared log that lives in the test's own process, with switches for everything that engines do to those who use them. It takes the place of a real
 * engine where a fault must strike at one moment and no other; the real ones pass the same contract (etcd, Redis).
 */
import { WeftError } from "../../src/lib/errors.ts";
import { type LogEntry, type LogEvent, type Place, type SharedLog, START } from "../../src/store/shared/log.ts";
import { UnknownOutcome } from "../../src/store/shared/unknown-outcome.ts";
import { Unreachable } from "../../src/store/shared/unreachable.ts";

/** What becomes of the next append. */
export type Fault =
  /** It is made, and the answer is lost. */
  | "answer-lost"
  /** It is lost on the way, and nobody can know. */
  | "request-lost"
  /** It is made only when `deliver` is called, after its sender was told that nobody knows. */
  | "delayed";

const HEARTBEAT_MS = 2_000;

export class MemoryEngine {
  /** Those after `#trimmed`. */
  entries: LogEntry[] = [];
  #trimmed: Place = START;
  snapshot: LogEntry | undefined;
  /** For all of its clients. */
  away = false;
  /** Where it is away, and its clients can tell that there is nobody to connect to. */
  nobody = false;
  full = false;
  #changed = new Set<() => void>();
  #delayed: (() => void)[] = [];
  readonly clients: MemoryLog[] = [];

  connect(): MemoryLog {
    const client = new MemoryLog(this);
    this.clients.push(client);
    return client;
  }

  get head(): Place {
    return this.entries.at(-1)?.place ?? this.#trimmed;
  }

  get trimmed(): Place {
    return this.#trimmed;
  }

  append(after: Place, id: string, bytes: Uint8Array): "appended" | "behind" {
    if (!same(this.head, after)) return "behind";
    this.entries.push({ place: { sequence: after.sequence + 1, id }, bytes: bytes.slice() });
    this.change();
    return "appended";
  }

  trim(through: number): void {
    const dropped = this.entries.findLast((entry) => entry.place.sequence <= through);
    if (!dropped) return;
    this.#trimmed = dropped.place;
    this.entries = this.entries.filter((entry) => entry.place.sequence > through);
    this.change();
  }

  /** A failover to a member that had not got the newest entries. */
  rollBack(count: number): void {
    this.entries = this.entries.slice(0, this.entries.length - Math.max(0, Math.min(count, this.entries.length)));
    if (this.snapshot && this.snapshot.place.sequence > this.head.sequence) this.snapshot = undefined;
    this.change();
  }

  /** It comes back without its data. */
  empty(): void {
    this.entries = [];
    this.#trimmed = START;
    this.snapshot = undefined;
    this.change();
  }

  /** Lets what was "delayed" arrive. */
  deliver(): void {
    for (const arrive of this.#delayed.splice(0)) arrive();
  }

  delay(arrive: () => void): void {
    this.#delayed.push(arrive);
  }

  setAway(away: boolean): void {
    this.away = away;
    this.change();
  }

  change(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const wake of changed) wake();
  }

  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#changed.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, HEARTBEAT_MS);
      this.#changed.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

export class MemoryLog implements SharedLog {
  readonly name = "memory log";
  readonly #engine: MemoryEngine;
  /** For this client alone: a partition. */
  #away = false;
  /** It takes what is sent and answers nothing. */
  #silent = false;
  /** Each call takes so long, in turns of the event loop. */
  slow = 0;
  faults: Fault[] = [];
  /** Appends that are under way come no further; all else goes on. */
  #holding = false;
  /** How many are. */
  held = 0;
  /** How often it was followed. */
  follows = 0;
  /** How many were made through this client. */
  appends = 0;
  snapshots = 0;
  closed = false;

  constructor(engine: MemoryEngine) {
    this.#engine = engine;
  }

  setAway(away: boolean): void {
    this.#away = away;
    this.#engine.change();
  }

  setSilent(silent: boolean): void {
    this.#silent = silent;
    this.#engine.change();
  }

  setHolding(holding: boolean): void {
    this.#holding = holding;
    this.#engine.change();
  }

  async snapshot(signal: AbortSignal): Promise<LogEntry | undefined> {
    await this.#reach(signal);
    return this.#engine.snapshot;
  }

  async *follow(after: Place, signal: AbortSignal): AsyncGenerator<LogEvent> {
    this.follows += 1;
    let seen = after;
    let told: Place | undefined;
    while (!signal.aborted) {
      await this.#reach(signal);
      const { trimmed, head, entries } = this.#engine;
      const next = entries.find((entry) => entry.place.sequence === seen.sequence + 1);
      const here = seen.sequence === trimmed.sequence ? trimmed : entries.find((entry) => entry.place.sequence === seen.sequence)?.place;
      if (!here || !same(here, seen)) {
        yield { type: "lost", reason: `the log does not go on from ${seen.sequence}` };
        return;
      }
      if (next) {
        seen = next.place;
        yield { type: "entry", place: next.place, bytes: next.bytes.slice() };
        continue;
      }
      yield { type: "current", head };
      told = head;
      if (same(this.#engine.head, told) && !this.#isAway) await this.#engine.wait(signal);
    }
  }

  async append(after: Place, { id, bytes }: { readonly id: string; readonly bytes: Uint8Array }): Promise<"appended" | "behind"> {
    await this.#reach(new AbortController().signal);
    this.held += 1;
    while (this.#holding) await this.#engine.wait(new AbortController().signal);
    this.held -= 1;
    if (this.#engine.full) throw new WeftError("unavailable", "memory log: it takes nothing more");
    const fault = this.faults.shift();
    if (fault === "delayed") this.#engine.delay(() => void this.#engine.append(after, id, bytes));
    if (fault === "answer-lost") this.#engine.append(after, id, bytes);
    if (fault) throw new UnknownOutcome("memory log: the answer was lost");
    const outcome = this.#engine.append(after, id, bytes);
    if (outcome === "appended") this.appends += 1;
    return outcome;
  }

  async putSnapshot(snapshot: LogEntry, trimThrough: number): Promise<void> {
    await this.#reach(new AbortController().signal);
    const engine = this.#engine;
    if (!engine.snapshot || engine.snapshot.place.sequence <= snapshot.place.sequence) {
      engine.snapshot = snapshot;
      this.snapshots += 1;
    }
    engine.trim(trimThrough);
  }

  async checkWritable(): Promise<void> {
    await this.#reach(new AbortController().signal);
    if (this.#engine.full) throw new WeftError("unavailable", "memory log: it takes nothing more");
  }

  async warnings(): Promise<readonly string[]> {
    return ["nothing of it is kept"];
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  get #isAway(): boolean {
    return this.#away || this.#engine.away;
  }

  async #reach(signal: AbortSignal): Promise<void> {
    for (let turn = 0; turn < this.slow; turn++) await new Promise((resolve) => setImmediate(resolve));
    while (this.#silent && !signal.aborted) await this.#engine.wait(signal);
    if (!this.#isAway) return;
    const why = "memory log: connection refused";
    throw this.#engine.nobody ? new Unreachable(why, { cause: undefined }) : new WeftError("unavailable", why);
  }
}

function same(a: Place, b: Place): boolean {
  return a.sequence === b.sequence && a.id === b.id;
}
