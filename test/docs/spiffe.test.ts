import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";

const ROOT = join(import.meta.dir, "../..");

test("each test that docs/spiffe.md names is there", () => {
  const tests = [...new Glob("test/**/*.test.ts").scanSync(ROOT)].map((path) => readFileSync(join(ROOT, path), "utf8")).join("\n");
  const named = readFileSync(join(ROOT, "docs/spiffe.md"), "utf8").matchAll(/^\|.*\| "([^"]+)" \|$/gm);
  const names = [...named].flatMap(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(20);
  // Some are made of a client's name and the rest.
  const isThere = (name: string) => tests.includes(name) || tests.includes(name.replace(/^go-spiffe/, `\${client.name}`));
  expect(names.filter((name) => !isThere(name))).toEqual([]);
});
