/**
 * Identity, kept: the same inputs (===) give the same output (===), so that what was made from a part can be kept in a WeakMap keyed by
 * it, and nobody tracks what is dirty. Nothing here keeps anything alive that no Mesh holds any more.
 */

/**
 * `compute`, remembering its result for each sequence of argument objects, for as long as all arguments live. An argument lives at least as
 * long as the result does. `compute` must be pure.
 */
export function memoize<Args extends readonly object[], Result>(compute: (...args: Args) => Result): (...args: Args) => Result {
  const root: TrieNode<Result> = {};
  return (...args) => {
    let node = root;
    for (const arg of args) node = next(node, arg);
    if (!node.result) {
      const value = compute(...args);
      node.result = { value };
      // A list that is only an argument would be collected, and the result forgotten, though a Mesh still holds the result.
      if (typeof value === "object" && value !== null) retain(value, args, root);
    }
    return node.result.value;
  };
}

interface TrieNode<Result> {
  next?: WeakMap<object, TrieNode<Result>>;
  result?: { readonly value: Result };
}

function next<Result>(node: TrieNode<Result>, step: object): TrieNode<Result> {
  node.next ??= new WeakMap();
  const known = node.next.get(step);
  if (known) return known;
  const created: TrieNode<Result> = {};
  node.next.set(step, created);
  return created;
}

/** Places, each before what is kept there: as a rule one, for which a Map would be large. */
const retained = new WeakMap<object, unknown[] | Map<unknown, unknown>>();
const FEW = 16;

/**
 * Keeps `dependency` alive as long as `owner` lives, or until another takes its place: for each `place` the last one. What is made of ever new
 * parts and stays the same object would else keep all that it was ever made of.
 */
export function retain(owner: object, dependency: unknown, place: unknown = dependency): void {
  const known = retained.get(owner);
  if (known === undefined) {
    retained.set(owner, [place, dependency]);
    return;
  }
  if (known instanceof Map) {
    known.set(place, dependency);
    return;
  }
  for (let at = 0; at < known.length; at += 2) {
    if (known[at] !== place) continue;
    known[at + 1] = dependency;
    return;
  }
  known.push(place, dependency);
  if (known.length > FEW) retained.set(owner, new Map(pairsOf(known)));
}

function* pairsOf(flat: readonly unknown[]): Generator<[unknown, unknown]> {
  for (let at = 0; at < flat.length; at += 2) yield [flat[at], flat[at + 1]];
}

const numbers = new WeakMap<object, number>();
let lastNumber = 0;

/** The same for the same object, and no other's ever. */
export function numberOf(object: object): number {
  const known = numbers.get(object);
  if (known !== undefined) return known;
  lastNumber += 1;
  numbers.set(object, lastNumber);
  return lastNumber;
}

const lists = new Map<string, WeakRef<readonly object[]>>();
const forgotten = new FinalizationRegistry<string>((key) => {
  if (lists.get(key)?.deref() === undefined) lists.delete(key);
});

/** Lists of one element live as long as that. */
const singles = new WeakMap<object, readonly object[]>();
const EMPTY: readonly never[] = [];

/** The one list with these elements, in this order: two calls with the same elements give the same array, while anyone holds it. */
export function internList<T extends object>(elements: readonly T[]): readonly T[] {
  const [only] = elements;
  if (only === undefined) return EMPTY;
  if (elements.length === 1) return singleOf(only);
  const key = elements.map(numberOf).join();
  const known = lists.get(key)?.deref();
  // Numbers are never given twice, so the elements of a list with this key are these.
  if (known) return known as readonly T[];
  const list = [...elements];
  lists.set(key, new WeakRef(list));
  forgotten.register(list, key);
  return list;
}

function singleOf<T extends object>(only: T): readonly T[] {
  const known = singles.get(only);
  if (known) return known as readonly T[];
  const list = [only];
  singles.set(only, list);
  return list;
}

/** Values kept by their content: one object for each key, for as long as anybody holds it. */
export class Pool {
  readonly #values = new Map<string, WeakRef<object>>();
  readonly #forgotten = new FinalizationRegistry<string>((key) => {
    if (this.#values.get(key)?.deref() === undefined) this.#values.delete(key);
  });

  /** `key` must say all that `make` depends on. */
  keep<T extends object>(key: string, make: () => T): T {
    const known = this.#values.get(key)?.deref();
    if (known !== undefined) return known as T;
    const value = make();
    this.#values.set(key, new WeakRef(value));
    this.#forgotten.register(value, key);
    return value;
  }

  /** The one array with these strings. */
  strings(values: readonly string[]): readonly string[] {
    return this.keep(`strings ${JSON.stringify(values)}`, () => values);
  }
}
