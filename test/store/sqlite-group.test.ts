import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { codeOf, put, refusal } from "./harness.ts";
import { temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();

/** Commits in the write-ahead log: frames that say how large the database is then. https://www.sqlite.org/fileformat2.html#walformat */
function commitsIn(path: string): number {
  const log = readFileSync(`${path}-wal`);
  const frame = 24 + log.readUInt32BE(8);
  let commits = 0;
  // Frames of an earlier round have another salt.
  const salt = log.subarray(16, 24);
  for (let at = 32; at + frame <= log.length && log.subarray(at + 8, at + 16).equals(salt); at += frame) {
    if (log.readUInt32BE(at + 4) > 0) commits += 1;
  }
  return commits;
}

test("a hundred applies that are asked for at once share a commit, and one sync of the disk", async () => {
  const path = join(temporary(), "weft.db");
  const store = await openSqliteStore({ path, clock: systemClock });
  const before = commitsIn(path);
  const apply = (name: string) => store.apply({ puts: [put(name, 1)], deletes: [], who: "test" });
  await Promise.all(Array.from({ length: 100 }, (_, index) => apply(`a-${index}`)));
  expect(commitsIn(path) - before).toBe(1);
  for (const name of ["b", "c", "d"]) await apply(name);
  expect(commitsIn(path) - before).toBe(4);
  expect((await store.list()).revision).toBe(103);
  await store.close();
});

test("where not all that was asked for at once fits on the disk, what fits is kept, and the rest is refused", async () => {
  const store = await openSqliteStore({ path: join(temporary(), "weft.db"), clock: systemClock, maxPages: 100 });
  const apply = (name: string, letters: number) => store.apply({ puts: [put(name, "x".repeat(letters))], deletes: [], who: "test" });
  const large = apply("large", 1_000_000);
  const small = [apply("a", 10), apply("b", 10)];
  expect((await refusal(large)).code).toBe("unavailable");
  expect(await Promise.all(small.map(codeOf))).toEqual(["resolved", "resolved"]);
  const { revision, resources } = await store.list();
  expect([revision, resources.map(({ name }) => name)]).toEqual([2, ["a", "b"]]);
  await store.close();
});
