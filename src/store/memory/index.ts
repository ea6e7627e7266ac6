/** A store that forgets: for tests, for `--store memory:`, and as the plainest statement of what a store does. */
import {
  type AuditEvent,
  type AuditMark,
  type AuditPage,
  type AuditRecord,
  chain,
  GENESIS,
  type RevisionsPage,
  type RevisionTargets,
  targetOf,
} from "../../lib/audit.ts";
import type { Clock } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import { follow, lostReason, Wakeups } from "../follow.ts";
import { AUDIT_LIMIT, type Compactable, DEFAULT_HISTORY_LIMIT, type HistoryLimit, MOST_CHANGES } from "../history-limit.ts";
import { aroundOf, checkReach, compareIds, compareText, pageOf, within } from "../page.ts";
import {
  encodeTransaction,
  idKey,
  type LogRow,
  planTransaction,
  type StoredRow,
  toHistoryEntry,
  toResource,
  toRevisionEvent,
} from "../plan.ts";
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

export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly historyLimit?: HistoryLimit;
  /** Records kept in the audit. */
  readonly auditLimit?: number;
  /** Default: random UUIDs. */
  readonly newUid?: () => string;
}

export function openMemoryStore(options: MemoryStoreOptions): Store & Compactable {
  return new MemoryStore(options);
}

class MemoryStore implements Store, Compactable {
  readonly name = "memory";
  readonly #clock: Clock;
  readonly #limit: HistoryLimit;
  readonly #auditLimit: number;
  readonly #newUid: () => string;
  readonly #rows = new Map<string, StoredRow>();
  /** One item a revision: revisions #compacted + 1 to #revision, with no gap. */
  #log: (readonly LogRow[])[] = [];
  #logBytes = 0;
  #revision = 0;
  #compacted = 0;
  #audit: AuditRecord[] = [];
  #auditAnchor: AuditMark = GENESIS;
  readonly #private = new Map<string, Map<string, string>>();
  #closed = false;
  readonly #wakeups = new Wakeups();
  readonly #listeners = new PrivateListeners();

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.#limit = options.historyLimit ?? DEFAULT_HISTORY_LIMIT;
    this.#auditLimit = options.auditLimit ?? AUDIT_LIMIT;
    this.#newUid = options.newUid ?? (() => crypto.randomUUID());
  }

  async list(filter: ListFilter = {}): Promise<Listing> {
    this.#checkOpen();
    const rows = [...this.#rows.values()].filter((row) => matches(row, filter)).sort(compareIds);
    return { revision: this.#revision, resources: rows.map(toResource) };
  }

  async listPage(filter: ListFilter, { limit, from }: { readonly limit: number; readonly from?: PagePlace }): Promise<Page> {
    this.#checkOpen();
    const revision = from?.revision ?? this.#revision;
    checkReach(revision, { revision: this.#revision, compacted: this.#compacted });
    const isWanted = (row: ResourceId) => matches(row, filter) && (!from || compareIds(row, from.after) > 0);
    const rows = [...this.#rows.values()].filter((row) => row.revision <= revision && isWanted(row)).sort(compareIds);
    const unchanged = rows.slice(0, limit + 1);
    const logs = (log: readonly (readonly LogRow[])[]) => log.flat().filter(({ row }) => isWanted(row) && within(unchanged, limit)(row));
    const known = revision - this.#compacted;
    return pageOf(revision, limit, unchanged, aroundOf(logs(this.#log.slice(0, known)), logs(this.#log.slice(known))));
  }

  async get(id: ResourceId): Promise<StoredResource | undefined> {
    this.#checkOpen();
    const row = this.#rows.get(idKey(id));
    return row && toResource(row);
  }

  async apply(transaction: Transaction): Promise<ApplyResult> {
    this.#checkOpen();
    const at = new Date(this.#clock.now()).toISOString();
    const stamp = { revision: this.#revision, at, newUid: this.#newUid };
    const plan = planTransaction(encodeTransaction(transaction), (id) => this.#rows.get(idKey(id)), stamp);
    for (const row of [...plan.written, ...plan.refreshed]) this.#rows.set(idKey(row), row);
    for (const row of plan.removed) this.#rows.delete(idKey(row));
    if (plan.log.length > 0) {
      this.#revision = plan.revision;
      this.#log.push(plan.log);
      this.#logBytes += sizeOf(plan.log);
      this.#trim(this.#limit);
      if (plan.audit) this.#record(plan.audit, at);
      this.#wakeups.wakeAll();
    }
    return { revision: plan.revision, changes: plan.changes };
  }

  watch(since: number, signal: AbortSignal): AsyncIterable<RevisionEvent | LostEvent> {
    return follow(since, signal, (after) => this.#next(after), this.#wakeups);
  }

  async history(filter: ListFilter & { readonly limit?: number; readonly since?: number } = {}): Promise<readonly HistoryEntry[]> {
    this.#checkOpen();
    const found = this.#log.slice(Math.max(0, (filter.since ?? 0) - this.#compacted)).toReversed();
    const rows = found.flat().filter(({ row }) => matches(row, filter));
    return rows.slice(0, filter.limit ?? rows.length).map(toHistoryEntry);
  }

  async compact(keepRevisions: number): Promise<void> {
    this.#checkOpen();
    this.#trim({ revisions: keepRevisions, bytes: Number.POSITIVE_INFINITY });
  }

  async revisions(after: number): Promise<RevisionsPage> {
    this.#checkOpen();
    const revisions: RevisionTargets[] = [];
    let count = 0;
    for (const [index, log] of this.#log.entries()) {
      const revision = this.#compacted + index + 1;
      if (revision <= after) continue;
      count += log.length;
      if (count > MOST_CHANGES && revisions.length > 0) break;
      revisions.push({ revision, targets: log.map(({ action, row }) => targetOf({ ...row, action })) });
    }
    return { revision: this.#revision, compacted: this.#compacted, revisions };
  }

  async recordAudit(event: AuditEvent): Promise<AuditRecord> {
    this.#checkOpen();
    return this.#record(event, new Date(this.#clock.now()).toISOString());
  }

  async readAudit({ after, limit }: AuditFilter): Promise<AuditPage> {
    this.#checkOpen();
    const records = this.#audit.filter((record) => record.sequence > after).slice(0, limit);
    return { head: this.#auditHead(), anchor: this.#auditAnchor, records };
  }

  async readPrivate(collection: string): Promise<readonly PrivateRecord[]> {
    this.#checkOpen();
    const records = [...(this.#private.get(collection) ?? [])].sort(([a], [b]) => compareText(a, b));
    return records.map(([id, value]) => ({ id, value: JSON.parse(value) }));
  }

  onPrivate(listener: (collection: string) => void): () => void {
    return this.#listeners.add(listener);
  }

  async writePrivate(change: PrivateChange): Promise<void> {
    this.#checkOpen();
    const { collection, puts, deletes, audit } = change;
    const records = this.#private.get(collection) ?? new Map<string, string>();
    checkRequired(change, (id) => records.get(id));
    this.#private.set(collection, records);
    for (const id of deletes) records.delete(id);
    for (const { id, value } of puts) records.set(id, JSON.stringify(value));
    this.#record(audit, new Date(this.#clock.now()).toISOString());
    this.#listeners.tell(collection);
  }

  async checkWritable(): Promise<void> {
    this.#checkOpen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeups.wakeAll();
  }

  #next(after: number): RevisionEvent | LostEvent | undefined {
    if (this.#closed) return { type: "lost", reason: "the store was closed" };
    const lost = lostReason(after, { revision: this.#revision, compacted: this.#compacted });
    if (lost) return lost;
    const log = this.#log[after - this.#compacted];
    return log && toRevisionEvent(after + 1, log);
  }

  #auditHead(): AuditMark {
    const { sequence, hash } = this.#audit.at(-1) ?? this.#auditAnchor;
    return { sequence, hash };
  }

  #record(event: AuditEvent, at: string): AuditRecord {
    const record = chain(this.#auditHead(), event, at, this.#revision);
    this.#audit.push(record);
    for (const { sequence, hash } of this.#audit.splice(0, this.#audit.length - this.#auditLimit)) this.#auditAnchor = { sequence, hash };
    return record;
  }

  #trim(limit: HistoryLimit): void {
    let drop = Math.max(0, this.#log.length - Math.max(1, limit.revisions));
    let bytes = this.#logBytes - this.#log.slice(0, drop).reduce((sum, log) => sum + sizeOf(log), 0);
    while (bytes > limit.bytes && drop < this.#log.length - 1) bytes -= sizeOf(this.#log[drop++] ?? []);
    if (drop === 0) return;
    this.#log = this.#log.slice(drop);
    this.#logBytes = bytes;
    this.#compacted += drop;
  }

  #checkOpen(): void {
    if (this.#closed) throw new WeftError("unavailable", "the store is closed");
  }
}

function sizeOf(log: readonly LogRow[]): number {
  return log.reduce((sum, { row }) => sum + Buffer.byteLength(row.document) + Buffer.byteLength(row.source), 0);
}

function matches(row: ResourceId, filter: ListFilter): boolean {
  return (
    (filter.kind === undefined || filter.kind === row.kind) &&
    (filter.namespace === undefined || filter.namespace === row.namespace) &&
    (filter.name === undefined || filter.name === row.name)
  );
}
