import { describe, expect, test } from "bun:test";
import { CODES, parseDocuments } from "../../src/model/index.ts";

/** Findings about bytes, sizes, keys, times and machines, which no short text could show. */
const WITHOUT_TEXT = new Set(["WF0001", "WF0002", "WF0305", "WF0404", "WF0405", "WF0406"]);

describe("Every problem code", () => {
  for (const { code, title, cause, mend, example } of Object.values(CODES)) {
    test(`${code} says its cause and its mend in sentences`, () => {
      expect(title).toMatch(/^[A-Z].*[^.]$/);
      expect(cause).toMatch(/^([A-Z]|weft ).*\.$/s);
      expect(mend).toMatch(/^[A-Z].*[.")]$/s);
    });
    if (WITHOUT_TEXT.has(code) || code.startsWith("WF05")) continue;
    test(`${code} is found in its example, and nothing worse`, () => {
      expect([...new Set(parseDocuments(example, "example.yaml").problems.map((found) => found.code))]).toEqual([code]);
    });
  }

  test("stands once, in order", () => {
    const codes = Object.values(CODES).map(({ code }) => code);
    expect(codes).toEqual([...new Set(codes)].sort());
  });
});
