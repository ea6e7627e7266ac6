/** Listings in pages that all show one revision: what has changed since is taken from the history, as it was. */
import { WeftError } from "../lib/errors.ts";
import { idKey, type LogRow, type StoredRow, toResource } from "./plan.ts";
import type { Page, ResourceId } from "./store.ts";

/** By UTF-8 bytes, as SQLite and etcd sort. */
export function compareIds(a: ResourceId, b: ResourceId): number {
  return compareText(a.kind, b.kind) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

export function compareText(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** @throws WeftError "conflict" where a listing of `revision` cannot go on */
export function checkReach(revision: number, store: { readonly revision: number; readonly compacted: number }): void {
  if (revision <= store.revision && revision >= store.compacted) return;
  throw outOfReach(revision);
}

function outOfReach(revision: number): WeftError {
  return new WeftError("conflict", `the history does not reach to revision ${revision}, which this listing began with`, {
    help: "list again from the start, without continue",
  });
}

/** What the history says of a resource around a revision. */
export interface Around {
  readonly id: ResourceId;
  /** Its first change after the revision. */
  readonly first: LogRow;
  /** Its last change until the revision, where the history has it. */
  readonly last?: LogRow;
}

/** @throws WeftError "conflict" */
function rowAt(revision: number, { first, last }: Around): readonly StoredRow[] {
  if (last) return last.action === "deleted" ? [] : [last.row];
  if (first.action === "created") return [];
  throw outOfReach(revision);
}

/**
 * @param unchanged rows that were not written after `revision`, sorted; one more than `limit` where there are as many
 * @param changed what was, of ids that `unchanged` reaches to
 */
export function pageOf(revision: number, limit: number, unchanged: readonly StoredRow[], changed: readonly Around[]): Page {
  const rows = changed.length === 0 ? unchanged : [...unchanged, ...changed.flatMap((around) => rowAt(revision, around))].sort(compareIds);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const resources = shown.map(toResource);
  if (rows.length <= limit || !last) return { revision, resources };
  return { revision, resources, next: { revision, after: { kind: last.kind, namespace: last.namespace, name: last.name } } };
}

/** The changed ids that a page has to do with: a full one ends at its last row. */
export function within(unchanged: readonly StoredRow[], limit: number): (id: ResourceId) => boolean {
  const end = unchanged.length > limit ? unchanged.at(-1) : undefined;
  return (id) => end === undefined || compareIds(id, end) <= 0;
}

/** The first and last changes of each id, of changes in their order. */
export function aroundOf(before: readonly LogRow[], after: readonly LogRow[]): readonly Around[] {
  const found = new Map<string, { id: ResourceId; first: LogRow; last?: LogRow }>();
  for (const log of after) if (!found.has(idKey(log.row))) found.set(idKey(log.row), { id: log.row, first: log });
  for (const log of before) {
    const around = found.get(idKey(log.row));
    if (around) around.last = log;
  }
  return [...found.values()];
}
