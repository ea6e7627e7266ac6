import type { Database, Statement } from "bun:sqlite";
import { WeftError } from "../../lib/errors.ts";
import { sqliteProblem } from "./errors.ts";

type Bindings = Record<string, string | number | null>;

/**
 * The one connection to the database: statements prepared once, errors translated, transactions that always end. bun:sqlite is
 * synchronous, so a transaction that contains no await is never interleaved with another.
 */
export class Connection {
  readonly path: string;
  readonly #database: Database;
  readonly #statements = new Map<string, Statement<Record<string, unknown>, [Bindings]>>();
  #closed = false;

  constructor(path: string, database: Database) {
    this.path = path;
    this.#database = database;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** All rows; their shape is the caller's claim about its own SQL. */
  all<Row>(sql: string, bindings: Bindings = {}): Row[] {
    return this.#guard(() => this.#prepare(sql).all(bindings) as Row[]);
  }

  get<Row>(sql: string, bindings: Bindings = {}): Row | undefined {
    return this.#guard(() => (this.#prepare(sql).get(bindings) as Row | null) ?? undefined);
  }

  run(sql: string, bindings: Bindings = {}): void {
    this.#guard(() => this.#prepare(sql).run(bindings));
  }

  /** Several statements without bindings, not kept. */
  script(sql: string): void {
    this.#guard(() => this.#database.run(sql));
  }

  /** One snapshot for all that `work` reads. */
  read<T>(work: () => T): T {
    return this.#within("BEGIN DEFERRED", work);
  }

  /** All that `work` writes is durable when this returns; where it throws, nothing is. */
  write<T>(work: () => T): T {
    return this.#within("BEGIN IMMEDIATE", work);
  }

  /**
   * Within a transaction that writes: where `work` throws, what it wrote is undone, and its error is given back.
   * @throws where the transaction itself is lost: SQLite has rolled all of it back, or cannot undo the part
   */
  savepoint<T>(work: () => T): { readonly value: T } | { readonly reason: unknown } {
    this.run("SAVEPOINT part");
    try {
      const value = work();
      this.run("RELEASE part");
      return { value };
    } catch (reason) {
      if (!this.#database.inTransaction) throw reason;
      this.run("ROLLBACK TO part");
      this.run("RELEASE part");
      return { reason };
    }
  }

  /** Without its statements finalized, SQLite would keep the file open and leave the write-ahead log behind. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const statement of this.#statements.values()) statement.finalize();
    this.#statements.clear();
    this.#database.close();
  }

  #within<T>(begin: string, work: () => T): T {
    this.#rollBack();
    this.run(begin);
    try {
      const result = work();
      this.run("COMMIT");
      return result;
    } catch (reason) {
      try {
        this.#rollBack();
      } catch {
        // The first error is the one to tell; the next transaction tries again to roll back.
      }
      throw reason;
    }
  }

  /** SQLite itself has rolled back after some errors (full disk, I/O); a second ROLLBACK would be an error. */
  #rollBack(): void {
    if (!this.#closed && this.#database.inTransaction) this.run("ROLLBACK");
  }

  #prepare(sql: string): Statement<Record<string, unknown>, [Bindings]> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare<Record<string, unknown>, [Bindings]>(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(work: () => T): T {
    if (this.#closed) throw new WeftError("unavailable", `store ${this.path}: it is closed`);
    try {
      return work();
    } catch (reason) {
      throw sqliteProblem(this.path, reason);
    }
  }
}
