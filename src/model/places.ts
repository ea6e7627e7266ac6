/** Where the parts of a document stand in the user's text. */
import type { Source } from "./resource.ts";

export interface Position {
  readonly line: number;
  readonly column: number;
}

interface Place {
  /** Offset of the value. */
  readonly value: number;
  /** Offset of the key, where the part is a mapping's value. */
  readonly key?: number;
  /** A list or a mapping. */
  readonly collection: boolean;
  /** Of the key, or of the value that has none, where it is known already. */
  readonly line?: number;
}

/** The lines of a text, found when the first place in it is asked for: few of those who read a text ask. */
export class Lines {
  readonly #text: string;
  #starts: number[] | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** 1-based. */
  linePos(offset: number): { readonly line: number; readonly col: number } {
    this.#starts ??= startsOf(this.#text);
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return { line: low, col: offset - (this.#starts[low - 1] ?? 0) + 1 };
  }
}

function startsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** The places of one document, by dotted path; "" is the document. */
export class Places {
  #lines: Lines;
  /** In the order in which they were set; of a path that was set again the last one counts. */
  #paths: string[] = [];
  #list: Place[] = [];
  #byPath: Map<string, Place> | undefined;
  #base: number;

  /** @param base where the text begins that offsets are counted in, in the text of `lines` */
  constructor(lines: Lines, base = 0) {
    this.#lines = lines;
    this.#base = base;
  }

  set(path: string, place: Place): void {
    this.#paths.push(path);
    this.#list.push(place);
    this.#byPath = undefined;
  }

  /** The place of the part at `path`, or of the nearest part around it. A collection is shown by its key, a scalar by itself. */
  find(path: readonly (string | number)[], atKey = false): Position {
    this.#byPath ??= new Map(this.#entries());
    for (let depth = path.length; depth >= 0; depth--) {
      const place = this.#byPath.get(path.slice(0, depth).join("."));
      if (!place) continue;
      const whole = depth === path.length;
      const byKey = place.key !== undefined && (place.collection || (whole && atKey));
      return this.position(byKey ? (place.key ?? place.value) : place.value);
    }
    return { line: 1, column: 1 };
  }

  /** 1-based. */
  position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset + this.#base);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** The line of every part: of its key, where it has one. */
  lines(): Record<string, number> {
    const lines: Record<string, number> = {};
    for (const [at, place] of this.#list.entries()) {
      lines[this.#paths[at] ?? ""] = place.line ?? this.position(place.key ?? place.value).line;
    }
    return lines;
  }

  #entries(): [string, Place][] {
    return this.#list.map((place, at) => [this.#paths[at] ?? "", place]);
  }

  /** The places of each item of the list at `prefix`, as documents of their own. */
  split(prefix: string): Places[] {
    const items: Places[] = [];
    for (const [path, place] of this.#entries()) {
      if (!path.startsWith(`${prefix}.`)) continue;
      const rest = path.slice(prefix.length + 1);
      const dot = rest.indexOf(".");
      const index = Number(dot < 0 ? rest : rest.slice(0, dot));
      items[index] ??= new Places(this.#lines, this.#base);
      items[index].set(dot < 0 ? "" : rest.slice(dot + 1), place);
    }
    return items;
  }
}

/** The places of resources that were parsed just now. What is stored keeps lines only, which cost less and say enough. */
const kept = new WeakMap<Source, Places>();

/** The source of a document, with its columns for as long as this very object lives. */
export function sourceOf(file: string, places: Places): Source {
  const source = { file, lines: places.lines() };
  kept.set(source, places);
  return source;
}

/** Line and column of the part at `path`, or of the nearest part around it; undefined for what comes from the store. */
export function positionIn(source: Source, path: readonly (string | number)[]): Position | undefined {
  return kept.get(source)?.find(path);
}
