/** The audit's tables: every SQL statement on them. */
import { type AuditEvent, type AuditMark, type AuditPage, type AuditRecord, chain } from "../../lib/audit.ts";
import type { AuditFilter } from "../store.ts";
import type { Connection } from "./connection.ts";
import { damaged } from "./errors.ts";

interface Row {
  readonly sequence: number;
  readonly at: string;
  readonly revision: number;
  readonly event: string;
  readonly previous: string;
  readonly hash: string;
}

/** Within a transaction that writes. Drops what is over `limit`: one record at most, where none was before. */
export function appendAudit(
  connection: Connection,
  event: AuditEvent,
  { at, revision, limit }: { readonly at: string; readonly revision: number; readonly limit: number },
): AuditRecord {
  const { head, anchor } = readMarks(connection);
  const record = chain(head, event, at, revision);
  const { sequence, hash } = record;
  insertAudit(connection, record);
  writeMark(connection, "head", { sequence, hash });
  const last = sequence - limit;
  if (last > anchor.sequence) {
    const dropped = connection.get<AuditMark>("SELECT sequence, hash FROM audit WHERE sequence = $last", { last });
    connection.run("DELETE FROM audit WHERE sequence <= $last", { last });
    // Where somebody took the record away the anchor stays, and the check of the chain tells: changes must not stop for it.
    if (dropped) writeMark(connection, "anchor", dropped);
  }
  return record;
}

/** Without its marks. */
export function insertAudit(connection: Connection, { sequence, at, revision, previous, hash, ...event }: AuditRecord): void {
  connection.run("INSERT INTO audit VALUES ($sequence, $at, $revision, $event, $previous, $hash)", {
    sequence,
    at,
    revision,
    event: JSON.stringify(event),
    previous,
    hash,
  });
}

export function writeMarks(connection: Connection, { head, anchor }: { readonly head: AuditMark; readonly anchor: AuditMark }): void {
  writeMark(connection, "head", head);
  writeMark(connection, "anchor", anchor);
}

export function readAudit(connection: Connection, { after, limit }: AuditFilter): AuditPage {
  const rows = connection.all<Row>("SELECT * FROM audit WHERE sequence > $after ORDER BY sequence LIMIT $limit", { after, limit });
  return { ...readMarks(connection), records: rows.map(({ event, ...row }) => ({ ...(JSON.parse(event) as AuditEvent), ...row })) };
}

export function readMarks(connection: Connection): { readonly head: AuditMark; readonly anchor: AuditMark } {
  const rows = connection.all<AuditMark & { readonly mark: string }>("SELECT mark, sequence, hash FROM audit_marks");
  const markOf = (name: string): AuditMark => {
    const found = rows.find(({ mark }) => mark === name);
    if (!found) throw damaged(connection.path, `the ${name} of its audit is missing`);
    return { sequence: found.sequence, hash: found.hash };
  };
  return { head: markOf("head"), anchor: markOf("anchor") };
}

function writeMark(connection: Connection, mark: "head" | "anchor", { sequence, hash }: AuditMark): void {
  connection.run("UPDATE audit_marks SET sequence = $sequence, hash = $hash WHERE mark = $mark", { mark, sequence, hash });
}
