/** Writing down what was planned (store/write.ts), within a transaction of the database's. */
import type { AuditEvent, AuditRecord } from "../../lib/audit.ts";
import { WeftError } from "../../lib/errors.ts";
import type { HistoryLimit } from "../history-limit.ts";
import { idKey, type LogRow, type StoredRow } from "../plan.ts";
import type { FormerRow, View, Write } from "../write.ts";
import { appendAudit } from "./audit.ts";
import type { Connection } from "./connection.ts";
import { dropHistory, type Meta, readMeta, readResource, removeResource, writeLog, writeMeta, writeResource } from "./rows.ts";

export interface Limits {
  readonly history: HistoryLimit;
  /** Records kept in the audit. */
  readonly audit: number;
}

/** The write was planned on other rows than these. */
export class Diverged extends WeftError {
  constructor(what: string) {
    super("internal", `the database does not hold what the change was made on: ${what}`);
    this.name = "Diverged";
  }
}

/** @returns what it left in the audit. @throws Diverged */
export function writeDown(db: Connection, write: Write, limits: Limits): AuditRecord | undefined {
  const record = (event: AuditEvent) => appendAudit(db, event, { at: write.at, revision: readMeta(db).revision, limit: limits.audit });
  switch (write.type) {
    case "resources":
      writeResources(db, write, limits.history);
      return write.audit && record(write.audit);
    case "private": {
      const { collection, puts, deletes } = write;
      for (const id of deletes) db.run("DELETE FROM private WHERE collection = $collection AND id = $id", { collection, id });
      for (const put of puts) db.run("INSERT OR REPLACE INTO private VALUES ($collection, $id, $value)", { collection, ...put });
      return record(write.audit);
    }
    case "audit":
      return record(write.audit);
    case "compact": {
      const meta = readMeta(db);
      writeMeta(db, trim(db, meta, { revisions: meta.revision - write.through, bytes: Number.POSITIVE_INFINITY }));
      return undefined;
    }
  }
}

function writeResources(db: Connection, write: Extract<Write, { type: "resources" }>, limit: HistoryLimit): void {
  const { revision, at, who } = write;
  for (const { source, ...former } of write.refreshed) writeResource(db, { ...currentRow(db, former), source });
  if (write.changes.length === 0) return;
  const meta = readMeta(db);
  if (revision !== meta.revision + 1) throw new Diverged(`revision ${revision} would follow revision ${meta.revision}`);
  const log = write.changes.map((change, sequence): LogRow => {
    const { action } = change;
    if (change.action !== "deleted") {
      const row: StoredRow = { ...change.row, revision, updatedAt: at };
      writeResource(db, row);
      return { revision, sequence, action, who, at, row };
    }
    const row = currentRow(db, change.row);
    removeResource(db, row);
    return { revision, sequence, action, who, at, row };
  });
  const bytes = log.reduce((sum, row) => sum + writeLog(db, row), 0);
  writeMeta(db, trim(db, { ...meta, revision, historyBytes: meta.historyBytes + bytes }, limit));
}

/** @throws Diverged */
function currentRow(db: Connection, former: FormerRow): StoredRow {
  const row = readResource(db, former);
  if (row?.uid === former.uid && row.revision === former.revision) return row;
  throw new Diverged(`${idKey(former)} is ${row ? `of revision ${row.revision}` : "not there"}, not of revision ${former.revision}`);
}

/** Drops the oldest revisions over `limit`: at most one a write in the long run, so no write pays for many others. */
function trim(db: Connection, meta: Meta, limit: HistoryLimit): Meta {
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

/** What is in the database now, to plan on. */
export function viewOf(db: Connection): View {
  return {
    revision: readMeta(db).revision,
    resource: (id) => readResource(db, id),
    privateValue: (collection, id) =>
      db.get<{ value: string }>("SELECT value FROM private WHERE collection = $collection AND id = $id", { collection, id })?.value,
  };
}
