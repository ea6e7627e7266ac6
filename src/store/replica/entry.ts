/** An entry of the log: the writes of one commit, and what they leave. */
import * as v from "valibot";
import type { AuditMark } from "../../lib/audit.ts";
import type { SnapshotMark } from "../sqlite/place.ts";
import type { Write } from "../write.ts";
import { type Enclosed, encloseText, textOf, Unreadable } from "./format.ts";

export interface Entry {
  /** UUID of the log, made by whoever writes its first entry: no node ever mixes two logs. */
  readonly log: string;
  /** The end of the audit's chain after it: all nodes that took the same writes have the same. */
  readonly head: AuditMark;
  /** The newest snapshot that its writer knows of. */
  readonly snapshot: SnapshotMark;
  readonly writes: readonly Write[];
}

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const id = { kind: v.string(), namespace: v.string(), name: v.string() };
const former = { ...id, uid: v.string(), revision: count };
const mark = v.object({ sequence: count, hash: v.string() });
const audit = v.object({
  who: v.string(),
  from: v.string(),
  action: v.string(),
  outcome: v.picklist(["done", "refused"]),
  targets: v.array(v.string()),
  reason: v.optional(v.string()),
  count: v.optional(v.number()),
});
const row = v.object({ ...id, document: v.string(), hash: v.string(), source: v.string(), uid: v.string(), createdAt: v.string() });
const change = v.variant("action", [
  v.object({ action: v.picklist(["created", "updated"]), row }),
  v.object({ action: v.literal("deleted"), row: v.object(former) }),
]);
/** Strict: a part that this build does not know may be what the write is about. */
const write = v.variant("type", [
  v.strictObject({
    type: v.literal("resources"),
    at: v.string(),
    who: v.string(),
    revision: count,
    changes: v.array(change),
    refreshed: v.array(v.object({ ...former, source: v.string() })),
    audit: v.optional(audit),
    trace: v.optional(v.string()),
  }),
  v.strictObject({
    type: v.literal("private"),
    at: v.string(),
    collection: v.string(),
    puts: v.array(v.object({ id: v.string(), value: v.string() })),
    deletes: v.array(v.string()),
    audit,
  }),
  v.strictObject({ type: v.literal("audit"), at: v.string(), audit }),
  v.strictObject({ type: v.literal("compact"), at: v.string(), through: count }),
]);
const EntrySchema = v.strictObject({
  log: v.string(),
  head: mark,
  snapshot: v.object({ sequence: count, bytes: count, size: count }),
  writes: v.array(write),
});

export function encodeEntry(entry: Entry): Promise<Uint8Array> {
  return encloseText("entry", JSON.stringify(entry));
}

/** @throws Unreadable */
export async function decodeEntry(enclosed: Enclosed, what: string): Promise<Entry> {
  const text = await textOf(enclosed, what);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Unreadable(`${what} of the log is damaged: it is not JSON`);
  }
  const parsed = v.safeParse(EntrySchema, json);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Unreadable(
    `${what} of the log holds what this weft does not know: ${v.getDotPath(issue) ?? ""}: ${issue.message}`,
    "update weft on this node",
  );
}
