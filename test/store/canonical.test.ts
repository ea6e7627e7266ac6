import { expect, test } from "bun:test";
import fc from "fast-check";
import { WeftError } from "../../src/lib/errors.ts";
import { canonicalJson } from "../../src/store/canonical.ts";

function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, shuffled(item)]),
  );
}

function refusal(value: unknown): string {
  try {
    return `written as ${canonicalJson(value)}`;
  } catch (reason) {
    return reason instanceof WeftError ? `${reason.code}: ${reason.message}` : String(reason);
  }
}

test("canonical JSON is the same for any order of keys, and means what was given", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(shuffled(value))).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
  expect(canonicalJson({ b: [1, { d: null, c: "é" }], a: undefined, A: {} })).toBe('{"A":{},"b":[1,{"c":"é","d":null}]}');
});

test("what JSON cannot hold is refused with the path where it stands", () => {
  expect(refusal({ spec: { ok: [1], http: [{ timeout: 1 }, { weight: Number.NaN }] } })).toBe(
    "invalid: field spec.http.1.weight is not JSON: NaN",
  );
  expect(refusal({ spec: { after: [[1], {}], at: new Date(0) } })).toBe("invalid: field spec.at is not JSON: a value of type Date");
  expect(refusal(() => 1)).toBe("invalid: the document is not JSON: a value of type function");
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  expect(refusal(cycle)).toContain("nested deeper than 500 levels, or a cycle");
});
