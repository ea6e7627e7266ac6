/**
 * YAML (and JSON, which is YAML) as plain values with places. The text is not trusted: its size, depth and aliases are limited, and
 * every problem of the text is reported, not only the first.
 */
import { Composer, type Document, Lexer, Parser } from "yaml";
import type { Problem } from "../lib/problem.ts";
import { type CodeName, problem } from "./codes.ts";
import { Lines, Places } from "./places.ts";
import { partsOf } from "./yaml-parts.ts";
import { readPlain } from "./yaml-plain.ts";
import { type Complain, MAX_ALIASED_PARTS, ValueReader } from "./yaml-value.ts";

/** As much as one input may hold, in bytes of UTF-8. */
export const MAX_INPUT_BYTES = 4 * 1024 * 1024;

/** Levels of lists and mappings in one document; the deepest field of any kind is at 14. */
export const MAX_DEPTH = 64;

/** Documents and directives in one input; more are no use and cost time. */
const MAX_DOCUMENTS = 20_000;

/** Tokens (words, signs, spaces) in one document: a List of 2,000 resources has fewer. Each costs memory until its document is read. */
const MAX_TOKENS = 500_000;

/** Anchors, aliases and tags in one document: a misplaced one costs more memory than a hundred good words, and people write a few. */
const MAX_PROPERTIES = 5_000;

/** Errors after these in one document only repeat that it is broken. */
const MAX_SYNTAX_PROBLEMS = 10;

export interface RawDocument {
  readonly value: unknown;
  readonly places: Places;
}

/** After so many tokens a reader gives way. */
const TOKENS_IN_A_STEP = 5_000;

/**
 * All documents of `text` that are not empty. Those with a problem of their own are left out: their values would mislead. It yields
 * after each document, and in the midst of a long one, so that a caller with other work can do it between.
 */
export function* readYaml(text: string, file: string): Generator<void, { documents: RawDocument[]; problems: Problem[] }> {
  const reading: Reading = { documents: [], problems: [], file, lines: new Lines(text), budget: { left: MAX_ALIASED_PARTS } };
  const { documents, problems, lines } = reading;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_INPUT_BYTES) {
    const message = `the input has ${bytes} bytes; one input may have ${MAX_INPUT_BYTES} (4 MiB)`;
    return { documents, problems: [problem("tooLarge", { message, file, line: 1, column: 1, help: "split it into several files" })] };
  }
  for (const part of partsOf(text, MAX_DOCUMENTS)) {
    yield;
    const places = new Places(lines);
    const plain = part.content === undefined ? undefined : readPlain(text, part.content, part.end, part.line, places);
    if (plain === undefined) {
      if (!(yield* readPart(text.slice(part.start, part.end), part.start, reading))) break;
    } else if (plain.value !== null) documents.push({ value: plain.value, places });
  }
  return { documents, problems };
}

interface Reading {
  readonly documents: RawDocument[];
  readonly problems: Problem[];
  readonly file: string;
  /** Of the whole input. */
  readonly lines: Lines;
  readonly budget: { left: number };
}

/** The documents of a part of the input, which begins at `base`. @returns false where nothing after it is to be read */
function* readPart(text: string, base: number, { documents, problems, file, lines, budget }: Reading): Generator<void, boolean> {
  let goesOn = true;
  for (const document of compose(text, (name, offset, message) => {
    goesOn = false;
    problems.push(
      problem(name, { message: `${message}; nothing after this place was read`, file, ...new Places(lines, base).position(offset) }),
    );
  })) {
    yield;
    if (!document) continue;
    const places = new Places(lines, base);
    const before = problems.length;
    const complain = (name: CodeName, offset: number, message: string, help?: string) => {
      problems.push(problem(name, { message, file, ...places.position(offset), help }));
    };
    const told = new Set<number>();
    for (const error of [...document.errors, ...document.warnings].slice(0, MAX_SYNTAX_PROBLEMS)) {
      const { line } = places.position(error.pos[0]);
      // One slip of the pen is several errors to the parser; the first of a line is the one to mend.
      if (told.has(line)) continue;
      told.add(line);
      const tag = error.code === "TAG_RESOLVE_FAILED";
      complain(tag ? "unsupportedYaml" : "syntax", error.pos[0], withoutText(error.message), hintOf(error.code));
    }
    if (problems.length > before) continue;
    const value = new ValueReader(places, complain, budget).document(document);
    if (problems.length > before || document.contents === null || value === null) continue;
    documents.push({ value, places });
  }
  return goesOn;
}

/** The documents of `text`, as long as none is too deep: the composer recurses, so depth is measured before it, on the parser's stack. Undefined: no document yet. */
function* compose(text: string, complain: Complain): Generator<Document.Parsed | undefined> {
  const parser = new Parser();
  const composer = new Composer({
    schema: "core",
    // Keys are checked by ValueReader: the library compares each with each.
    uniqueKeys: false,
    stringKeys: true,
    resolveKnownTags: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  let parts = 0;
  let tokens = 0;
  let properties = 0;
  for (const lexeme of new Lexer().lex(text)) {
    tokens++;
    // Scalars begin with a sign of the lexer's own.
    if (/^[&*!]/.test(lexeme)) properties++;
    if (tokens % TOKENS_IN_A_STEP === 0) yield undefined;
    for (const token of parser.next(lexeme)) {
      yield* composer.next(token);
      parts++;
      tokens = 0;
      properties = 0;
    }
    if (parts > 2 * MAX_DOCUMENTS) {
      complain("tooLarge", parser.offset, `one input may have ${MAX_DOCUMENTS} documents`);
      return;
    }
    if (tokens > MAX_TOKENS) {
      complain("tooLarge", parser.offset, `one document may have ${MAX_TOKENS} words and signs`);
      return;
    }
    if (properties > MAX_PROPERTIES) {
      complain("tooLarge", parser.offset, `one document may have ${MAX_PROPERTIES} anchors, aliases and tags`);
      return;
    }
    // The document itself is on the stack, and the scalar in the innermost level.
    if (parser.stack.length > MAX_DEPTH + 2) {
      complain("tooDeep", parser.offset, `lists and mappings are nested more than ${MAX_DEPTH} levels deep`);
      return;
    }
  }
  for (const token of parser.end()) yield* composer.next(token);
  yield* composer.end(false, text.length);
}

/** The library repeats the text that it stumbled over, which may be a private key. */
function withoutText(message: string): string {
  return message.replace(/: "(?:[^"\\]|\\.){25,}"?$/s, "");
}

function hintOf(code: string): string | undefined {
  if (code === "TAB_AS_INDENT") return "indent with spaces";
  if (code === "BLOCK_AS_IMPLICIT_KEY" || code === "MULTILINE_IMPLICIT_KEY" || code === "BAD_INDENT") {
    return "look at the indentation: keys of one mapping start in one column; a value with a colon in it needs quotes";
  }
  if (code === "UNEXPECTED_TOKEN" || code === "BAD_SCALAR_START" || code === "MISSING_CHAR") {
    return "put a value in quotes that has one of [ ] { } , : # in it, or close what is open";
  }
  if (code === "NON_STRING_KEY") return "put the key in quotes; templates such as {{ x }} are not filled in";
  if (code === "TAG_RESOLVE_FAILED") return "remove the tag";
  return undefined;
}
