import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Lines, Places } from "../../src/model/places.ts";
import { readPlain } from "../../src/model/yaml-plain.ts";
import { readYaml } from "../../src/model/yaml-reader.ts";

/** Values, the line of every part, and what is wrong where. */
function read(text: string) {
  const reading = readYaml(text, "f");
  for (;;) {
    const step = reading.next();
    if (!step.done) continue;
    const { documents, problems } = step.value;
    return {
      documents: documents.map(({ value, places }) => {
        const lines = places.lines();
        return {
          value: JSON.stringify(value),
          lines: Object.entries(lines),
          places: Object.keys(lines).flatMap((path) => shown(places, path)),
        };
      }),
      problems,
    };
  }
}

const shown = (places: Places, path: string) => {
  const parts = path === "" ? [] : path.split(".");
  return [places.find(parts), places.find(parts, true)];
};

/** An input with this sign in it is left to the library as a whole. */
const readByLibrary = (text: string) => read(`#\u2028\n${text}`);
const readByParts = (text: string) => read(`# \n${text}`);

const directory = join(import.meta.dir, "../golden/in");
const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".yaml"));
const inputs = files.map((name) => readFileSync(join(directory, name), "utf8")).filter((text) => text.endsWith("\n"));

const documents = inputs.flatMap((text) => text.split(/^---\n/m)).filter((text) => text.trim() !== "");

const isPlain = (text: string) => readPlain(text, 0, text.length, 1, new Places(new Lines(text))) !== undefined;

test("documents that are read without the library are read as it reads them, value by value and place by place", () => {
  for (const text of inputs) expect(readByParts(text)).toEqual(readByLibrary(text));
  // Nearly all, or the test above says nothing.
  expect(documents.filter(isPlain).length / documents.length).toBeGreaterThan(0.8);
});

const PIECES = [
  ..."abz019.-+:,#[]{}'\"\\|>&*!?%@`~_/$(^= \n\t\r",
  ...[
    ": ",
    " #",
    "- ",
    "\n  ",
    "\n- ",
    "---",
    "\n---\n",
    "...",
    "''",
    '\\"',
    "\\n",
    "\\x41",
    "null",
    "true",
    "~",
    "0x1f",
    "0o7",
    "012",
    "1.50",
    "1e3",
    ".inf",
    "é",
    "<<: *a",
    "&a ",
    "!!str ",
    "| \n",
    "{a: b}",
    "[a, b]",
    "{a: }",
    '{"a":1}',
    "[a: b]",
    "2001:db8::",
    "key:",
    "__proto__: 1",
    "\n\n",
    "  ",
  ],
];

const brokenOf = (corpus: readonly string[]) =>
  fc
    .record({
      text: fc.nat(corpus.length - 1),
      edits: fc.array(fc.record({ at: fc.nat(100_000), drop: fc.nat(3), put: fc.constantFrom(...PIECES) }), { minLength: 1, maxLength: 3 }),
    })
    .map(({ text, edits }) => {
      let edited = corpus[text] ?? "";
      for (const { at, drop, put } of edits) {
        const place = at % edited.length;
        edited = edited.slice(0, place) + put + edited.slice(place + drop);
      }
      return edited;
    });

test("so is a document with any slip of the pen, and what is wrong with it is told alike", () => {
  fc.assert(
    fc.property(
      brokenOf(documents).filter((text) => !/^---/m.test(text)),
      (text) => {
        expect(readByParts(text)).toEqual(readByLibrary(text));
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 400) },
  );
}, 60_000);

test("an input of several documents with any slip of the pen is refused if the library refuses it, and else read alike", () => {
  fc.assert(
    fc.property(brokenOf(inputs), (text) => {
      const [ours, theirs] = [readByParts(text), readByLibrary(text)];
      // An open quote takes the documents after it along, if they are read as one text.
      if (theirs.problems.length > 0) expect(ours.problems.length).toBeGreaterThan(0);
      else expect(ours).toEqual(theirs);
    }),
    { numRuns: Number(process.env.RUNS ?? 200) },
  );
}, 60_000);

const scalar = fc
  .array(fc.constantFrom(...PIECES.filter((piece) => !piece.includes("\n"))), { maxLength: 6 })
  .map((parts) => parts.join(""));

test("so is any scalar, as a value, as a key, as an item, and in brackets and braces", () => {
  const around = fc.constantFrom<(text: string) => string>(
    (text) => `a: ${text}\nb: 1\n`,
    (text) => `${text}: 1\n`,
    (text) => `a:\n- ${text}\n- b\n`,
    (text) => `a:\n  - ${text}: c\n    d: e\n`,
    (text) => `a: [${text}, b]\n`,
    (text) => `a: {b: ${text}, c: d}\n`,
    (text) => `{"a": {${text}: d}}\n`,
    (text) => `a: "${text}"\n`,
    (text) => `a: '${text}' # c\n`,
    (text) => `a:\n  b: c\n ${text}\n`,
  );
  fc.assert(
    fc.property(around, scalar, (wrap, text) => {
      expect(readByParts(wrap(text))).toEqual(readByLibrary(wrap(text)));
    }),
    { numRuns: Number(process.env.RUNS ?? 2_000) },
  );
}, 60_000);
