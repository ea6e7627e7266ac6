/**
 * What a store is: SQLite, memory, and a SQLite database that follows a log in etcd or Redis. So every call is asynchronous, writing is
 * compare-and-set on revisions, and a watch can lose its place. A store keeps documents; it neither reads nor judges them.
 */

import type { AuditEvent, AuditPage, AuditRecord, RevisionsPage } from "../lib/audit.ts";

/** What a document is filed under. */
export interface ResourceId {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A JSON object as the user wrote it (apiVersion, kind, metadata, spec), without what the store adds. */
export type Document = Readonly<Record<string, unknown>>;

/** Where the document stood when it was applied: file, and the line of each part by dotted path (model/resource.ts, Source). */
export interface DocumentSource {
  readonly file: string;
  readonly lines: Readonly<Record<string, number>>;
}

export interface StoredResource extends ResourceId {
  readonly document: Document;
  readonly source: DocumentSource;
  /** UUID, new at each creation: a resource deleted and made again is another one. */
  readonly uid: string;
  /** The revision that wrote it last: its resourceVersion and ETag. */
  readonly revision: number;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface Put extends ResourceId {
  readonly document: Document;
  readonly source: DocumentSource;
  /** The revision it must have now: a number, "absent" (create only) or undefined (any). */
  readonly expect?: number | "absent";
}

export interface Delete extends ResourceId {
  readonly expect?: number;
}

/** Everything in it happens, or nothing. The same id may not occur twice (WeftError "invalid"). */
export interface Transaction {
  readonly puts: readonly Put[];
  readonly deletes: readonly Delete[];
  /** Who asks, for the history and the audit (lib/audit.ts): "uid 1000", "admin token", ... Never a secret. */
  readonly who: string;
  /** Through which door, for the audit; "weft" itself where absent. */
  readonly from?: string;
  /** W3C traceparent of the span that asks, so that other nodes' work for it is seen in the same trace. It is not kept. */
  readonly trace?: string;
}

/** A JSON object that weft keeps for itself, beside the resources: it has no revision, and no read of resources shows it. Never a secret in clear. */
export interface PrivateRecord {
  readonly id: string;
  readonly value: Document;
}

/** Everything in it happens, with its audit record, or nothing. */
export interface PrivateChange {
  /** "access-tokens", "revoked-workloads", ... */
  readonly collection: string;
  readonly puts: readonly PrivateRecord[];
  /** Ids; what is not there is no error. */
  readonly deletes: readonly string[];
  /** Ids that must be there before, so that only one of several who saw a record can use it up. Else WeftError "conflict", and nothing is changed. */
  readonly requires?: readonly string[];
  /** Ids that must not be there before, so that only one of several takes a name. Else WeftError "conflict", and nothing is changed. */
  readonly absent?: readonly string[];
  /** Records that must still be as they were read (undefined: not there), so that none of several who raise a number is lost. Else WeftError "conflict", and nothing is changed. */
  readonly expects?: readonly { readonly id: string; readonly value: Document | undefined }[];
  readonly audit: AuditEvent;
}

/** Bounds of AuditPage. */
export interface AuditFilter {
  /** Only records after this sequence number; 0 is from the start. */
  readonly after: number;
  /** At most so many. */
  readonly limit: number;
}

export interface Change extends ResourceId {
  readonly action: "created" | "updated" | "deleted" | "unchanged";
  /** The resource as it is now; for "deleted" as it was. */
  readonly resource: StoredResource;
}

export interface ApplyResult {
  /** The store's revision afterwards: one more than before, or the same when every change is "unchanged". */
  readonly revision: number;
  /** One for each put and delete, in their order. */
  readonly changes: readonly Change[];
}

/** One revision's changes, whole. */
export interface RevisionEvent {
  readonly type: "revision";
  readonly revision: number;
  /** Without the unchanged. */
  readonly changes: readonly Change[];
  /** Transaction.trace, where another node made the revision and it came just now. */
  readonly trace?: string;
}

/** The watch cannot go on from where it was (compacted, failed over): list again and start from there. It ends with this. */
export interface LostEvent {
  readonly type: "lost";
  readonly reason: string;
}

export interface HistoryEntry extends ResourceId {
  readonly revision: number;
  readonly action: "created" | "updated" | "deleted";
  readonly who: string;
  /** RFC 3339, UTC. */
  readonly at: string;
  /** The document as written; for "deleted" as it was. */
  readonly document: Document;
}

export interface Listing {
  /** The revision at which all of `resources` were read, in one snapshot. */
  readonly revision: number;
  /** Sorted by kind, namespace, name. */
  readonly resources: readonly StoredResource[];
}

/** Where the next page of a listing begins. */
export interface PagePlace {
  /** Of the whole listing. */
  readonly revision: number;
  /** The last resource of the page before. */
  readonly after: ResourceId;
}

export interface Page extends Listing {
  /** Absent on the last page. */
  readonly next?: PagePlace;
}

export interface ListFilter {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** How a store stands to the engine that it follows. */
export interface Standing {
  /** SharedLog.name. */
  readonly engine: string;
  /** Whether all that the engine has is here, as far as is known: it was heard of lately. */
  readonly inTouch: boolean;
  /** Milliseconds since the engine was last known to have nothing more than is here; undefined if that was never. */
  readonly behindMs: number | undefined;
  /** Why it is not in touch; undefined where it is. */
  readonly reason?: string;
  /** What the engine cannot promise, and writes of its that were lost: for the log, `weft check` and /readyz. */
  readonly warnings: readonly string[];
}

export interface Store {
  /** For people: "sqlite:/var/lib/weft/weft.db", "memory". */
  readonly name: string;
  list(filter?: ListFilter): Promise<Listing>;
  /**
   * At most `limit` resources (from 1) of a listing. All pages show one revision, that of the first, whatever is applied between them.
   * @throws WeftError "conflict" where the history does not reach back to that revision any more: list again from the start
   */
  listPage(filter: ListFilter, page: { readonly limit: number; readonly from?: PagePlace }): Promise<Page>;
  get(id: ResourceId): Promise<StoredResource | undefined>;
  /**
   * Commits `transaction`, durably, before it resolves. A put whose document equals the stored one (after canonical JSON) is
   * "unchanged"; if only its source differs, the source is refreshed without a new revision. The same commit holds its audit record, where
   * it changes anything.
   * @throws WeftError "conflict" (an `expect` fails), "not_found" (a delete of what is not there), "unavailable" (the store cannot write
   * now: full disk, read-only, ...; nothing was changed).
   */
  apply(transaction: Transaction): Promise<ApplyResult>;
  /**
   * Every revision after `since`, each once, in order, first those that are there and then those to come, until `signal` aborts (then
   * it ends quietly). A slow reader never loses one silently: it gets them late, or a LostEvent.
   */
  watch(since: number, signal: AbortSignal): AsyncIterable<RevisionEvent | LostEvent>;
  /** Newest first. */
  history(filter?: ListFilter & { readonly limit?: number; readonly since?: number }): Promise<readonly HistoryEntry[]>;
  /**
   * What changed in each revision after `after` whose history is kept, whole revisions, at most some 10,000 changes at a time; empty where there are
   * no more.
   */
  revisions(after: number): Promise<RevisionsPage>;
  /** Durably appends to the audit what is no change of a resource: a refusal, a token, a rotation. @throws WeftError "unavailable" */
  recordAudit(event: AuditEvent): Promise<AuditRecord>;
  /** Part of the audit, oldest first, with the ends of its chain, read in one snapshot. */
  readAudit(filter: AuditFilter): Promise<AuditPage>;
  /** Only of a store that follows an engine. */
  standing?(): Standing;
  /** Calls `listener` after each change of the collection, whoever made it, and after `standing` changes with "". @returns what ends it */
  onPrivate(listener: (collection: string) => void): () => void;
  /** Sorted by id. */
  readPrivate(collection: string): Promise<readonly PrivateRecord[]>;
  /** Durable when it resolves. @throws WeftError "conflict" (requires, absent, expects), "unavailable" */
  writePrivate(change: PrivateChange): Promise<void>;
  /** Proves that a write would be accepted now, by writing (health). @throws WeftError "unavailable" */
  checkWritable(): Promise<void>;
  close(): Promise<void>;
}
