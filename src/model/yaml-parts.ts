/** Where the documents of an input begin and end, seen by their marks alone. */

/** One document, or the whole input where it cannot be told apart. */
export interface Part {
  /** Of its mark, where it has one. */
  readonly start: number;
  /** After its last line. */
  readonly end: number;
  /** Where its lines after the mark begin, in plain ASCII without tabs; undefined where there may be more to it. */
  readonly content: number | undefined;
  /** The line of `content`, from 1. */
  readonly line: number;
}

/** Directives, the other mark, and line ends and marks of other systems: what is before and after them depends on them. */
const WHOLE = /^(?:%|\.\.\.)|[\r\ufeff\u2028\u2029\u0085]/m;
const MARK = /^---(?=[ \n]|$(?![\s\S]))/gm;
const BARE_MARK = /--- *(?:#[^\n]*)?(?:\n|$)/y;
const NOT_PLAIN = /[^\x20-\x7e\n]/;

/**
 * A mark at the beginning of a line ends the document before it wherever it stands, in a scalar too (YAML 1.2.2, 9.1.2), so that documents can be
 * read one by one.
 * @param most more documents than these are not told apart
 */
export function partsOf(text: string, most: number): readonly Part[] {
  const whole = [{ start: 0, end: text.length, content: undefined, line: 1 }];
  if (WHOLE.test(text)) return whole;
  const marks: number[] = [];
  for (const { index } of text.matchAll(MARK)) if (marks.push(index) > most) return whole;
  if (marks[0] !== 0) marks.unshift(0);
  const allPlain = !NOT_PLAIN.test(text);
  const parts: Part[] = [];
  let line = 1;
  for (const [index, start] of marks.entries()) {
    const end = marks[index + 1] ?? text.length;
    const isPlain = allPlain || !NOT_PLAIN.test(text.slice(start, end));
    BARE_MARK.lastIndex = start;
    const isMarked = text.startsWith("---", start) && (index > 0 || MARK_AT_START.test(text));
    const isBare = isMarked && BARE_MARK.test(text);
    const content = isPlain && isMarked === isBare ? (isBare ? BARE_MARK.lastIndex : start) : undefined;
    parts.push({ start, end, content, line: isBare ? line + 1 : line });
    for (let at = text.indexOf("\n", start); at >= 0 && at < end; at = text.indexOf("\n", at + 1)) line += 1;
  }
  return parts;
}

const MARK_AT_START = /^---(?:[ \n]|$)/;
