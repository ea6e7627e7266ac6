/**
 * Writes that are asked for at the same time share one commit, and so one sync of the disk, which is what a write waits for. Each is a
 * savepoint of its own: what fails undoes itself alone. Nobody is answered before the commit that holds his write is on the disk.
 */
import type { Connection } from "./connection.ts";

interface Job {
  readonly work: () => unknown;
  /** About how much it writes, in rows. */
  readonly size: number;
  readonly settle: (outcome: Outcome) => void;
}

type Outcome = { readonly value: unknown } | { readonly reason: unknown };

/** What one commit takes at most, unless a single write is larger: some ten milliseconds, in which nobody else is served. */
const MOST_ROWS = 256;

export class GroupCommit {
  readonly #connection: Connection;
  readonly #jobs: Job[] = [];
  #scheduled = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Runs `work` within a write transaction: all that it writes is durable when this resolves; where it throws, nothing is. Writes happen
   * in the order in which they were asked for.
   */
  write<T>(work: () => T, size = 1): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const settle = (outcome: Outcome) => ("value" in outcome ? resolve(outcome.value as T) : reject(outcome.reason));
      this.#jobs.push({ work, size, settle });
      this.#schedule();
    });
  }

  /** Commits what waits, now. */
  flush(): void {
    while (this.#jobs.length > 0) this.#commit(this.#take());
  }

  /** After the callers whose requests have come already have asked too. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#jobs.length > 0) this.#commit(this.#take());
      if (this.#jobs.length > 0) this.#schedule();
    });
  }

  #take(): readonly Job[] {
    let [count, rows] = [0, 0];
    for (const { size } of this.#jobs) {
      rows += size;
      if (count > 0 && rows > MOST_ROWS) break;
      count += 1;
    }
    return this.#jobs.splice(0, count);
  }

  #commit(jobs: readonly Job[]): void {
    const [only] = jobs;
    if (jobs.length === 1 && only) {
      only.settle(outcomeOf(() => this.#connection.write(only.work)));
      return;
    }
    const all = outcomeOf(() => this.#connection.write(() => jobs.map(({ work }) => this.#connection.savepoint(work))));
    if ("value" in all) {
      const outcomes = all.value;
      for (const [index, { settle }] of jobs.entries()) settle(outcomes[index] as Outcome);
      return;
    }
    // The transaction as a whole failed (full disk, say): which of them fit is found out one by one.
    for (const { work, settle } of jobs) settle(outcomeOf(() => this.#connection.write(work)));
  }
}

function outcomeOf<T>(work: () => T): { readonly value: T } | { readonly reason: unknown } {
  try {
    return { value: work() };
  } catch (reason) {
    return { reason };
  }
}
