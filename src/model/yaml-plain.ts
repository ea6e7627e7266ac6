/**
 * The YAML that people write for a mesh, read in one pass over the text: block mappings and lists, flow collections on one line, plain and
 * quoted scalars on one line, comments. It is some ten times as fast as the library, which makes tokens, nodes and comments of everything.
 * Whatever else a document holds, it does not judge: the library reads that document then. What it does read it reads as the library does,
 * value by value and place by place (test/model/yaml-plain.test.ts compares the two).
 */
import type { Places } from "./places.ts";

/** Parts of one document: the library bounds what larger ones may cost. */
const MOST_PARTS = 50_000;
const MOST_DEPTH = 32;
/** YAML 1.2.2, 7.4.2: 1024 characters with all that stands around it. */
const LONGEST_KEY = 1_000;

/** Thrown for a document that the library must read. */
const OTHER = new Error("not plain YAML");

/** Signs of a plain key: 1 inside it, 2 at its beginning too. */
const IN_KEY = new Uint8Array(128);
for (const [signs, kind] of [
  ["0123456789./-", 1],
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", 2],
] as const) {
  for (const sign of signs) IN_KEY[sign.charCodeAt(0)] = kind;
}
/** Words that mean something else than themselves, as keys too. */
const WORD = /^(?:null|Null|NULL|true|True|TRUE|false|False|FALSE)$/;
const INTEGER = /^(?:0|[1-9][0-9]{0,14})$/;
const DECIMAL = /^(?:0|[1-9][0-9]{0,8})\.[0-9]{1,6}$/;
/** Begins as a number does, and is made of what numbers are made of; dotted addresses are not. */
const NUMERIC = /^[-+.]?(?:[0-9]+\.?[0-9]*|\.[0-9]*)(?:[eE][-+]?[0-9]*)?$|^0[xo]|^[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)$/;
/** Signs by which a plain scalar may begin here; the others have meanings, or may have. */
const FIRST = /[A-Za-z0-9_./$(^\\]/;

const [SPACE, NEWLINE, HASH, COLON, DASH, COMMA] = [32, 10, 35, 58, 45, 44];
const [OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP, SINGLE, DOUBLE] = [91, 93, 123, 125, 39, 34];

/**
 * The value of the document in `text` from `start` to `end` (whole lines, without its "---"), with its places; null where it is empty.
 * @param line of `start`, from 1
 * @returns undefined where the document holds something else than plain YAML; `places` may have been written to then
 */
export function readPlain(text: string, start: number, end: number, line: number, places: Places): { readonly value: unknown } | undefined {
  try {
    return { value: new PlainReader(text, start, end, line, places).document() };
  } catch (reason) {
    if (reason === OTHER) return undefined;
    throw reason;
  }
}

class PlainReader {
  readonly #text: string;
  readonly #end: number;
  readonly #places: Places;
  /** Where the next line begins. */
  #next: number;
  /** The content under way: its offset, -1 after the last; its column from 0; its line. */
  #at = -1;
  #indent = -1;
  #line: number;
  #parts = 0;

  constructor(text: string, start: number, end: number, line: number, places: Places) {
    this.#text = text;
    this.#next = start;
    this.#end = end;
    this.#line = line - 1;
    this.#places = places;
  }

  document(): unknown {
    this.#advance();
    if (this.#at < 0) return null;
    let value: unknown;
    if (this.#text.charCodeAt(this.#at) !== OPEN_MAP) value = this.#map("", undefined, 0, -1);
    else {
      value = this.#inline("", undefined, 0);
      this.#endOfLine();
    }
    // What is less indented than the first line.
    if (this.#at >= 0) throw OTHER;
    return value;
  }

  /** To the next line that has content. */
  #advance(): void {
    const text = this.#text;
    for (let at = this.#next; at < this.#end; ) {
      this.#line += 1;
      const begin = at;
      while (text.charCodeAt(at) === SPACE) at += 1;
      const code = text.charCodeAt(at);
      if (at < this.#end && code !== NEWLINE && code !== HASH) {
        this.#at = at;
        this.#indent = at - begin;
        this.#next = this.#lineEnd(at) + 1;
        return;
      }
      at = this.#lineEnd(at) + 1;
    }
    this.#next = this.#end;
    this.#at = -1;
    this.#indent = -1;
  }

  #lineEnd(at: number): number {
    const found = this.#text.indexOf("\n", at);
    return found < 0 || found > this.#end ? this.#end : found;
  }

  #place(path: string, value: number, key: number | undefined, collection: boolean): void {
    if (++this.#parts > MOST_PARTS) throw OTHER;
    this.#places.set(path, { value, key, collection, line: this.#line });
  }

  #isItem(): boolean {
    return this.#text.charCodeAt(this.#at) === DASH && this.#text.charCodeAt(this.#at + 1) === SPACE;
  }

  /** The block mapping whose first key is under way. `keyLine`: of its own key, -1 where it has none. */
  #map(path: string, key: number | undefined, depth: number, keyLine: number): unknown {
    if (depth > MOST_DEPTH) throw OTHER;
    const [text, indent] = [this.#text, this.#indent];
    this.#placeAt(path, this.#at, key, keyLine);
    const result: Record<string, unknown> = {};
    while (this.#at >= 0 && this.#indent === indent) {
      const offset = this.#at;
      const name = this.#key(offset);
      if (Object.hasOwn(result, name)) throw OTHER;
      const inner = path === "" ? name : `${path}.${name}`;
      let at = offset + name.length + 1;
      while (text.charCodeAt(at) === SPACE) at += 1;
      if (this.#isEnd(at)) result[name] = this.#nested(inner, offset, indent, depth + 1);
      else {
        this.#at = at;
        result[name] = this.#inline(inner, offset, depth + 1);
        this.#endOfLine();
        if (this.#indent > indent) throw OTHER;
      }
    }
    if (this.#indent > indent) throw OTHER;
    return result;
  }

  /** A collection's line is its key's, where it has one. */
  #placeAt(path: string, value: number, key: number | undefined, keyLine: number): void {
    const line = this.#line;
    if (keyLine >= 0) this.#line = keyLine;
    this.#place(path, value, key, true);
    this.#line = line;
  }

  #key(at: number): string {
    const end = this.#keyEnd(at);
    const name = this.#text.slice(at, end);
    if (end < 0 || name.length > LONGEST_KEY || (name.length < 6 && WORD.test(name)) || name === "__proto__") throw OTHER;
    return name;
  }

  /** Where the key that begins at `at` has its colon; -1 where none begins. */
  #keyEnd(at: number): number {
    const text = this.#text;
    if (IN_KEY[text.charCodeAt(at)] !== 2) return -1;
    let end = at + 1;
    while (IN_KEY[text.charCodeAt(end)]) end += 1;
    if (text.charCodeAt(end) !== COLON) return -1;
    const next = text.charCodeAt(end + 1);
    return next === SPACE || next === NEWLINE || end + 1 >= this.#end ? end : -1;
  }

  /** The lines after "key:". */
  #nested(path: string, key: number, indent: number, depth: number): unknown {
    const line = this.#line;
    this.#advance();
    const item = this.#at >= 0 && this.#isItem();
    if (this.#indent < indent || (this.#indent === indent && !item)) throw OTHER;
    return item ? this.#list(path, key, depth, line) : this.#map(path, key, depth, line);
  }

  #list(path: string, key: number | undefined, depth: number, keyLine: number): unknown[] {
    if (depth > MOST_DEPTH) throw OTHER;
    const [text, indent] = [this.#text, this.#indent];
    this.#placeAt(path, this.#at, key, keyLine);
    const result: unknown[] = [];
    while (this.#at >= 0 && this.#indent === indent && this.#isItem()) {
      const inner = `${path}.${result.length}`;
      let at = this.#at + 2;
      while (text.charCodeAt(at) === SPACE) at += 1;
      if (this.#isEnd(at)) throw OTHER;
      if (this.#keyEnd(at) >= 0) {
        this.#indent += at - this.#at;
        this.#at = at;
        result.push(this.#map(inner, undefined, depth + 1, -1));
      } else {
        this.#at = at;
        result.push(this.#inline(inner, undefined, depth + 1));
        this.#endOfLine();
      }
      if (this.#indent > indent) throw OTHER;
    }
    return result;
  }

  /** Whether nothing but a comment follows on the line. */
  #isEnd(at: number): boolean {
    const code = this.#text.charCodeAt(at);
    return at >= this.#end || code === NEWLINE || (code === HASH && this.#text.charCodeAt(at - 1) === SPACE);
  }

  /** After a value that stands on one line: to the next content. */
  #endOfLine(): void {
    let at = this.#at;
    while (this.#text.charCodeAt(at) === SPACE) at += 1;
    if (!this.#isEnd(at)) throw OTHER;
    this.#advance();
  }

  /** A scalar or flow collection in block context; leaves #at behind it. */
  #inline(path: string, key: number | undefined, depth: number): unknown {
    const code = this.#text.charCodeAt(this.#at);
    if (code === OPEN_LIST || code === OPEN_MAP) return this.#flow(path, key, depth);
    this.#place(path, this.#at, key, false);
    return code === SINGLE || code === DOUBLE ? this.#quoted() : this.#plain();
  }

  /** A plain scalar up to a comment or the end of the line. */
  #plain(): unknown {
    const text = this.#text;
    const start = this.#at;
    const lineEnd = this.#lineEnd(start);
    let end = start;
    for (let at = start; at < lineEnd; at++) {
      const code = text.charCodeAt(at);
      if (code === SPACE) {
        if (text.charCodeAt(at + 1) === HASH) break;
        continue;
      }
      if (code === COLON && (at + 1 >= lineEnd || text.charCodeAt(at + 1) === SPACE)) throw OTHER;
      end = at + 1;
    }
    this.#at = end;
    return scalarOf(text.slice(start, end));
  }

  #quoted(): string {
    const text = this.#text;
    const start = this.#at;
    const lineEnd = this.#lineEnd(start);
    if (text.charCodeAt(start) === SINGLE) {
      let end = start;
      do end = text.indexOf("'", end + 1);
      while (end >= 0 && text.charCodeAt(end + 1) === SINGLE && end++ >= 0);
      if (end < 0 || end >= lineEnd) throw OTHER;
      this.#at = end + 1;
      return text.slice(start + 1, end).replaceAll("''", "'");
    }
    let end = start + 1;
    while (end < lineEnd && text.charCodeAt(end) !== DOUBLE) end += text[end] === "\\" ? 2 : 1;
    if (end >= lineEnd) throw OTHER;
    this.#at = end + 1;
    const inner = text.slice(start + 1, end);
    if (!inner.includes("\\")) return inner;
    try {
      // JSON's escapes mean the same in YAML; it refuses the others.
      return JSON.parse(`"${inner}"`) as string;
    } catch {
      throw OTHER;
    }
  }

  #skipSpaces(): number {
    while (this.#text.charCodeAt(this.#at) === SPACE) this.#at += 1;
    return this.#at < this.#end ? this.#text.charCodeAt(this.#at) : NEWLINE;
  }

  #flow(path: string, key: number | undefined, depth: number): unknown {
    if (depth > MOST_DEPTH) throw OTHER;
    this.#place(path, this.#at, key, true);
    const isList = this.#text.charCodeAt(this.#at) === OPEN_LIST;
    const close = isList ? CLOSE_LIST : CLOSE_MAP;
    const list: unknown[] = [];
    const map: Record<string, unknown> = {};
    this.#at += 1;
    if (this.#skipSpaces() === close) this.#at += 1;
    else {
      for (;;) {
        this.#skipSpaces();
        if (isList) list.push(this.#flowValue(`${path}.${list.length}`, undefined, depth + 1));
        else this.#flowEntry(map, path, depth);
        const code = this.#skipSpaces();
        this.#at += 1;
        if (code === close) break;
        if (code !== COMMA) throw OTHER;
      }
    }
    return isList ? list : map;
  }

  #flowEntry(map: Record<string, unknown>, path: string, depth: number): void {
    const text = this.#text;
    const offset = this.#at;
    let name: string;
    if (text.charCodeAt(offset) === DOUBLE) {
      name = this.#quoted();
      if (name === "__proto__" || name.length > LONGEST_KEY || text.charCodeAt(this.#at) !== COLON) throw OTHER;
      this.#at += 1;
    } else {
      name = this.#key(offset);
      this.#at = offset + name.length + 1;
    }
    if (Object.hasOwn(map, name)) throw OTHER;
    this.#skipSpaces();
    map[name] = this.#flowValue(path === "" ? name : `${path}.${name}`, offset, depth + 1);
  }

  #flowValue(path: string, key: number | undefined, depth: number): unknown {
    const text = this.#text;
    const start = this.#at;
    const code = text.charCodeAt(start);
    if (code === OPEN_LIST || code === OPEN_MAP) return this.#flow(path, key, depth);
    this.#place(path, start, key, false);
    if (code === SINGLE || code === DOUBLE) return this.#quoted();
    let [at, end] = [start, start];
    for (; at < this.#end; at++) {
      const sign = text.charCodeAt(at);
      if (sign === COMMA || sign === CLOSE_LIST || sign === CLOSE_MAP) break;
      if (sign === NEWLINE || sign === HASH || sign === OPEN_LIST || sign === OPEN_MAP) throw OTHER;
      if (sign === SPACE) continue;
      if (sign === COLON && /[ ,[\]{}\n]/.test(text[at + 1] ?? "\n")) throw OTHER;
      end = at + 1;
    }
    this.#at = at;
    return scalarOf(text.slice(start, end));
  }
}

/** A plain scalar by YAML's core schema. https://yaml.org/spec/1.2.2/#103-core-schema */
function scalarOf(text: string): unknown {
  const first = text.charCodeAt(0);
  // Digits and dots: a number, an address, a duration, ...
  if (first < 58 && first > 45) {
    if (INTEGER.test(text) || DECIMAL.test(text)) return Number(text);
    if (NUMERIC.test(text)) throw OTHER;
    return text;
  }
  if (text === "" || !FIRST.test(text[0] ?? "")) throw OTHER;
  if (text.length < 6 && WORD.test(text)) {
    const word = text.toLowerCase();
    if (word === "null") throw OTHER;
    return word === "true";
  }
  return text;
}
