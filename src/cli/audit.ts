import { buildCommand } from "@stricli/core";
import { type AuditMark, type AuditPage, type AuditRecord, ChainVerifier } from "../lib/audit.ts";
import { WeftError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { type AdminClient, connect, connectFlags } from "./client.ts";
import { clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { UsageError, verb } from "./verb.ts";

interface AuditFlags extends ReportFlags {
  readonly verify: boolean;
  readonly expect?: AuditMark;
  readonly last: number;
  readonly all: boolean;
}

const PAGE = 1_000;

/** "SEQUENCE:HASH", as `weft audit --verify` prints it. */
function parseMark(text: string): AuditMark {
  const [, sequence, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (sequence === undefined || hash === undefined) {
    throw new UsageError(`--expect takes SEQUENCE:HASH, as weft audit --verify printed it, not "${clean(text)}"`);
  }
  return { sequence: Number(sequence), hash };
}

function parseLast(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > PAGE) throw new UsageError(`--last takes a number from 1 to ${PAGE}, not "${clean(text)}"`);
  return value;
}

export const auditCommand = buildCommand({
  docs: {
    brief: BRIEF.audit,
    fullDescription:
      "The newest records, oldest of them first. Each holds the hash of the one before: --verify reads all and checks the chain. Keep the head that it\n" +
      "prints elsewhere, and give it to a later --verify --expect: a log that was rewritten as a whole is then found too.",
  },
  parameters: {
    flags: {
      verify: { kind: "boolean", default: false, brief: "Check the whole chain instead; exit 1 where it is broken" },
      expect: {
        kind: "parsed",
        parse: parseMark,
        optional: true,
        brief: "With --verify: this head must be in it",
        placeholder: "SEQUENCE:HASH",
      },
      last: { kind: "parsed", parse: parseLast, default: "20", brief: "How many records" },
      all: { kind: "boolean", default: false, brief: "All records" },
      output: reportFormat,
      ...connectFlags,
    },
    aliases: { o: "output" },
  },
  func: verb<AuditFlags, []>(async (cli, flags) => {
    if (flags.expect && !flags.verify) throw new UsageError("--expect goes with --verify");
    const client = await connect(cli.io, flags);
    if (flags.verify) {
      const result = await verify(client, flags.expect);
      if (flags.output === "json") cli.print(json(result));
      else if (result.ok) cli.print(`${result.records} records, from ${result.first} to ${result.last}, are whole\nhead ${result.head}`);
      else cli.print(clean(`the audit is broken: ${result.problem}`));
      return result.ok ? 0 : 1;
    }
    const records: AuditRecord[] = [];
    if (flags.all) for await (const page of pages(client)) records.push(...page.records);
    else records.push(...(await client.call<AuditPage>("/v1/audit", { query: { last: String(flags.last) } })).records);
    if (flags.output === "json") cli.print(json(records));
    else if (records.length === 0) cli.complain("nothing is on record yet");
    else cli.print(table(["SEQ", "AT", "REVISION", "WHO", "FROM", "ACTION", "OUTCOME", "WHAT"], records.map(row)));
    return 0;
  }),
});

function row(record: AuditRecord): string[] {
  const { sequence, at, revision, who, from, action, outcome, targets, reason, count } = record;
  const times = count === undefined ? "" : ` (${count} times)`;
  const what = [targets.join(", "), reason ?? ""].filter((part) => part !== "").join("; ");
  return [String(sequence), at, String(revision), who, from, action, outcome, `${what}${times}`];
}

interface Verification {
  readonly ok: boolean;
  readonly records: number;
  readonly first: number;
  readonly last: number;
  /** SEQUENCE:HASH of the newest good record. */
  readonly head: string;
  readonly problem?: string;
}

/** The hashes are computed here, not taken from the server. */
async function verify(client: AdminClient, expected: AuditMark | undefined): Promise<Verification> {
  let verifier: ChainVerifier | undefined;
  let records = 0;
  let first = 0;
  let problem: string | undefined;
  let head: AuditMark | undefined;
  let found = false;
  for await (const page of pages(client)) {
    if (!verifier) {
      verifier = new ChainVerifier(page.anchor);
      first = page.anchor.sequence + 1;
      found = sameMark(page.anchor, expected);
    }
    // Of the first page: what is added while this reads is no gap.
    head ??= page.head;
    for (const record of page.records) {
      problem = verifier.take(record);
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
  if (problem === undefined && expected && !found) {
    problem =
      expected.sequence < first
        ? `record ${expected.sequence} was dropped by age: it cannot be compared`
        : `record ${expected.sequence} is not the one that was noted`;
  }
  const report = { records, first, last: last.sequence, head: `${last.sequence}:${last.hash}` };
  return problem === undefined ? { ok: true, ...report } : { ok: false, ...report, problem };
}

function sameMark(mark: AuditMark, expected: AuditMark | undefined): boolean {
  return expected?.sequence === mark.sequence && expected.hash === mark.hash;
}

async function* pages(client: AdminClient): AsyncGenerator<AuditPage> {
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
