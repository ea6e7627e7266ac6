/**
 * A write, as planning leaves it and before any database has it: with its final revision, uids and times, as JSON, so that every node that
 * writes it down holds the same afterwards.
 */
import type { AuditEvent, AuditRecord } from "../lib/audit.ts";
import { WeftError } from "../lib/errors.ts";
import { type EncodedTransaction, idKey, type Plan, planTransaction, type StoredRow } from "./plan.ts";
import { checkRequired } from "./private.ts";
import type { ApplyResult, PrivateChange, ResourceId } from "./store.ts";

/** A row that was written, without what the write itself says: its revision, and when. */
export type WrittenRow = Omit<StoredRow, "revision" | "updatedAt">;

/** A row that was there, by what must be there now too. */
export interface FormerRow extends ResourceId {
  readonly uid: string;
  readonly revision: number;
}

export type RowChange =
  | { readonly action: "created" | "updated"; readonly row: WrittenRow }
  | { readonly action: "deleted"; readonly row: FormerRow };

export type Write =
  | {
      readonly type: "resources";
      /** RFC 3339, UTC; as in the others. */
      readonly at: string;
      readonly who: string;
      /** The revision afterwards: one more than before where there are changes. */
      readonly revision: number;
      readonly changes: readonly RowChange[];
      /** Rows of which only the source is new: canonical JSON. */
      readonly refreshed: readonly (FormerRow & { readonly source: string })[];
      /** Where there are changes. */
      readonly audit?: AuditEvent;
      /** Transaction.trace. */
      readonly trace?: string;
    }
  | {
      readonly type: "private";
      readonly at: string;
      readonly collection: string;
      /** Values as JSON. */
      readonly puts: readonly { readonly id: string; readonly value: string }[];
      readonly deletes: readonly string[];
      readonly audit: AuditEvent;
    }
  | { readonly type: "audit"; readonly at: string; readonly audit: AuditEvent }
  /** The history up to this revision is dropped. */
  | { readonly type: "compact"; readonly at: string; readonly through: number };

/** What is looked at to plan a write. */
export interface View {
  readonly revision: number;
  resource(id: ResourceId): StoredRow | undefined;
  /** As JSON; undefined where it is not there. */
  privateValue(collection: string, id: string): string | undefined;
}

/** What a request comes to: nothing to write where all is there already. */
export interface Planned<Answer> {
  readonly write?: Write;
  /** @param record what `write` left in the audit, where it leaves something */
  readonly answer: (record: AuditRecord | undefined) => Answer;
}

/** A request, as a question to what is there: asked again where that has changed. @throws WeftError as Store's methods */
export interface Request<Answer> {
  readonly plan: (view: View, stamp: Stamp) => Planned<Answer>;
  /** About how much it writes, in rows. */
  readonly rows: number;
  /** How a person finds out whether it was done: "weft get VirtualService a -n default". */
  readonly lookUp: string;
}

export interface Stamp {
  readonly at: string;
  readonly newUid: () => string;
}

export function requestApply(transaction: EncodedTransaction, trace: string | undefined): Request<ApplyResult> {
  const { puts, deletes } = transaction;
  const [first] = [...puts, ...deletes];
  return {
    rows: puts.length + deletes.length,
    lookUp: first ? `weft get ${first.kind} ${first.name} -n ${first.namespace}` : "weft get",
    plan(view, { at, newUid }) {
      const plan = planTransaction(transaction, (id) => view.resource(id), { revision: view.revision, at, newUid });
      return {
        write: writeOf(plan, { at, who: transaction.who, trace }),
        answer: () => ({ revision: plan.revision, changes: plan.changes }),
      };
    },
  };
}

function writeOf(plan: Plan, { at, who, trace }: { at: string; who: string; trace: string | undefined }): Write | undefined {
  const { revision, log, refreshed, audit } = plan;
  if (log.length === 0 && refreshed.length === 0) return undefined;
  const changes = log.map(({ action, row }): RowChange => {
    if (action === "deleted") return { action, row: formerOf(row) };
    const { revision: _, updatedAt: __, ...written } = row;
    return { action, row: written };
  });
  return {
    type: "resources",
    at,
    who,
    revision,
    changes,
    refreshed: refreshed.map((row) => ({ ...formerOf(row), source: row.source })),
    ...(audit && { audit }),
    ...(trace !== undefined && { trace }),
  };
}

function formerOf({ kind, namespace, name, uid, revision }: StoredRow): FormerRow {
  return { kind, namespace, name, uid, revision };
}

export function requestPrivate(change: PrivateChange): Request<void> {
  const { collection, puts, deletes, audit } = change;
  const encoded = puts.map(({ id, value }) => ({ id, value: JSON.stringify(value) }));
  return {
    rows: puts.length + deletes.length,
    lookUp: "weft audit",
    plan(view, { at }) {
      checkRequired(change, (id) => view.privateValue(collection, id));
      return { write: { type: "private", at, collection, puts: encoded, deletes, audit }, answer: () => undefined };
    },
  };
}

export function requestAudit(event: AuditEvent): Request<AuditRecord> {
  return {
    rows: 1,
    lookUp: "weft audit",
    plan: (_, { at }) => ({
      write: { type: "audit", at, audit: event },
      answer(record) {
        if (!record) throw new WeftError("internal", "the audit has no record of what it was asked to record");
        return record;
      },
    }),
  };
}

export function requestCompact(keepRevisions: number): Request<void> {
  return {
    rows: 1,
    lookUp: "weft get",
    plan(view, { at }) {
      const through = view.revision - Math.max(1, keepRevisions);
      return { ...(through > 0 && { write: { type: "compact", at, through } }), answer: () => undefined };
    },
  };
}

/** What is there after writes that no database has yet. */
export class Overlay implements View {
  readonly #under: View;
  readonly #rows = new Map<string, StoredRow | undefined>();
  readonly #private = new Map<string, string | undefined>();
  #revision: number;

  constructor(under: View) {
    this.#under = under;
    this.#revision = under.revision;
  }

  get revision(): number {
    return this.#revision;
  }

  resource(id: ResourceId): StoredRow | undefined {
    const key = idKey(id);
    return this.#rows.has(key) ? this.#rows.get(key) : this.#under.resource(id);
  }

  privateValue(collection: string, id: string): string | undefined {
    const key = JSON.stringify([collection, id]);
    return this.#private.has(key) ? this.#private.get(key) : this.#under.privateValue(collection, id);
  }

  take(write: Write): void {
    if (write.type === "private") {
      for (const id of write.deletes) this.#private.set(JSON.stringify([write.collection, id]), undefined);
      for (const { id, value } of write.puts) this.#private.set(JSON.stringify([write.collection, id]), value);
    }
    if (write.type !== "resources") return;
    const { revision, at: updatedAt } = write;
    this.#revision = revision;
    for (const change of write.changes) {
      this.#rows.set(idKey(change.row), change.action === "deleted" ? undefined : { ...change.row, revision, updatedAt });
    }
    for (const { source, ...id } of write.refreshed) {
      const old = this.resource(id);
      if (old) this.#rows.set(idKey(id), { ...old, source });
    }
  }
}
