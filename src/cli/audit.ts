import { buildCommand } from "@stricli/core";
import type { AuditMark, AuditPage, AuditRecord } from "../lib/audit.ts";
import { auditPages, type Verification, verifyAudit } from "./audit-verify.ts";
import { BRIEF } from "./briefs.ts";
import { connect, connectFlags } from "./client.ts";
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
      "The newest records, oldest of them first. Each holds the hash of the one before: --verify reads all and checks the chain, and compares each\n" +
      "change with the store's history. Keep the head that it prints elsewhere, and give it to a later --verify --expect: a log that was rewritten\n" +
      "as a whole, or cut off, is then found too.",
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
      const result = await verifyAudit(client, flags.expect);
      if (flags.output === "json") cli.print(json(result));
      else if (result.ok) cli.print(told(result).join("\n"));
      else cli.print(clean(`the audit is broken: ${result.problem}`));
      return result.ok ? 0 : 1;
    }
    const records: AuditRecord[] = [];
    if (flags.all) for await (const page of auditPages(client)) records.push(...page.records);
    else records.push(...(await client.call<AuditPage>("/v1/audit", { query: { last: String(flags.last) } })).records);
    if (flags.output === "json") cli.print(json(records));
    else if (records.length === 0) cli.complain("nothing is on record yet");
    else cli.print(table(["SEQ", "AT", "REVISION", "WHO", "FROM", "ACTION", "OUTCOME", "WHAT"], records.map(row)));
    return 0;
  }),
});

function told({ records, first, last, head, compared }: Verification): string[] {
  const { from, to, missing } = compared;
  const gone = missing === 0 ? "" : `; of ${missing} earlier ones the history is not kept`;
  return [
    `${records} records, from ${first} to ${last}, are whole`,
    ...(to >= from ? [`revisions ${from} to ${to} are in the store's history as they are on record${gone}`] : []),
    `head ${head}`,
  ];
}

function row(record: AuditRecord): string[] {
  const { sequence, at, revision, who, from, action, outcome, targets, reason, count } = record;
  const times = count === undefined ? "" : ` (${count} times)`;
  const what = [targets.join(", "), reason ?? ""].filter((part) => part !== "").join("; ");
  return [String(sequence), at, String(revision), who, from, action, outcome, `${what}${times}`];
}
