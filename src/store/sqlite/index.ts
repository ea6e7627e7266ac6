/**
 * The store in one SQLite file: what is stored now, and a log of every revision. Documents are JSON as the user wrote them; keys, tokens
 * and certificates have no place here, for the log never forgets on demand.
 */
import type { AuditEvent, AuditRecord } from "../../lib/audit.ts";
import { WeftError } from "../../lib/errors.ts";
import type { Compactable } from "../history-limit.ts";
import { encodeTransaction } from "../plan.ts";
import type { ApplyResult, PrivateChange, Store, Transaction } from "../store.ts";
import { type Request, requestApply, requestAudit, requestCompact, requestPrivate, type Write } from "../write.ts";
import type { Connection } from "./connection.ts";
import { GroupCommit } from "./group-commit.ts";
import { checkWritable } from "./health.ts";
import { LocalRows, type SqliteStoreOptions } from "./local.ts";
import { openConnection, type Verified } from "./open.ts";
import { readPlace, removePlace, type StoredPlace } from "./place.ts";
import { viewOf, writeDown } from "./write.ts";

export type { SqliteStoreOptions } from "./local.ts";

/**
 * Opens, checks, migrates, and proves that it can write.
 * @throws WeftError "unavailable", naming the file and the mend: it is damaged, not a database, another program's, of a newer schema,
 * read-only, locked, or on a full disk; "conflict": it follows a shared log, and is not to be carried over. What is stored is unchanged then.
 */
export async function openSqliteStore(options: SqliteStoreOptions & { readonly carryOver?: boolean }): Promise<Store & Compactable> {
  const { connection, verified } = openConnection(options.path);
  try {
    const place = readPlace(connection);
    if (place && !options.carryOver) throw followsALog(options.path, place);
    if (options.maxPages !== undefined) connection.script(`PRAGMA max_page_count = ${Math.trunc(options.maxPages)}`);
    const store = new SqliteStore(connection, verified, options);
    await store.checkWritable();
    if (place) connection.write(() => removePlace(connection));
    return store;
  } catch (reason) {
    connection.close();
    throw reason;
  }
}

/** What was written without the log would be lost as soon as it is followed again. */
function followsALog(path: string, { engine }: StoredPlace): WeftError {
  return new WeftError("conflict", `store ${path}: it follows the log in ${engine}`, {
    help: "start weft with that --store; or, to give that engine up for good on this node, with --carry-over",
  });
}

class SqliteStore extends LocalRows implements Store, Compactable {
  readonly name: string;
  readonly #commits: GroupCommit;

  constructor(connection: Connection, verified: Verified, options: SqliteStoreOptions) {
    super(connection, verified, options);
    this.name = `sqlite:${options.path}`;
    this.#commits = new GroupCommit(connection);
  }

  async apply(transaction: Transaction): Promise<ApplyResult> {
    return this.#write(requestApply(encodeTransaction(transaction), undefined));
  }

  async compact(keepRevisions: number): Promise<void> {
    return this.#write(requestCompact(keepRevisions));
  }

  async recordAudit(event: AuditEvent): Promise<AuditRecord> {
    return this.#write(requestAudit(event));
  }

  async writePrivate(change: PrivateChange): Promise<void> {
    return this.#write(requestPrivate(change));
  }

  async checkWritable(): Promise<void> {
    checkWritable(this.connection, this.now());
  }

  async close(): Promise<void> {
    if (!this.connection.closed) this.#commits.flush();
    this.connection.close();
    this.wake();
  }

  async #write<Answer>({ plan, rows }: Request<Answer>): Promise<Answer> {
    const db = this.connection;
    this.writing();
    let written: Write | undefined;
    const answer = await this.#commits.write(() => {
      const { write, answer } = this.decode(() => plan(viewOf(db), { at: this.now(), newUid: this.newUid }));
      written = write;
      return answer(write && writeDown(db, write, this.limits));
    }, rows);
    if (written) this.wrote([written]);
    return answer;
  }
}
