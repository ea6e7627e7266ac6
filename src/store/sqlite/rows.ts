/** Every SQL statement on the store's tables but health's. Times are RFC 3339. */
import { type RevisionTargets, targetOf } from "../../lib/audit.ts";
import { sha256 } from "../../lib/hash.ts";
import { idKey, type LogRow, type StoredRow } from "../plan.ts";
import type { ListFilter, ResourceId } from "../store.ts";
import type { Connection } from "./connection.ts";
import { damaged } from "./errors.ts";

export interface Meta {
  readonly revision: number;
  /** History up to this revision is gone. */
  readonly compacted: number;
  readonly historyBytes: number;
}

interface HistoryRow extends Omit<StoredRow, "revision">, Omit<LogRow, "row"> {
  readonly resourceRevision: number;
}

const RESOURCE = "kind, namespace, name, document, hash, source, uid, revision, created_at AS createdAt, updated_at AS updatedAt";
const HISTORY = `revision, sequence, action, who, at, kind, namespace, name, document, hash, source, uid,
  resource_revision AS resourceRevision, created_at AS createdAt, updated_at AS updatedAt`;

export function readMeta(connection: Connection): Meta {
  const meta = connection.get<Meta>("SELECT revision, compacted, history_bytes AS historyBytes FROM meta WHERE id = 1");
  if (meta === undefined) throw damaged(connection.path, "its revision is missing");
  return meta;
}

export function writeMeta(connection: Connection, meta: Meta): void {
  const sql = "UPDATE meta SET revision = $revision, compacted = $compacted, history_bytes = $historyBytes WHERE id = 1";
  connection.run(sql, { ...meta });
}

/** Another number after each commit of another program. https://www.sqlite.org/pragma.html#pragma_data_version */
export function readDataVersion(connection: Connection): number {
  return connection.get<{ data_version: number }>("PRAGMA data_version")?.data_version ?? 0;
}

export function readResource(connection: Connection, { kind, namespace, name }: ResourceId): StoredRow | undefined {
  const sql = `SELECT ${RESOURCE} FROM resources WHERE kind = $kind AND namespace = $namespace AND name = $name`;
  return connection.get<StoredRow>(sql, { kind, namespace, name });
}

/** Sorted by kind, namespace, name. */
export function readResources(connection: Connection, filter: ListFilter): StoredRow[] {
  const { where, bindings } = conditions(filter);
  return connection.all<StoredRow>(`SELECT ${RESOURCE} FROM resources ${where} ORDER BY kind, namespace, name`, bindings);
}

const AFTER_PLACE = "(kind, namespace, name) > ($afterKind, $afterNamespace, $afterName)";

const placeOf = ({ kind, namespace, name }: ResourceId) => ({ afterKind: kind, afterNamespace: namespace, afterName: name });

/** Those after `after` that were not written after `revision`; sorted. */
export function readUnchanged(
  connection: Connection,
  filter: ListFilter,
  { revision, after, limit }: { readonly revision: number; readonly after?: ResourceId; readonly limit: number },
): StoredRow[] {
  const { where, bindings } = conditions(filter, "revision <= $revision", ...(after ? [AFTER_PLACE] : []));
  const sql = `SELECT ${RESOURCE} FROM resources ${where} ORDER BY kind, namespace, name LIMIT $limit`;
  return connection.all<StoredRow>(sql, { ...bindings, ...(after ? placeOf(after) : {}), revision, limit });
}

/** Ids after `after` that were written after `revision`; sorted. */
export function readChangedIds(connection: Connection, filter: ListFilter, revision: number, after: ResourceId | undefined): ResourceId[] {
  const { where, bindings } = conditions(filter, "revision > $revision", ...(after ? [AFTER_PLACE] : []));
  const sql = `SELECT DISTINCT kind, namespace, name FROM history ${where} ORDER BY kind, namespace, name`;
  return connection.all<ResourceId>(sql, { ...bindings, ...(after ? placeOf(after) : {}), revision });
}

/** The first change of a resource after `revision`, and the last until it; each where there is one. */
export function readAround(connection: Connection, id: ResourceId, revision: number): { readonly first?: LogRow; readonly last?: LogRow } {
  const { kind, namespace, name } = id;
  const find = (comparison: string, order: string) => {
    const sql = `SELECT ${HISTORY} FROM history
      WHERE kind = $kind AND namespace = $namespace AND name = $name AND revision ${comparison} $revision ORDER BY revision ${order} LIMIT 1`;
    const row = connection.get<HistoryRow>(sql, { kind, namespace, name, revision });
    return row && toLogRow(row);
  };
  return { first: find(">", "ASC"), last: find("<=", "DESC") };
}

export function writeResource(connection: Connection, row: StoredRow): void {
  connection.run(
    `INSERT INTO resources VALUES ($kind, $namespace, $name, $document, $hash, $source, $uid, $revision, $createdAt, $updatedAt, $checksum)
     ON CONFLICT (kind, namespace, name) DO UPDATE SET document = excluded.document, hash = excluded.hash, source = excluded.source,
       uid = excluded.uid, revision = excluded.revision, created_at = excluded.created_at, updated_at = excluded.updated_at,
       checksum = excluded.checksum`,
    { ...row, checksum: checksum(row) },
  );
}

export function removeResource(connection: Connection, { kind, namespace, name }: ResourceId): void {
  connection.run("DELETE FROM resources WHERE kind = $kind AND namespace = $namespace AND name = $name", { kind, namespace, name });
}

/** Appends to the history. @returns the bytes that count towards its limit */
export function writeLog(connection: Connection, { row, ...log }: LogRow): number {
  const bytes = Buffer.byteLength(row.document) + Buffer.byteLength(row.source);
  connection.run(
    `INSERT INTO history VALUES (NULL, $revision, $sequence, $action, $who, $at, $kind, $namespace, $name, $document, $hash, $source, $uid,
       $resourceRevision, $createdAt, $updatedAt, $bytes)`,
    { ...row, ...log, resourceRevision: row.revision, bytes },
  );
  return bytes;
}

/** All changes of the first revision after `after`, in order; empty where there is none. */
export function readNextRevision(connection: Connection, after: number): LogRow[] {
  const sql = `SELECT ${HISTORY} FROM history
    WHERE revision = (SELECT min(revision) FROM history WHERE revision > $after) ORDER BY sequence`;
  return connection.all<HistoryRow>(sql, { after }).map(toLogRow);
}

/** Newest revision first, a revision's changes in their order. */
export function readHistory(connection: Connection, filter: ListFilter & { limit?: number; since?: number }): LogRow[] {
  const { where, bindings } = conditions(filter, "revision > $since");
  const sql = `SELECT ${HISTORY} FROM history ${where} ORDER BY revision DESC, sequence LIMIT $limit`;
  return connection.all<HistoryRow>(sql, { ...bindings, since: filter.since ?? 0, limit: filter.limit ?? -1 }).map(toLogRow);
}

/** What changed in the revisions after `after`: at most `limit` changes, and the whole first revision. */
export function readTargets(connection: Connection, after: number, limit: number): readonly RevisionTargets[] {
  const rows = connection.all<Omit<HistoryRow, "row">>(
    `SELECT revision, action, kind, namespace, name FROM history WHERE revision > $after AND revision <= coalesce(
       max((SELECT revision FROM history WHERE revision > $after ORDER BY revision, sequence LIMIT 1 OFFSET $limit) - 1,
           (SELECT min(revision) FROM history WHERE revision > $after)),
       9007199254740991) ORDER BY revision, sequence`,
    { after, limit },
  );
  const byRevision = Map.groupBy(rows, ({ revision }) => revision);
  return [...byRevision].map(([revision, changes]) => ({ revision, targets: changes.map(targetOf) }));
}

/** Deletes the history up to and including `revision`. @returns the bytes that this gives back to its limit */
export function dropHistory(connection: Connection, revision: number): number {
  const sql = "SELECT coalesce(sum(bytes), 0) AS bytes FROM history WHERE revision <= $revision";
  const bytes = connection.get<{ bytes: number }>(sql, { revision })?.bytes ?? 0;
  connection.run("DELETE FROM history WHERE revision <= $revision", { revision });
  return bytes;
}

/**
 * SQLite checks its structure, not the text in it: a flipped bit inside a policy would go unnoticed. So each resource is compared with the
 * checksum that was stored beside it.
 * @returns all of them, as readResources does
 * @throws WeftError "unavailable", naming the first resource that differs
 */
export function verifyResources(connection: Connection): readonly StoredRow[] {
  const sql = `SELECT ${RESOURCE}, checksum FROM resources ORDER BY kind, namespace, name`;
  const rows = connection.all<StoredRow & { checksum: string }>(sql);
  for (const row of rows) if (checksum(row) !== row.checksum) throw damaged(connection.path, `${idKey(row)} is not what was stored`);
  return rows;
}

/** Over all columns; none of them can hold a NUL. */
function checksum(row: StoredRow): string {
  const { kind, namespace, name, document, hash, source, uid, revision, createdAt, updatedAt } = row;
  return sha256([kind, namespace, name, document, hash, source, uid, revision, createdAt, updatedAt].join("\0"));
}

function conditions(filter: ListFilter, ...more: readonly string[]): { where: string; bindings: Record<string, string> } {
  const bindings: Record<string, string> = {};
  const parts = [...more];
  for (const column of ["kind", "namespace", "name"] as const) {
    const value = filter[column];
    if (value === undefined) continue;
    parts.push(`${column} = $${column}`);
    bindings[column] = value;
  }
  return { where: parts.length > 0 ? `WHERE ${parts.join(" AND ")}` : "", bindings };
}

function toLogRow(row: HistoryRow): LogRow {
  const { revision, sequence, action, who, at, resourceRevision, ...rest } = row;
  return { revision, sequence, action, who, at, row: { ...rest, revision: resourceRevision } };
}

/** What tells whether a row is the same in two databases. */
export interface RowMark extends ResourceId {
  readonly checksum: string;
}

/** After `after`, sorted, at most `limit`. */
export function readMarksOfRows(connection: Connection, after: ResourceId | undefined, limit: number): RowMark[] {
  const where = after ? `WHERE ${AFTER_PLACE}` : "";
  const sql = `SELECT kind, namespace, name, checksum FROM resources ${where} ORDER BY kind, namespace, name LIMIT $limit`;
  return connection.all<RowMark>(sql, { ...(after ? placeOf(after) : {}), limit });
}

export function readChecksum(connection: Connection, { kind, namespace, name }: ResourceId): string | undefined {
  const sql = "SELECT checksum FROM resources WHERE kind = $kind AND namespace = $namespace AND name = $name";
  return connection.get<{ checksum: string }>(sql, { kind, namespace, name })?.checksum;
}
