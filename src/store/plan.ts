/**
 * What a transaction does, decided without I/O, so that every backend decides alike: it looks the current rows up, asks for a plan, and
 * writes the plan down in one transaction of its own.
 */
import { type AuditEvent, targetOf } from "../lib/audit.ts";
import { WeftError } from "../lib/errors.ts";
import { sha256 } from "../lib/hash.ts";
import { canonicalJson } from "./canonical.ts";
import type { Change, Document, DocumentSource, HistoryEntry, ResourceId, RevisionEvent, StoredResource, Transaction } from "./store.ts";

/** A stored resource with its JSON still as text. */
export interface StoredRow extends ResourceId {
  /** JSON, keys in the user's order. */
  readonly document: string;
  /** SHA-256 over the canonical document: equal means "unchanged". */
  readonly hash: string;
  /** Canonical JSON. */
  readonly source: string;
  readonly uid: string;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** One line of the history: `row` as it is after the change, or for "deleted" as it was before. */
export interface LogRow {
  readonly revision: number;
  /** Place within the revision, from 0. */
  readonly sequence: number;
  readonly action: "created" | "updated" | "deleted";
  readonly who: string;
  readonly at: string;
  readonly row: StoredRow;
}

interface EncodedPut extends ResourceId {
  readonly document: string;
  readonly hash: string;
  readonly source: string;
  readonly expect?: number | "absent";
}

/** A transaction whose ids and documents were checked and turned into text, outside of any lock. */
export interface EncodedTransaction {
  readonly puts: readonly EncodedPut[];
  readonly deletes: Transaction["deletes"];
  readonly who: string;
  readonly from: string;
}

export interface Plan {
  /** The store's revision afterwards. */
  readonly revision: number;
  readonly changes: readonly Change[];
  /** Rows to write, created or updated. */
  readonly written: readonly StoredRow[];
  /** Rows of which only the source is new. */
  readonly refreshed: readonly StoredRow[];
  readonly removed: readonly StoredRow[];
  readonly log: readonly LogRow[];
  /** What the audit says of it; absent where nothing changes. */
  readonly audit?: AuditEvent;
}

/** Identifies a row in a backend's maps. */
export function idKey(id: ResourceId): string {
  return `${id.kind}/${id.namespace}/${id.name}`;
}

/** @throws WeftError "invalid": an id that is empty or twice in the transaction, or a document that is not JSON. */
export function encodeTransaction(transaction: Transaction): EncodedTransaction {
  const seen = new Set<string>();
  for (const id of [...transaction.puts, ...transaction.deletes]) {
    checkId(id);
    const key = idKey(id);
    if (seen.has(key)) {
      throw new WeftError("invalid", `${key} occurs twice in one transaction`, { help: "keep one of the two documents" });
    }
    seen.add(key);
  }
  const puts = transaction.puts.map((put) => {
    const { kind, namespace, name, expect } = put;
    const hash = sha256(canonicalJson(put.document));
    return { kind, namespace, name, expect, hash, document: JSON.stringify(put.document), source: canonicalJson(put.source) };
  });
  return { puts, deletes: transaction.deletes, who: transaction.who, from: transaction.from ?? "weft" };
}

/** A slash would let two ids share a key; a NUL or half a surrogate pair would not come back from a database as it went in. */
function checkId(id: ResourceId): void {
  for (const part of ["kind", "namespace", "name"] as const) {
    const text = id[part];
    if (text === "" || text.includes("/") || text.includes("\0") || !text.isWellFormed()) {
      throw new WeftError("invalid", `${part} ${JSON.stringify(text)} cannot be stored`, {
        help: "it must not be empty, and must hold no slash, NUL or unpaired surrogate",
      });
    }
  }
}

/**
 * Compares each put and delete with what is there.
 * @param current the row under an id now
 * @param stamp the store's revision now, the time (RFC 3339), and a maker of UUIDs
 * @throws WeftError "conflict" (an `expect` fails), "not_found" (a delete of what is not there)
 */
export function planTransaction(
  transaction: EncodedTransaction,
  current: (id: ResourceId) => StoredRow | undefined,
  stamp: { readonly revision: number; readonly at: string; readonly newUid: () => string },
): Plan {
  const next = stamp.revision + 1;
  const changes: Change[] = [];
  const written: StoredRow[] = [];
  const refreshed: StoredRow[] = [];
  const removed: StoredRow[] = [];
  const log: LogRow[] = [];
  const record = (action: LogRow["action"], row: StoredRow) => {
    log.push({ revision: next, sequence: log.length, action, who: transaction.who, at: stamp.at, row });
    changes.push(toChange(action, row));
  };

  for (const put of transaction.puts) {
    const { expect, ...content } = put;
    const old = current(put);
    checkExpect(put, expect, old);
    if (old === undefined) {
      const row = { ...content, uid: stamp.newUid(), revision: next, createdAt: stamp.at, updatedAt: stamp.at };
      written.push(row);
      record("created", row);
    } else if (old.hash !== put.hash) {
      const row = { ...content, uid: old.uid, revision: next, createdAt: old.createdAt, updatedAt: stamp.at };
      written.push(row);
      record("updated", row);
    } else {
      const row = { ...old, source: put.source };
      if (old.source !== put.source) refreshed.push(row);
      changes.push(toChange("unchanged", row));
    }
  }
  for (const id of transaction.deletes) {
    const old = current(id);
    if (old === undefined) throw new WeftError("not_found", `there is no ${idKey(id)} to delete`);
    checkExpect(id, id.expect, old);
    removed.push(old);
    record("deleted", old);
  }
  const plan = { changes, written, refreshed, removed, log };
  return log.length > 0 ? { ...plan, revision: next, audit: auditOf(transaction, log) } : { ...plan, revision: stamp.revision };
}

function auditOf({ puts, who, from }: EncodedTransaction, log: readonly LogRow[]): AuditEvent {
  const targets = log.map(({ action, row }) => targetOf({ ...row, action }));
  return { who, from, action: puts.length > 0 ? "apply" : "delete", outcome: "done", targets };
}

function checkExpect(id: ResourceId, expect: number | "absent" | undefined, old: StoredRow | undefined): void {
  if (expect === undefined || (expect === "absent" ? old === undefined : old?.revision === expect)) return;
  const is = old === undefined ? "does not exist" : expect === "absent" ? "exists already" : `is at revision ${old.revision}`;
  const wanted = expect === "absent" ? "it to be absent" : `revision ${expect}`;
  throw new WeftError("conflict", `${idKey(id)} ${is}, but the change expects ${wanted}; nothing was changed`, {
    help: "read it again, and make the change on what is there now",
  });
}

export function toResource(row: StoredRow): StoredResource {
  const { kind, namespace, name, uid, revision, createdAt, updatedAt } = row;
  const document = JSON.parse(row.document) as Document;
  const source = JSON.parse(row.source) as DocumentSource;
  return { kind, namespace, name, document, source, uid, revision, createdAt, updatedAt };
}

function toChange(action: Change["action"], row: StoredRow): Change {
  return { kind: row.kind, namespace: row.namespace, name: row.name, action, resource: toResource(row) };
}

/** The event that a watch gives for one revision, from all of its log rows in order. */
export function toRevisionEvent(revision: number, log: readonly LogRow[]): RevisionEvent {
  return { type: "revision", revision, changes: log.map(({ action, row }) => toChange(action, row)) };
}

export function toHistoryEntry(log: LogRow): HistoryEntry {
  const { kind, namespace, name } = log.row;
  const document = JSON.parse(log.row.document) as Document;
  return { kind, namespace, name, revision: log.revision, action: log.action, who: log.who, at: log.at, document };
}
