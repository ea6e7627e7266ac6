/** `weft audit --verify`: whether the audit is whole, and says the same as the store's history. The hashes are computed here, not taken from the server. */
import { type AuditMark, type AuditPage, type AuditRecord, ChainVerifier, type RevisionsPage, type RevisionTargets } from "../lib/audit.ts";
import { WeftError } from "../lib/errors.ts";
import type { AdminClient } from "./client.ts";

const PAGE = 1_000;

export interface Verification {
  readonly ok: boolean;
  readonly records: number;
  readonly first: number;
  readonly last: number;
  /** SEQUENCE:HASH of the newest good record. */
  readonly head: string;
  /** The revisions that were compared with the history; `from` is above `to` where there is none. */
  readonly compared: Compared;
  readonly problem?: string;
}

interface Compared {
  readonly from: number;
  readonly to: number;
  /** Changes on record of which the history was dropped to keep it within its bound. */
  readonly missing: number;
}

export async function verifyAudit(client: AdminClient, expected: AuditMark | undefined): Promise<Verification> {
  // First: every change up to the revision that is read here is on record when the audit is read.
  const history = await HistoryCheck.open(client);
  let verifier: ChainVerifier | undefined;
  let records = 0;
  let first = 0;
  let problem: string | undefined;
  let head: AuditMark | undefined;
  let found = false;
  for await (const page of auditPages(client)) {
    if (!verifier) {
      verifier = new ChainVerifier(page.anchor);
      first = page.anchor.sequence + 1;
      found = sameMark(page.anchor, expected);
    }
    // Of the first page: what is added while this reads is no gap.
    head ??= page.head;
    for (const record of page.records) {
      problem = verifier.take(record) ?? (await history.take(record));
      if (problem !== undefined) break;
      records += 1;
      found ||= sameMark(verifier.last, expected);
    }
    if (problem !== undefined) break;
  }
  const last = verifier?.last ?? { sequence: 0, hash: "" };
  if (problem === undefined && head && last.sequence < head.sequence) {
    problem = `record ${last.sequence + 1} is missing: the log ends before its head, ${head.sequence}`;
  }
  if (problem === undefined && records > 0) problem = await history.end();
  if (problem === undefined && expected && !found) problem = notFound(expected, first, last.sequence);
  const report = { records, first, last: last.sequence, head: `${last.sequence}:${last.hash}`, compared: history.compared };
  return problem === undefined ? { ok: true, ...report } : { ok: false, ...report, problem };
}

function notFound({ sequence }: AuditMark, first: number, last: number): string {
  if (sequence > last)
    return `record ${sequence}, which was noted, is not there: the log was cut off after record ${last}, or is another one`;
  if (sequence < first) return `record ${sequence} was dropped by age: it cannot be compared`;
  return `record ${sequence} is not the one that was noted`;
}

/** Takes the audit's records in their order, and the history's revisions beside them, without holding either. */
class HistoryCheck {
  readonly #revisions: AsyncGenerator<RevisionTargets>;
  /** The store's revision before the audit was read: what is later than that may be on one side only yet. */
  readonly #until: number;
  #compacted: number;
  #next: RevisionTargets | undefined;
  /** The revision of the record before; undefined before the first. */
  #known: number | undefined;
  #from = Number.POSITIVE_INFINITY;
  #to = 0;
  #missing = 0;

  private constructor(client: AdminClient, page: RevisionsPage) {
    this.#until = page.revision;
    this.#compacted = page.compacted;
    this.#revisions = this.#read(client, page);
  }

  static async open(client: AdminClient): Promise<HistoryCheck> {
    const check = new HistoryCheck(client, await revisionsAfter(client, 0));
    await check.#advance();
    return check;
  }

  get compared(): Compared {
    return { from: Math.min(this.#from, this.#to + 1), to: this.#to, missing: this.#missing };
  }

  /** What is wrong; undefined where both say the same so far. */
  async take({ sequence, revision, action, outcome, targets }: AuditRecord): Promise<string | undefined> {
    const isChange = outcome === "done" && (action === "apply" || action === "delete");
    // What was before the first record, nobody recorded, or its record was dropped.
    this.#known ??= isChange ? revision - 1 : revision;
    const before = this.#known;
    this.#known = revision;
    const unrecorded = await this.#skipTo(isChange ? revision : revision + 1, before);
    if (unrecorded !== undefined) return unrecorded;
    if (!isChange || revision > this.#until) return undefined;
    const there = this.#next;
    if (there?.revision !== revision) {
      if (revision > this.#compacted) return `revision ${revision}, of record ${sequence}, is not in the store's history`;
      this.#missing += 1;
      return undefined;
    }
    await this.#advance();
    this.#from = Math.min(this.#from, revision);
    this.#to = revision;
    return differenceOf(sequence, targets, there);
  }

  /** To be called after the last record. */
  async end(): Promise<string | undefined> {
    return await this.#skipTo(this.#until + 1, this.#known ?? this.#until);
  }

  /** Goes on to the first revision from `revision` on. What lies between it and `before` should be on record. */
  async #skipTo(revision: number, before: number): Promise<string | undefined> {
    while (this.#next && this.#next.revision < revision && this.#next.revision <= this.#until) {
      const { revision: skipped, targets } = this.#next;
      if (skipped > before) return `revision ${skipped} is in the store's history, and no record is of it: ${listed(targets)}`;
      await this.#advance();
    }
    return undefined;
  }

  async #advance(): Promise<void> {
    const { value, done } = await this.#revisions.next();
    this.#next = done ? undefined : value;
  }

  async *#read(client: AdminClient, first: RevisionsPage): AsyncGenerator<RevisionTargets> {
    for (let page = first; ; ) {
      this.#compacted = Math.max(this.#compacted, page.compacted);
      yield* page.revisions;
      const last = page.revisions.at(-1);
      if (!last || last.revision >= this.#until) return;
      page = await revisionsAfter(client, last.revision);
      if (page.revisions.some(({ revision }) => revision <= last.revision)) {
        throw new WeftError("internal", "the history's pages go backwards; this is a defect of weft");
      }
    }
  }
}

function differenceOf(sequence: number, recorded: readonly string[], { revision, targets }: RevisionTargets): string | undefined {
  const missing = recorded.filter((target) => !targets.includes(target));
  const more = targets.filter((target) => !recorded.includes(target));
  if (missing.length === 0 && more.length === 0 && recorded.length === targets.length) return undefined;
  const sides = [
    ...(missing.length > 0 ? [`the audit alone has ${listed(missing)}`] : []),
    ...(more.length > 0 ? [`the history alone has ${listed(more)}`] : []),
  ];
  return `record ${sequence} and the store's history differ on revision ${revision}: ${sides.join("; ") || "one of them has something twice"}`;
}

function listed(targets: readonly string[]): string {
  const more = targets.length - 5;
  return `${targets.slice(0, 5).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function revisionsAfter(client: AdminClient, after: number): Promise<RevisionsPage> {
  return client.call<RevisionsPage>("/v1/audit/revisions", { query: { after: String(after) } });
}

function sameMark(mark: AuditMark, expected: AuditMark | undefined): boolean {
  return expected?.sequence === mark.sequence && expected.hash === mark.hash;
}

export async function* auditPages(client: AdminClient): AsyncGenerator<AuditPage> {
  let after = 0;
  for (;;) {
    const page = await client.call<AuditPage>("/v1/audit", { query: { after: String(after), limit: String(PAGE) } });
    yield page;
    const last = page.records.at(-1);
    if (!last || page.records.length < PAGE) return;
    if (last.sequence <= after) throw new WeftError("internal", "the audit's pages go backwards; this is a defect of weft");
    after = last.sequence;
  }
}
