/**
 * Immutable maps that share what they have in common: a changed copy costs what the change does, and what two versions differ in is found
 * without looking at the rest. Pure; no map changes once it is made.
 */

import { Deferred, known, type Slot } from "./deferred.ts";

/** Values stand in chunks of this many: a copy with one change copies one chunk, and the list of the chunks. */
const CHUNK = 256;

/** The places of keys, shared by all versions of a map: it only grows, so that an older version finds nothing at a younger one's place. */
interface Places {
  readonly byKey: Map<string, number>;
  readonly keys: string[];
}

function isMostlyGone({ keys }: Places, size: number): boolean {
  return keys.length > 2 * size + 4 * CHUNK;
}

type Chunk<V> = readonly Slot<V>[];

const NOTHING: Chunk<never> = [];
const NO_KEYS: readonly string[] = [];

/** By text keys, sorted by their code units. `undefined` is no value. */
export class PersistentMap<V> implements ReadonlyMap<string, V> {
  readonly size: number;
  readonly #places: Places;
  readonly #chunks: readonly Chunk<V>[];
  /** Places in the order of their keys. */
  readonly #order: Int32Array;

  private constructor(places: Places, chunks: readonly Chunk<V>[], order: Int32Array) {
    this.#places = places;
    this.#chunks = chunks;
    this.#order = order;
    this.size = order.length;
  }

  /** Of several values for a key the last holds. */
  static of<V>(entries: Iterable<readonly [string, V]>): PersistentMap<V> {
    const last = new Map(entries);
    // By code units, as without a comparison of one's own.
    const keys = [...last.keys()].sort();
    const chunks: V[][] = [];
    const byKey = new Map<string, number>();
    for (const [place, key] of keys.entries()) {
      if (place % CHUNK === 0) chunks.push([]);
      chunks.at(-1)?.push(last.get(key) as V);
      byKey.set(key, place);
    }
    return new PersistentMap<V>(
      { byKey, keys },
      chunks,
      Int32Array.from(keys, (_, place) => place),
    );
  }

  /** A value for each key, made of the key when it is first asked for. `make` must be pure. Shares the keys' places. */
  derive<W>(make: (key: string) => W): PersistentMap<W> {
    const chunks = this.#chunks.map((chunk) => chunk.map((slot) => (slot === undefined ? undefined : new Deferred(make))));
    return new PersistentMap<W>(this.#places, chunks, this.#order);
  }

  /** The map with `made`, whose keys are all of this one: without sorting them again where they are most of it. */
  withValues<W>(made: ReadonlyMap<string, W>): PersistentMap<W> {
    if (made.size < this.size) return PersistentMap.of(made);
    const { keys } = this.#places;
    const chunks = this.#chunks.map((chunk, number) =>
      chunk.map((slot, at) => (slot === undefined ? undefined : made.get(keys[number * CHUNK + at] ?? ""))),
    );
    return new PersistentMap<W>(this.#places, chunks, this.#order);
  }

  /** With other values for some keys, `undefined` for those that are to go; the map itself where all are as before (===). */
  with(changes: Iterable<readonly [string, V | undefined]>): PersistentMap<V> {
    if (this.size === 0) {
      const some = [...changes].filter((entry): entry is readonly [string, V] => entry[1] !== undefined);
      return some.length === 0 ? this : PersistentMap.of(some);
    }
    const places = this.#places;
    // Versions that were made and dropped (a dry run's) have left their keys here: what comes next leaves its own elsewhere.
    if (isMostlyGone(places, this.size)) {
      const moved = PersistentMap.of(this);
      const next = moved.with(changes);
      return next === moved ? this : next;
    }
    const copies = new Map<number, Slot<V>[]>();
    const touched = new Map<number, boolean>();
    for (const [key, value] of changes) {
      let place = places.byKey.get(key);
      if (place === undefined) {
        if (value === undefined) continue;
        place = places.keys.push(key) - 1;
        places.byKey.set(key, place);
      }
      const number = Math.floor(place / CHUNK);
      const chunk = copies.get(number) ?? this.#chunks[number] ?? NOTHING;
      const before = chunk[place % CHUNK];
      if (known(before) === value) continue;
      const copy = copies.get(number) ?? [...chunk];
      // A hole would be slow, and would be copied as one.
      while (copy.length < place % CHUNK) copy.push(undefined);
      copy[place % CHUNK] = value;
      copies.set(number, copy);
      if (!touched.has(place)) touched.set(place, before !== undefined);
    }
    if (copies.size === 0) return this;
    const chunks = [...this.#chunks];
    for (const [number, copy] of copies) {
      while (chunks.length < number) chunks.push(NOTHING);
      chunks[number] = copy;
    }
    const next = new PersistentMap<V>(places, chunks, this.#orderWith(touched, chunks));
    // Places of keys that are gone are not given again: when they are the most, the map moves to places of its own.
    return isMostlyGone(places, next.size) ? PersistentMap.of(next) : next;
  }

  /** `touched`: by place, whether it had a value before. */
  #orderWith(touched: ReadonlyMap<number, boolean>, chunks: readonly Chunk<V>[]): Int32Array {
    const { keys } = this.#places;
    const has = (place: number) => chunks[Math.floor(place / CHUNK)]?.[place % CHUNK] !== undefined;
    const gone = new Set([...touched].flatMap(([place, had]) => (had && !has(place) ? [place] : [])));
    const added = [...touched].flatMap(([place, had]) => (!had && has(place) ? [place] : []));
    if (gone.size === 0 && added.length === 0) return this.#order;
    const left = gone.size === 0 ? this.#order : this.#order.filter((place) => !gone.has(place));
    if (added.length === 0) return left;
    const text = (place: number) => keys[place] ?? "";
    added.sort((a, b) => compare(text(a), text(b)));
    const order = new Int32Array(left.length + added.length);
    let [from, to] = [0, 0];
    for (const place of added) {
      const until = lowerBound(left, (other) => compare(text(other), text(place)) < 0, from);
      order.set(left.subarray(from, until), to);
      to += until - from;
      order[to] = place;
      to += 1;
      from = until;
    }
    order.set(left.subarray(from), to);
    return order;
  }

  /** Keys whose value is new, gone or another (===) in `after`; undefined where the two have no common origin. */
  changesTo(after: PersistentMap<V>): readonly string[] | undefined {
    if (this.#places !== after.#places) return undefined;
    if (this.#chunks === after.#chunks) return NO_KEYS;
    const changed: string[] = [];
    const count = Math.max(this.#chunks.length, after.#chunks.length);
    for (let number = 0; number < count; number++) {
      const [one, other] = [this.#chunks[number] ?? NOTHING, after.#chunks[number] ?? NOTHING];
      if (one === other) continue;
      const length = Math.max(one.length, other.length);
      for (let at = 0; at < length; at++)
        if (known(one[at]) !== known(other[at])) changed.push(this.#places.keys[number * CHUNK + at] ?? "");
    }
    return changed;
  }

  get(key: string): V | undefined {
    const place = this.#places.byKey.get(key);
    return place === undefined ? undefined : this.#at(place, key);
  }

  has(key: string): boolean {
    const place = this.#places.byKey.get(key);
    return place !== undefined && this.#chunks[Math.floor(place / CHUNK)]?.[place % CHUNK] !== undefined;
  }

  #at(place: number, key: string): V | undefined {
    const slot = this.#chunks[Math.floor(place / CHUNK)]?.[place % CHUNK];
    return slot instanceof Deferred ? slot.at(key) : slot;
  }

  forEach(each: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) each(value, key, this);
  }

  *keys(): Generator<string, undefined> {
    for (const place of this.#order) yield this.#places.keys[place] ?? "";
    return undefined;
  }

  *values(): Generator<V, undefined> {
    for (const place of this.#order) yield this.#at(place, this.#places.keys[place] ?? "") as V;
    return undefined;
  }

  *entries(): Generator<[string, V], undefined> {
    for (const place of this.#order) {
      const key = this.#places.keys[place] ?? "";
      yield [key, this.#at(place, key) as V];
    }
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, V], undefined> {
    return this.entries();
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The first index from `from` at which `isBefore` does not hold. */
export function lowerBound<T>(sorted: ArrayLike<T>, isBefore: (one: T) => boolean, from = 0): number {
  let [low, high] = [from, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(sorted[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `own` over `shared`, as new Map([...shared, ...own]) would be, without a copy of what is shared. `own` should be small. */
export class LayeredMap<V> implements ReadonlyMap<string, V> {
  readonly size: number;
  readonly shared: ReadonlyMap<string, V>;
  readonly own: ReadonlyMap<string, V>;

  constructor(shared: ReadonlyMap<string, V>, own: ReadonlyMap<string, V>) {
    this.shared = shared;
    this.own = own;
    let both = 0;
    for (const key of own.keys()) if (shared.has(key)) both += 1;
    this.size = shared.size + own.size - both;
  }

  get(key: string): V | undefined {
    return this.own.get(key) ?? this.shared.get(key);
  }

  has(key: string): boolean {
    return this.own.has(key) || this.shared.has(key);
  }

  forEach(each: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) each(value, key, this);
  }

  *keys(): Generator<string, undefined> {
    yield* this.shared.keys();
    for (const key of this.own.keys()) if (!this.shared.has(key)) yield key;
    return undefined;
  }

  *values(): Generator<V, undefined> {
    for (const [, value] of this.entries()) yield value;
    return undefined;
  }

  *entries(): Generator<[string, V], undefined> {
    for (const [key, value] of this.shared) yield [key, this.own.get(key) ?? value];
    for (const [key, value] of this.own) if (!this.shared.has(key)) yield [key, value];
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, V], undefined> {
    return this.entries();
  }
}

/** Keys whose value is new, gone or another (===) in `after`, each once; costs what the difference does where the maps share their origin. */
export function changedKeys<V>(before: ReadonlyMap<string, V> | undefined, after: ReadonlyMap<string, V>): readonly string[] {
  if (before === after) return NO_KEYS;
  if (before instanceof PersistentMap && after instanceof PersistentMap) {
    const changed = before.changesTo(after);
    if (changed) return changed;
  }
  if (before instanceof LayeredMap && after instanceof LayeredMap) {
    const changed = new Set([...changedKeys(before.shared, after.shared), ...changedKeys(before.own, after.own)]);
    return [...changed].filter((key) => before.get(key) !== after.get(key));
  }
  const changed: string[] = [];
  for (const [key, value] of after) if (before?.get(key) !== value) changed.push(key);
  for (const key of before?.keys() ?? []) if (!after.has(key)) changed.push(key);
  return changed;
}
