/** What every store over a SQLite file has: its rows, read; and how a write, once planned, gets into it. */
import type { AuditPage, RevisionsPage } from "../../lib/audit.ts";
import type { Clock } from "../../lib/clock.ts";
import { follow, lostReason, Wakeups } from "../follow.ts";
import { AUDIT_LIMIT, DEFAULT_HISTORY_LIMIT, type HistoryLimit, MOST_CHANGES } from "../history-limit.ts";
import { type Around, checkReach, pageOf, within } from "../page.ts";
import { type StoredRow, toHistoryEntry, toResource, toRevisionEvent } from "../plan.ts";
import { PrivateListeners } from "../private.ts";
import type {
  AuditFilter,
  HistoryEntry,
  ListFilter,
  Listing,
  LostEvent,
  Page,
  PagePlace,
  PrivateRecord,
  ResourceId,
  RevisionEvent,
  StoredResource,
} from "../store.ts";
import type { Write } from "../write.ts";
import { readAudit } from "./audit.ts";
import type { Connection } from "./connection.ts";
import { damaged } from "./errors.ts";
import type { Verified } from "./open.ts";
import {
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
} from "./rows.ts";
import type { Limits } from "./write.ts";

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

/** How many of the newest revisions the trace of is remembered. */
const TRACES = 256;

export abstract class LocalRows {
  protected readonly connection: Connection;
  protected readonly clock: Clock;
  protected readonly limits: Limits;
  protected readonly newUid: () => string;
  protected readonly listeners = new PrivateListeners();
  readonly #wakeups = new Wakeups();
  readonly #traces = new Map<number, string>();
  /** One more each time that the rows became others without a history that leads there. */
  #generation = 0;
  /** What opening has read of the resources, for the first listing; no longer than nothing is written. */
  #verified: Verified | undefined;

  constructor(connection: Connection, verified: Verified, options: Omit<SqliteStoreOptions, "path" | "maxPages">) {
    this.connection = connection;
    this.#verified = verified;
    this.clock = options.clock;
    this.limits = { history: options.historyLimit ?? DEFAULT_HISTORY_LIMIT, audit: options.auditLimit ?? AUDIT_LIMIT };
    this.newUid = options.newUid ?? (() => crypto.randomUUID());
  }

  async list(filter: ListFilter = {}): Promise<Listing> {
    const db = this.connection;
    const { revision, rows } = db.read(() => ({
      revision: readMeta(db).revision,
      rows: this.#takeVerified(filter) ?? readResources(db, filter),
    }));
    return { revision, resources: this.decode(() => rows.map(toResource)) };
  }

  #takeVerified(filter: ListFilter): readonly StoredRow[] | undefined {
    if (!this.#verified || Object.values(filter).some((value) => value !== undefined)) return undefined;
    const { rows, dataVersion } = this.#verified;
    this.#verified = undefined;
    return dataVersion === readDataVersion(this.connection) ? rows : undefined;
  }

  async listPage(filter: ListFilter, { limit, from }: { readonly limit: number; readonly from?: PagePlace }): Promise<Page> {
    const db = this.connection;
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
      return this.decode(() => pageOf(revision, limit, unchanged, around));
    });
  }

  async get(id: ResourceId): Promise<StoredResource | undefined> {
    const row = readResource(this.connection, id);
    return row && this.decode(() => toResource(row));
  }

  watch(since: number, signal: AbortSignal): AsyncIterable<RevisionEvent | LostEvent> {
    const generation = this.#generation;
    return follow(since, signal, (after) => this.#next(after, generation), this.#wakeups);
  }

  async history(filter: ListFilter & { readonly limit?: number; readonly since?: number } = {}): Promise<readonly HistoryEntry[]> {
    return this.decode(() => readHistory(this.connection, filter).map(toHistoryEntry));
  }

  async revisions(after: number): Promise<RevisionsPage> {
    const db = this.connection;
    return this.decode(() =>
      db.read(() => {
        const { revision, compacted } = readMeta(db);
        return { revision, compacted, revisions: readTargets(db, after, MOST_CHANGES) };
      }),
    );
  }

  async readAudit(filter: AuditFilter): Promise<AuditPage> {
    const db = this.connection;
    return this.decode(() => db.read(() => readAudit(db, filter)));
  }

  async readPrivate(collection: string): Promise<readonly PrivateRecord[]> {
    const sql = "SELECT id, value FROM private WHERE collection = $collection ORDER BY id";
    const rows = this.connection.all<{ id: string; value: string }>(sql, { collection });
    return this.decode(() => rows.map(({ id, value }) => ({ id, value: JSON.parse(value) })));
  }

  onPrivate(listener: (collection: string) => void): () => void {
    return this.listeners.add(listener);
  }

  /** Before rows are written. */
  protected writing(): void {
    this.#verified = undefined;
  }

  /** Tells watchers and listeners of what is committed now. */
  protected wrote(writes: readonly Write[]): void {
    for (const write of writes) {
      if (write.type === "private") this.listeners.tell(write.collection);
    }
    if (writes.some((write) => write.type === "resources" && write.changes.length > 0)) this.#wakeups.wakeAll();
  }

  /** The trace that a revision of another node's belongs to, for those who watch. */
  protected traced(revision: number, trace: string): void {
    this.#traces.set(revision, trace);
    this.#traces.delete(revision - TRACES);
  }

  /** The rows were replaced: whoever watches must list again. Not from a microtask, so that nobody is between his listing and his watch. */
  protected replaced(): void {
    this.#generation += 1;
    this.#traces.clear();
    this.#wakeups.wakeAll();
  }

  /** Watchers look again. */
  protected wake(): void {
    this.#wakeups.wakeAll();
  }

  protected now(): string {
    return new Date(this.clock.now()).toISOString();
  }

  /** JSON that was stored and no longer parses was damaged while the store was open. */
  protected decode<T>(work: () => T): T {
    try {
      return work();
    } catch (reason) {
      if (reason instanceof SyntaxError) throw damaged(this.connection.path, `a document is not readable: ${reason.message}`);
      throw reason;
    }
  }

  #next(after: number, generation: number): RevisionEvent | LostEvent | undefined {
    const db = this.connection;
    if (db.closed) return { type: "lost", reason: "the store was closed" };
    if (generation !== this.#generation) return { type: "lost", reason: "the rows were replaced by those of the engine: list again" };
    return db.read(() => {
      const lost = lostReason(after, readMeta(db));
      if (lost) return lost;
      const log = readNextRevision(db, after);
      const first = log[0];
      const trace = first && this.#traces.get(first.revision);
      return first && this.decode(() => ({ ...toRevisionEvent(first.revision, log), ...(trace !== undefined && { trace }) }));
    });
  }
}
