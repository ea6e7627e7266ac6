import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

test("Every test that docs/spiffe.md names for a rule of the standards exists, under that name", () => {
  const document = readFileSync(join(ROOT, "docs/spiffe.md"), "utf8");
  const rows = document.split("\n").filter((line) => /^\| (?:\d|\|)/.test(line) || line.startsWith("| |"));
  const missing: string[] = [];
  for (const row of rows) {
    const [, path, name] = /\| `(test\/[\w/.-]+)`: (.+?) \|$/.exec(row) ?? [];
    if (!path || !name) missing.push(`a row without a test: ${row}`);
    else if (!readFileSync(join(ROOT, path), "utf8").includes(name)) missing.push(`${path}: ${name}`);
  }
  expect(missing).toEqual([]);
  expect(rows.length).toBeGreaterThan(40);
});
