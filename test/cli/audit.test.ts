import { describe, expect, test } from "bun:test";
import { type AuditRecord, chain, GENESIS } from "../../src/lib/audit.ts";
import { startAdmin } from "../admin/harness.ts";
import { type RunOptions, weft } from "./harness.ts";

async function start(records: readonly AuditRecord[] = []) {
  const admin = await startAdmin();
  admin.control.records = [...records];
  return { ...admin, weft: (argv: readonly string[], options?: RunOptions) => weft([...argv, "--data", admin.data], options) };
}

/** A whole log of `count` applies. */
function log(count: number, who = "uid 1000"): AuditRecord[] {
  const records: AuditRecord[] = [];
  for (let revision = 1; revision <= count; revision++) {
    const event = { who, from: "admin.sock", action: "apply", outcome: "done", targets: [`Gateway shop/g${revision} created`] } as const;
    records.push(chain(records.at(-1) ?? GENESIS, event, "2026-01-01T00:00:00.000Z", revision));
  }
  return records;
}

describe("weft audit", () => {
  test("shows the newest records, and what was refused with its reason and how often", async () => {
    const records = log(30);
    const refusal = {
      who: "unknown",
      from: "admin 127.0.0.1",
      action: "apply",
      outcome: "refused",
      targets: [],
      reason: "forbidden: no",
      count: 7,
    } as const;
    records.push(chain(records.at(-1) ?? GENESIS, refusal, "2026-01-01T00:00:01.000Z", 30));
    await using here = await start(records);
    const { code, out } = await here.weft(["audit"]);
    const lines = out.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines).toHaveLength(21);
    expect(lines[1]).toMatch(/^12 +2026-01-01T00:00:00.000Z +12 +uid 1000 +admin.sock +apply +done +Gateway shop\/g12 created$/);
    expect(lines.at(-1)).toMatch(/^31 .* unknown +admin 127.0.0.1 +apply +refused +forbidden: no \(7 times\)$/);
    expect((await here.weft(["audit", "--last", "1"])).out.split("\n")).toHaveLength(3);
    expect(JSON.parse((await here.weft(["audit", "--all", "-o", "json"])).out)).toHaveLength(31);
  });

  test("--verify checks a log of several pages, and prints the head to keep", async () => {
    const records = log(2_500);
    await using here = await start(records);
    const { code, out } = await here.weft(["audit", "--verify"]);
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^2500 records, from 1 to 2500, are whole\nrevisions 1 to 2500 are in the store's history/),
    });
    expect(out).toEndWith(`head 2500:${records.at(-1)?.hash}\n`);
  });

  test("--verify says which record was altered, left out or cut off, and exits 1", async () => {
    const altered = log(3).map((record) => (record.sequence === 2 ? { ...record, who: "uid 0" } : record));
    const without = log(3).filter(({ sequence }) => sequence !== 2);
    for (const [records, problem] of [
      [altered, "record 2 is not what was recorded"],
      [without, "record 2 is missing: record 3 comes in its place"],
    ] as const) {
      await using here = await start(records);
      expect(await here.weft(["audit", "--verify"])).toMatchObject({ code: 1, out: `the audit is broken: ${problem}\n` });
    }
  });

  test("--verify --expect finds a log that was rewritten as a whole, by a head that was noted before", async () => {
    const noted = `2:${log(3)[1]?.hash}`;
    await using same = await start(log(5));
    expect((await same.weft(["audit", "--verify", "--expect", noted])).code).toBe(0);
    await using rewritten = await start(log(5, "uid 0"));
    expect(await rewritten.weft(["audit", "--verify"])).toMatchObject({ code: 0 });
    expect(await rewritten.weft(["audit", "--verify", "--expect", noted])).toMatchObject({
      code: 1,
      out: "the audit is broken: record 2 is not the one that was noted\n",
    });
    expect(await same.weft(["audit", "--verify", "--expect", "2:abc"])).toMatchObject({ code: 2 });
  });

  test("--verify says that a noted record is too old to compare, once it was dropped", async () => {
    const records = log(5);
    await using here = await start(records.slice(3));
    here.control.anchor = { sequence: 3, hash: records[2]?.hash ?? "" };
    expect(await here.weft(["audit", "--verify"])).toMatchObject({ code: 0 });
    expect(await here.weft(["audit", "--verify", "--expect", `3:${records[2]?.hash}`])).toMatchObject({ code: 0 });
    expect(await here.weft(["audit", "--verify", "--expect", `1:${records[0]?.hash}`])).toMatchObject({
      code: 1,
      out: expect.stringContaining("dropped by age"),
    });
  });

  test("--verify --expect says of a noted record beyond the log's end that the log was cut off", async () => {
    const noted = `5:${log(5)[4]?.hash}`;
    await using here = await start(log(3));
    expect(await here.weft(["audit", "--verify", "--expect", noted])).toMatchObject({
      code: 1,
      out: "the audit is broken: record 5, which was noted, is not there: the log was cut off after record 3, or is another one\n",
    });
  });

  test("--verify compares each change with the store's history, as far as that is kept, and says what differs", async () => {
    const history = log(4).map(({ revision, targets }) => ({ revision, targets }));
    const verified = async (revisions: typeof history, { revision = 4, compacted = 0, records = log(4) } = {}) => {
      await using here = await start(records);
      here.control.history = { revision, compacted, revisions };
      const { code, out } = await here.weft(["audit", "--verify"]);
      return [code, out.split("\n")[code === 0 ? 1 : 0]];
    };
    expect(await verified(history)).toEqual([0, "revisions 1 to 4 are in the store's history as they are on record"]);
    expect(await verified(history.slice(2), { compacted: 2 })).toEqual([
      0,
      "revisions 3 to 4 are in the store's history as they are on record; of 2 earlier ones the history is not kept",
    ]);
    const broken = (problem: string) => [1, `the audit is broken: ${problem}`];
    expect(await verified(history.toSpliced(1, 1))).toEqual(broken("revision 2, of record 2, is not in the store's history"));
    expect(await verified(history.slice(0, 3))).toEqual(broken("revision 4, of record 4, is not in the store's history"));
    expect(await verified(history.with(2, { revision: 3, targets: ["Gateway shop/g3 created", "Gateway shop/g3b created"] }))).toEqual(
      broken("record 3 and the store's history differ on revision 3: the history alone has Gateway shop/g3b created"),
    );
    expect(await verified(history.with(0, { revision: 1, targets: [] }))).toEqual(
      broken("record 1 and the store's history differ on revision 1: the audit alone has Gateway shop/g1 created"),
    );
    // An audit that was cut off, and one out of which a change was taken, with a new chain.
    expect(await verified(history, { records: log(3) })).toEqual(
      broken("revision 4 is in the store's history, and no record is of it: Gateway shop/g4 created"),
    );
    const without: AuditRecord[] = [];
    for (const { at, revision, ...event } of log(4).toSpliced(1, 1)) without.push(chain(without.at(-1) ?? GENESIS, event, at, revision));
    expect(await verified(history, { records: without })).toEqual(
      broken("revision 2 is in the store's history, and no record is of it: Gateway shop/g2 created"),
    );
    // What is made while this reads is on one side only, and no fault.
    expect(await verified(history, { revision: 3, records: log(3) })).toEqual([
      0,
      "revisions 1 to 3 are in the store's history as they are on record",
    ]);
    // An older weft made changes and had no audit.
    const event = { who: "weft", from: "weft", outcome: "done", targets: [] } as const;
    const begun = chain(GENESIS, { ...event, action: "rotate-ca" }, "", 3);
    const fourth = chain(begun, { ...event, action: "apply", targets: ["Gateway shop/g4 created"] }, "", 4);
    expect(await verified(history, { records: [begun, fourth] })).toEqual([
      0,
      "revisions 4 to 4 are in the store's history as they are on record",
    ]);
  });
});
