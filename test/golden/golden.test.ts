/**
 * in/NAME.yaml is applied to an empty mesh; out/NAME.yaml is what the proxies get. To add a case, add a file to in/; to accept what changed, run
 * with UPDATE_GOLDEN=1, which writes out/ anew and removes what no case stands for.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { caseNames, OUT, readCase, renderCase } from "./case.ts";

const UPDATE = process.env.UPDATE_GOLDEN === "1";

describe("What proxies get", () => {
  for (const name of caseNames()) {
    test(`for ${name}.yaml is what the golden file says`, () => {
      const rendered = renderCase(readCase(name));
      const path = join(OUT, `${name}.yaml`);
      if (UPDATE) {
        mkdirSync(OUT, { recursive: true });
        writeFileSync(path, rendered);
      }
      if (!existsSync(path)) throw new Error(`out/${name}.yaml is missing: run UPDATE_GOLDEN=1 bun test test/golden, and look at it`);
      expect(rendered).toBe(readFileSync(path, "utf8"));
    });
  }

  test("has a case for every golden file", () => {
    const known = new Set(caseNames().map((name) => `${name}.yaml`));
    const orphans = readdirSync(OUT).filter((file) => !known.has(file));
    if (UPDATE) for (const orphan of orphans) rmSync(join(OUT, orphan));
    else expect(orphans).toEqual([]);
  });
});
