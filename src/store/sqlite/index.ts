/**
 * The store in one SQLite file: what is stored now, and a log of every revision. Documents are JSON as the user wrote them; keys, tokens
 * and certificates have no place here, for the log never forgets on demand.
 */
import type { AuditEvent, AuditPage, AuditRecord, RevisionsPage } from "../../lib/audit.ts";
import type { Clock } from "../../lib/clock.ts";
import { follow, lostReason, Wakeups } from "../follow.ts";
import { AUDIT_LIMIT, type Compactable, DEFAULT_HISTORY_LIMIT, type HistoryLimit, MOST_CHANGES } from "../history-limit.ts";
import { type Around, checkReach, pageOf, within } from "../page.ts";
import { encodeTransaction, type Plan, planTransaction, type StoredRow, toHistoryEntry, toResource, toRevisionEvent } from "../plan.ts";
import { checkRequired, PrivateListeners } from "../private.ts";
import type {
  ApplyResult,
  AuditFilter,
  HistoryEntry,
  ListFilter,
  Listing,
  LostEvent,
  Page,
  PagePlace,
  PrivateChange,
  PrivateRecord,
  ResourceId,
  RevisionEvent,
  Store,
  StoredResource,
  Transaction,
} from "../store.ts";
import { appendAudit, readAudit } from "./audit.ts";
import type { Connection } from "./connection.ts";
import { damaged } from "./errors.ts";
import { GroupCommit } from "./group-commit.ts";
import { checkWritable } from "./health.ts";
import { openConnection, type Verified } from "./open.ts";
import {
  dropHistory,
  type Meta,
  readAround,
  readChangedIds,
  readDataVersion,
  readHistory,
  readMeta,
  readNextRevision,
  readResource,
  readResources,
  readTargets,
  readUnchanged,
  removeResource,
  writeLog,
  writeMeta,
  writeResource,
} from "./rows.ts";

export interface SqliteStoreOptions {
  /** Of the database file; it and its directory are made where missing. Two files, -wal and -shm, stand beside it while it is open. */
  readonly path: string;
  readonly clock: Clock;
  readonly historyLimit?: HistoryLimit;
  /** Records kept in the audit. */
  readonly auditLimit?: number;
  /** Upper bound on the file's size, in pages of 4 KiB; none unless given. */
  readonly maxPages?: number;
  /** Default: random UUIDs. */
  readonly newUid?: () => string;
}

/**
 * Opens, checks, migrates, and proves that it can write.
 * @throws WeftError "unavailable", naming the file and the mend: it is damaged, not a database, another program's, of a newer schema,
 * read-only, locked, or on a full disk. What is stored is unchanged then.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store & Compactable> {
  const { connection, verified } = openConnection(options.path);
  try {
    if (options.maxPages !== undefined) connection.script(`PRAGMA max_page_count = ${Math.trunc(options.maxPages)}`);
    const store = new SqliteStore(connection, verified, options);
    await store.checkWritable();
    return store;
  } catch (reason) {
    connection.close();
    throw reason;
  }
}

class SqliteStore implements Store, Compactable {
  readonly name: string;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #limit: HistoryLimit;
  readonly #auditLimit: number;
  readonly #newUid: () => string;
  readonly #wakeups = new Wakeups();
  readonly #commits: GroupCommit;
  readonly #listeners = new PrivateListeners();

  /** What opening has read of the resources, for the first listing; no longer than nothing is written. */
  #verified: Verified | undefined;

  constructor(connection: Connection, verified: Verified, options: SqliteStoreOptions) {
    this.name = `sqlite:${options.path}`;
    this.#connection = connection;
    this.#verified = verified;
    this.#commits = new GroupCommit(connection);
    this.#clock = options.clock;
    this.#limit = options.historyLimit ?? DEFAULT_HISTORY_LIMIT;
    this.#auditLimit = options.auditLimit ?? AUDIT_LIMIT;
    this.#newUid = options.newUid ?? (() => crypto.randomUUID());
  }

  async list(filter: ListFilter = {}): Promise<Listing> {
    const db = this.#connection;
    const { revision, rows } = db.read(() => ({
      revision: readMeta(db).revision,
      rows: this.#takeVerified(filter) ?? readResources(db, filter),
    }));
    return { revision, resources: this.#decode(() => rows.map(toResource)) };
  }

  #takeVerified(filter: ListFilter): readonly StoredRow[] | undefined {
    if (!this.#verified || Object.values(filter).some((value) => value !== undefined)) return undefined;
    const { rows, dataVersion } = this.#verified;
    this.#verified = undefined;
    return dataVersion === readDataVersion(this.#connection) ? rows : undefined;
  }

  async listPage(filter: ListFilter, { limit, from }: { readonly limit: number; readonly from?: PagePlace }): Promise<Page> {
    const db = this.#connection;
    return db.read(() => {
      const meta = readMeta(db);
      const { revision, after } = from ?? { revision: meta.revision };
      checkReach(revision, meta);
      const unchanged = readUnchanged(db, filter, { revision, after, limit: limit + 1 });
      const changed = revision === meta.revision ? [] : readChangedIds(db, filter, revision, after).filter(within(unchanged, limit));
      const around: Around[] = [];
      // Of those that were there then, no more than fit can be on the page.
      let there = 0;
      for (const id of changed) {
        if (there > limit) break;
        const { first, last } = readAround(db, id, revision);
        if (!first) continue;
        around.push({ id, first, last });
        if (last ? last.action !== "deleted" : first.action !== "created") there += 1;
      }
      return this.#decode(() => pageOf(revision, limit, unchanged, around));
    });
  }

  async get(id: ResourceId): Promise<StoredResource | undefined> {
    const row = readResource(this.#connection, id);
    return row && this.#decode(() => toResource(row));
  }

  async apply(transaction: Transaction): Promise<ApplyResult> {
    const db = this.#connection;
    const encoded = encodeTransaction(transaction);
    this.#verified = undefined;
    const plan = await this.#commits.write(() => {
      const at = this.#now();
      const meta = readMeta(db);
      const stamp = { revision: meta.revision, at, newUid: this.#newUid };
      const made = this.#decode(() => planTransaction(encoded, (id) => readResource(db, id), stamp));
      this.#write(made, meta);
      if (made.audit) appendAudit(db, made.audit, { at, revision: made.revision, limit: this.#auditLimit });
      return made;
    }, transaction.puts.length + transaction.deletes.length);
    if (plan.log.length > 0) this.#wakeups.wakeAll();
    return { revision: plan.revision, changes: plan.changes };
  }

  watch(since: number, signal: AbortSignal): AsyncIterable<RevisionEvent | LostEvent> {
    return follow(since, signal, (after) => this.#next(after), this.#wakeups);
  }

  async history(filter: ListFilter & { readonly limit?: number; readonly since?: number } = {}): Promise<readonly HistoryEntry[]> {
    return this.#decode(() => readHistory(this.#connection, filter).map(toHistoryEntry));
  }

  async compact(keepRevisions: number): Promise<void> {
    const db = this.#connection;
    await this.#commits.write(() => {
      const meta = readMeta(db);
      writeMeta(db, this.#trim(meta, { revisions: keepRevisions, bytes: Number.POSITIVE_INFINITY }));
    });
  }

  async revisions(after: number): Promise<RevisionsPage> {
    const db = this.#connection;
    return this.#decode(() =>
      db.read(() => {
        const { revision, compacted } = readMeta(db);
        return { revision, compacted, revisions: readTargets(db, after, MOST_CHANGES) };
      }),
    );
  }

  async recordAudit(event: AuditEvent): Promise<AuditRecord> {
    const db = this.#connection;
    return this.#commits.write(() => appendAudit(db, event, { at: this.#now(), revision: readMeta(db).revision, limit: this.#auditLimit }));
  }

  async readAudit(filter: AuditFilter): Promise<AuditPage> {
    const db = this.#connection;
    return this.#decode(() => db.read(() => readAudit(db, filter)));
  }

  async readPrivate(collection: string): Promise<readonly PrivateRecord[]> {
    const sql = "SELECT id, value FROM private WHERE collection = $collection ORDER BY id";
    const rows = this.#connection.all<{ id: string; value: string }>(sql, { collection });
    return this.#decode(() => rows.map(({ id, value }) => ({ id, value: JSON.parse(value) })));
  }

  onPrivate(listener: (collection: string) => void): () => void {
    return this.#listeners.add(listener);
  }

  async writePrivate({ collection, puts, deletes, requires, audit }: PrivateChange): Promise<void> {
    const db = this.#connection;
    await this.#commits.write(() => {
      const one = "SELECT id FROM private WHERE collection = $collection AND id = $id";
      checkRequired(collection, requires, (id) => db.get(one, { collection, id }) !== undefined);
      for (const id of deletes) db.run("DELETE FROM private WHERE collection = $collection AND id = $id", { collection, id });
      for (const { id, value } of puts) {
        db.run("INSERT OR REPLACE INTO private VALUES ($collection, $id, $value)", { collection, id, value: JSON.stringify(value) });
      }
      appendAudit(db, audit, { at: this.#now(), revision: readMeta(db).revision, limit: this.#auditLimit });
    }, puts.length + deletes.length);
    this.#listeners.tell(collection);
  }

  async checkWritable(): Promise<void> {
    checkWritable(this.#connection, this.#now());
  }

  async close(): Promise<void> {
    if (!this.#connection.closed) this.#commits.flush();
    this.#connection.close();
    this.#wakeups.wakeAll();
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
  }

  #next(after: number): RevisionEvent | LostEvent | undefined {
    const db = this.#connection;
    if (db.closed) return { type: "lost", reason: "the store was closed" };
    return db.read(() => {
      const lost = lostReason(after, readMeta(db));
      if (lost) return lost;
      const log = readNextRevision(db, after);
      const first = log[0];
      return first && this.#decode(() => toRevisionEvent(first.revision, log));
    });
  }

  /** JSON that was stored and no longer parses was damaged while the store was open. */
  #decode<T>(work: () => T): T {
    try {
      return work();
    } catch (reason) {
      if (reason instanceof SyntaxError) throw damaged(this.#connection.path, `a document is not readable: ${reason.message}`);
      throw reason;
    }
  }

  #write(plan: Plan, meta: Meta): void {
    const db = this.#connection;
    for (const row of [...plan.written, ...plan.refreshed]) writeResource(db, row);
    for (const row of plan.removed) removeResource(db, row);
    if (plan.log.length === 0) return;
    const bytes = plan.log.reduce((sum, log) => sum + writeLog(db, log), 0);
    writeMeta(db, this.#trim({ ...meta, revision: plan.revision, historyBytes: meta.historyBytes + bytes }, this.#limit));
  }

  /** Drops the oldest revisions over `limit`: at most one a write in the long run, so no write pays for many others. */
  #trim(meta: Meta, limit: HistoryLimit): Meta {
    const db = this.#connection;
    let { compacted, historyBytes } = meta;
    const drop = (through: number) => {
      historyBytes -= dropHistory(db, through);
      compacted = through;
    };
    const oldestKept = meta.revision - Math.max(1, limit.revisions);
    if (oldestKept > compacted) drop(oldestKept);
    while (historyBytes > limit.bytes && compacted + 1 < meta.revision) drop(compacted + 1);
    return { revision: meta.revision, compacted, historyBytes };
  }
}
