import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { PAGES } from "../../scripts/lib/docs/pages.ts";
import { CODES } from "../../src/model/codes.ts";
import { fieldName, fieldsOf } from "../../src/model/fields.ts";
import { KINDS } from "../../src/model/kinds.ts";

const DOCS = join(import.meta.dir, "../../docs");

describe("The generated pages of docs/", () => {
  for (const [file, render] of Object.entries(PAGES)) {
    test(`${file} is what the code says today (else run scripts/docs)`, async () => {
      expect(await Bun.file(join(DOCS, file)).text()).toBe(render());
    });
  }

  test("problems.md has every code", () => {
    const page = PAGES["problems.md"]?.() ?? "";
    for (const { code, title } of Object.values(CODES)) expect(page).toContain(`### ${code}: ${title}`);
  });

  test("istio-compatibility.md has every field of every kind by its own name, or as another's part", () => {
    const page = PAGES["istio-compatibility.md"]?.() ?? "";
    for (const { kind, schema } of Object.values(KINDS)) {
      const chapter = page.split(`## ${kind}\n`)[1]?.split("\n## ")[0] ?? "";
      const repeated = [...chapter.matchAll(/^\| `([^`]+)` .*; as `|^\| `([^`]+)` \|[^|]*\|[^|]*\| as `/gm)].map(
        (match) => match[1] ?? match[2] ?? "",
      );
      for (const field of fieldsOf(schema)) {
        const name = fieldName(field);
        if (repeated.some((part) => name.startsWith(`${part}.`) || name.startsWith(`${part}[]`))) continue;
        expect(chapter).toContain(`| \`${name}\` |`);
      }
    }
  });

  test("every field that is refused as Kubernetes only says why", () => {
    for (const { kind, schema } of Object.values(KINDS)) {
      for (const field of fieldsOf(schema)) {
        if (field.status === "kubernetes-only")
          expect([kind, fieldName(field), field.reason]).toEqual([kind, fieldName(field), expect.stringMatching(/\w/)]);
      }
    }
  });
});
