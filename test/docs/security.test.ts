/** docs/security.md promises tests: each that it names is there, under that name. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ATTACKS } from "../../scripts/lib/abuse/attacks/index.ts";

const ROOT = join(import.meta.dir, "../..");
const PAGE = readFileSync(join(ROOT, "docs/security.md"), "utf8");
const NAMED = [...PAGE.matchAll(/`(test\/[\w./-]+\.test\.ts|scripts\/abuse): ([^`]+)`/g)].map(([, file = "", name = ""]) => ({
  file,
  name,
}));

describe("Of the threats in docs/security.md,", () => {
  test("every row names a test or an attack", () => {
    const rows = PAGE.split("\n").filter((line) => /^\| (?!asset|threat|---)/.test(line));
    const threats = rows.filter((row) => row.split(" | ").length === 3 && PAGE.indexOf(row) > PAGE.indexOf("## Identity"));
    expect(threats.length).toBeGreaterThan(25);
    for (const row of threats) expect(row).toMatch(/`(test\/|scripts\/abuse: )/);
  });

  test.each(NAMED.map(({ file, name }) => [file, name] as const))("%s has: %s", (file, name) => {
    if (file === "scripts/abuse") {
      expect(ATTACKS.map((attack) => attack.name)).toContain(name);
      return;
    }
    const path = join(ROOT, file);
    expect(existsSync(path)).toBe(true);
    expect(readFileSync(path, "utf8")).toContain(name);
  });

  test("every attack of scripts/abuse that has a name there is played, and none is forgotten", () => {
    const told = NAMED.filter(({ file }) => file === "scripts/abuse").map(({ name }) => name);
    expect(new Set(told).size).toBeGreaterThan(18);
  });
});
