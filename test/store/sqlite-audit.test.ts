/** A SQLite file that somebody edits by hand: the audit's chain tells. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { openSqliteStore } from "../../src/store/index.ts";
import { brokenAt } from "./contract-audit.ts";
import { apply, clockAt, put } from "./harness.ts";
import { temporaryDirectories } from "./temporary.ts";

const directory = temporaryDirectories();

async function tampered(sql: string): Promise<string | undefined> {
  const path = `${directory()}/weft.db`;
  const clock = clockAt("2026-01-01T00:00:00Z");
  const before = await openSqliteStore({ path, clock });
  for (const spec of [1, 2, 3, 4]) await apply(before, put("a", spec));
  await before.close();
  const database = new Database(path, { strict: true });
  database.run(sql);
  database.close();
  const after = await openSqliteStore({ path, clock });
  try {
    return await brokenAt(after);
  } finally {
    await after.close();
  }
}

test.each([
  [
    "who did it is changed",
    "UPDATE audit SET event = replace(event, 'uid 1000', 'uid 0') WHERE sequence = 2",
    "record 2 is not what was recorded",
  ],
  ["its time is changed", "UPDATE audit SET at = '2025-01-01T00:00:00.000Z' WHERE sequence = 3", "record 3 is not what was recorded"],
  ["a record is taken out", "DELETE FROM audit WHERE sequence = 2", "record 2 is missing: record 3 comes in its place"],
  ["the first ones are cut off", "DELETE FROM audit WHERE sequence < 3", "record 1 is missing: record 3 comes in its place"],
  ["the last one is cut off", "DELETE FROM audit WHERE sequence = 4", "the end is missing"],
  [
    "one is copied over another",
    "UPDATE audit SET (event, previous, hash) = (SELECT event, previous, hash FROM audit WHERE sequence = 1) WHERE sequence = 2",
    "record 2 does not follow the record before it: one of the two was replaced",
  ],
])("tells where %s", async (_, sql, wrong) => {
  expect(await tampered(sql)).toBe(wrong);
});

test("finds nothing wrong where nothing was touched", async () => {
  expect(await tampered("SELECT 1")).toBeUndefined();
});
