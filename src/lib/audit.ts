/**
 * The audit's records and their chain: each holds the hash of the one before, so that a record that was changed, dropped or slipped in
 * breaks every hash after it. The chain proves that the log is whole from its first kept record to its head; who could rewrite the whole file
 * could make a new chain, so note a head elsewhere now and then (`weft audit --head`) and verify against it (`weft audit --verify --expect`).
 */
import { sha256 } from "./hash.ts";

/** What happened, as the one who saw it tells it. No text in it is ever a secret. */
export interface AuditEvent {
  /** "uid 1000", "admin token ci (editor: shop)", "spiffe://mesh.local/ns/ops/sa/deployer", "weft", "unknown". */
  readonly who: string;
  /** The door and the peer: "admin.sock", "admin 127.0.0.1", "ads 127.0.0.1". */
  readonly from: string;
  /** In lower case: "apply", "delete", "issue-token", "rotate-ca", ... */
  readonly action: string;
  readonly outcome: "done" | "refused";
  /** What it was done to: "VirtualService shop/orders updated", "workload shop/orders-1". */
  readonly targets: readonly string[];
  /** Of a refusal: the error's code and message. */
  readonly reason?: string;
  /** How many like it this record stands for, where it is more than one. */
  readonly count?: number;
}

export interface AuditRecord extends AuditEvent {
  /** From 1, without a gap. */
  readonly sequence: number;
  /** RFC 3339, UTC. */
  readonly at: string;
  /** The store's revision afterwards. */
  readonly revision: number;
  /** The `hash` of the record before; of the first, 64 zeros. */
  readonly previous: string;
  /** SHA-256, hex. */
  readonly hash: string;
}

/** A place in the chain. */
export interface AuditMark {
  readonly sequence: number;
  readonly hash: string;
}

/** Part of the log, oldest first. */
export interface AuditPage {
  /** The newest record of the log; sequence 0 while there is none. */
  readonly head: AuditMark;
  /** The newest record that was dropped to keep the log within its bound; sequence 0 while none was. */
  readonly anchor: AuditMark;
  readonly records: readonly AuditRecord[];
}

/** What the store's history says of revisions, in the words of the audit: both were written in the same commit, so they must say the same. */
export interface RevisionsPage {
  /** The store's, now. */
  readonly revision: number;
  /** The newest revision whose history was dropped to keep it within its bound; 0 while none was. What comes after it is there without a gap. */
  readonly compacted: number;
  /** In their order. */
  readonly revisions: readonly RevisionTargets[];
}

export interface RevisionTargets {
  readonly revision: number;
  /** As AuditEvent's. */
  readonly targets: readonly string[];
}

/** "VirtualService shop/orders updated": a change, in the words of the audit. */
export function targetOf({
  kind,
  namespace,
  name,
  action,
}: {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly action: string;
}): string {
  return `${kind} ${namespace}/${name} ${action}`;
}

export const GENESIS: AuditMark = { sequence: 0, hash: "0".repeat(64) };

/** @param at RFC 3339, UTC */
export function chain(previous: AuditMark, event: AuditEvent, at: string, revision: number): AuditRecord {
  const { who, from, action, outcome, targets, reason, count } = event;
  const content = {
    who,
    from,
    action,
    outcome,
    targets,
    ...(reason === undefined ? {} : { reason }),
    ...(count === undefined ? {} : { count }),
  };
  const record = { ...content, sequence: previous.sequence + 1, at, revision, previous: previous.hash };
  return { ...record, hash: hashOf(record) };
}

/** A list, not an object: the order of the fields is part of what is hashed. */
function hashOf(record: Omit<AuditRecord, "hash">): string {
  const { sequence, at, revision, previous, who, from, action, outcome, targets, reason, count } = record;
  return sha256(JSON.stringify([previous, sequence, at, revision, who, from, action, outcome, targets, reason ?? null, count ?? null]));
}

/** Checks a log page by page, oldest first, without holding it. */
export class ChainVerifier {
  #last: AuditMark;
  #revision = 0;

  constructor(anchor: AuditMark) {
    this.#last = anchor;
  }

  /** The newest record that was found good. */
  get last(): AuditMark {
    return this.#last;
  }

  /** What is wrong with `record`, which must follow the last one; undefined where it is good. */
  take(record: AuditRecord): string | undefined {
    const { sequence, revision } = record;
    const expected = this.#last.sequence + 1;
    if (sequence !== expected) return `record ${expected} is missing: record ${sequence} comes in its place`;
    if (record.previous !== this.#last.hash) return `record ${sequence} does not follow the record before it: one of the two was replaced`;
    if (hashOf(record) !== record.hash) return `record ${sequence} is not what was recorded`;
    if (revision < this.#revision) return `record ${sequence} is of revision ${revision}, after one of revision ${this.#revision}`;
    this.#last = { sequence, hash: record.hash };
    this.#revision = revision;
    return undefined;
  }
}
