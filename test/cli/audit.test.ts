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
    expect({ code, out }).toEqual({ code: 0, out: `2500 records, from 1 to 2500, are whole\nhead 2500:${records.at(-1)?.hash}\n` });
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
});
