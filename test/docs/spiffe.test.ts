import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

test("Every test that docs/spiffe.md names for a rule of the standards exists, under that name", () => {
  const rows = read("docs/spiffe.md")
    .split("\n")
    .filter((line) => /^\| (?:\d|\|)/.test(line) || line.startsWith("| |"));
  const tests = [...new Glob("test/**/*.test.ts").scanSync(ROOT)].map(read).join("\n");
  // Some are made of a client's name and the rest.
  const isThere = (name: string) => tests.includes(name) || tests.includes(name.replace(/^go-spiffe/, `\${client.name}`));
  const missing: string[] = [];
  for (const row of rows) {
    const cell = /\| ([^|]+) \|$/.exec(row)?.[1] ?? "";
    const [, path, inFile] = /^`(test\/[\w/.-]+)`: (.+)$/.exec(cell) ?? [];
    const [, anywhere] = /^"(.+)"$/.exec(cell) ?? [];
    if (path && inFile) {
      if (!read(path).includes(inFile)) missing.push(`${path}: ${inFile}`);
    } else if (anywhere) {
      if (!isThere(anywhere)) missing.push(anywhere);
    } else if (cell !== "the same" && cell !== "all") missing.push(`a row without a test: ${row}`);
  }
  expect(missing).toEqual([]);
  expect(rows.length).toBeGreaterThan(60);
});
