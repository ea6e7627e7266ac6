/**
 * Numbers for what requests say: proxies that see the same mesh ask for the same names, each in an order of its own (Envoy keeps them in hash
 * sets). Two requests with the same number mean the same; what is asked for rarely gets a new number each time.
 */

/** What is remembered, of all requests together. Names are short, and mostly those that weft has anyway. */
const MAX_REQUESTS = 256;
const MAX_CHARACTERS = 32 * 1024 * 1024;
/** What a name takes besides its characters, about: it stands in a list and in a set. */
const NAME_BYTES = 64;
/** A request with more is not remembered: nobody else will ask the same. */
const MAX_NAMES = 200_000;
/** So many requests with as many names each are compared. */
const MAX_COMPARED = 8;

interface Known {
  readonly id: number;
  readonly lists: readonly (readonly string[])[];
  readonly sets: readonly ReadonlySet<string>[];
  readonly characters: number;
}

/** Of all that count. */
let lastId = 0;

export class RequestContents {
  /** By what costs nothing to compare; the oldest first. */
  private readonly known = new Map<string, readonly Known[]>();
  private requests = 0;
  private characters = 0;

  /** undefined where a list names something twice. `text`: what is to be the same besides. */
  of(text: string, ...lists: readonly (readonly string[])[]): number | undefined {
    const key = `${lists.map((list) => list.length).join()} ${text}`;
    const candidates = this.known.get(key) ?? [];
    const same = candidates.find((candidate) => candidate.lists.every((list, at) => sameList(list, lists[at])));
    if (same) {
      // What is asked for often stays.
      this.known.delete(key);
      this.known.set(key, candidates);
      return same.id;
    }
    if (lists.reduce((sum, list) => sum + list.length, 0) > MAX_NAMES) return undefined;
    const sets = lists.map((list) => new Set(list));
    if (sets.some((set, at) => set.size !== lists[at]?.length)) return undefined;
    const equal = candidates.find((candidate) => candidate.sets.every((set, at) => sameSet(set, lists[at])));
    return (equal ?? this.remember(key, candidates, lists, sets)).id;
  }

  private remember(key: string, candidates: readonly Known[], lists: Known["lists"], sets: Known["sets"]): Known {
    lastId += 1;
    const characters = lists.flat().reduce((sum, name) => sum + name.length + NAME_BYTES, key.length);
    const known = { id: lastId, lists, sets, characters };
    const kept = [known, ...candidates].slice(0, MAX_COMPARED);
    this.known.delete(key);
    this.known.set(key, kept);
    this.requests += kept.length - candidates.length;
    this.characters += count(kept) - count(candidates);
    for (const [oldest, dropped] of this.known) {
      if ((this.requests <= MAX_REQUESTS && this.characters <= MAX_CHARACTERS) || oldest === key) break;
      this.known.delete(oldest);
      this.requests -= dropped.length;
      this.characters -= count(dropped);
    }
    return known;
  }
}

const count = (all: readonly Known[]) => all.reduce((sum, { characters }) => sum + characters, 0);

function sameList(one: readonly string[], other: readonly string[] | undefined): boolean {
  return other !== undefined && one.every((name, at) => name === other[at]);
}

function sameSet(set: ReadonlySet<string>, list: readonly string[] | undefined): boolean {
  return list?.every((name) => set.has(name)) === true;
}
