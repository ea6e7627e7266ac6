import { describe, expect, test } from "bun:test";
import { fieldName } from "../../src/model/fields.ts";
import { KINDS } from "../../src/model/kinds.ts";
import type { Kind } from "../../src/model/resource.ts";
import { DEFAULTS } from "./no-change.ts";
import { leavesOf, tryField, valuesFor } from "./try-field.ts";

const isDefault = (name: string, value: unknown) =>
  DEFAULTS.some(([field, values]) => field.test(name) && values.some((other) => Bun.deepEquals(other, value)));

describe("No field is accepted and ignored", () => {
  for (const kind of Object.keys(KINDS) as Kind[]) {
    for (const field of leavesOf(kind)) {
      const name = `${kind}.${fieldName(field)}`;
      for (const value of valuesFor(kind, field)) {
        const expected = isDefault(name, value) ? "same" : "changed";
        test(`${name}: ${JSON.stringify(value).slice(0, 100)} ${expected === "same" ? "is what holds anyway" : "changes what some proxy gets"}`, () => {
          const { result, detail } = tryField(kind, field, value);
          expect(result, detail).toBe(expected);
        });
      }
    }
  }
});
