/**
 * Identity, kept: the same inputs (===) give the same output (===), so that what was made from a part can be kept in a WeakMap keyed by
 * it, and nobody tracks what is dirty. Entries go when their inputs go.
 */

/** `compute`, remembering its result for each sequence of argument objects. `compute` must be pure. */
export function memoize<Args extends readonly object[], Result>(compute: (...args: Args) => Result): (...args: Args) => Result {
  const root: TrieNode<Result> = {};
  return (...args) => {
    const node = descend(root, args);
    if (!node.result) node.result = { value: compute(...args) };
    return node.result.value;
  };
}

const lists: TrieNode<readonly object[]> = {};

/** The one list with these elements, in this order: two calls with the same elements give the same array. */
export function internList<T extends object>(elements: readonly T[]): readonly T[] {
  const node = descend(lists, elements);
  if (!node.result) node.result = { value: [...elements] };
  return node.result.value as readonly T[];
}

interface TrieNode<Result> {
  next?: WeakMap<object, TrieNode<Result>>;
  result?: { readonly value: Result };
}

function descend<Result>(root: TrieNode<Result>, path: readonly object[]): TrieNode<Result> {
  let node = root;
  for (const step of path) {
    node.next ??= new WeakMap();
    let next = node.next.get(step);
    if (!next) {
      next = {};
      node.next.set(step, next);
    }
    node = next;
  }
  return node;
}

/**
 * Values kept by their content: one object for each key, and the object of the build before where there was one. Only what a build asks
 * for lives on to the next.
 */
export class Pool {
  readonly #before: ReadonlyMap<string, unknown>;
  readonly #now = new Map<string, unknown>();

  constructor(before?: Pool) {
    this.#before = before ? before.#now : new Map();
  }

  /** `key` must say all that `make` depends on. */
  keep<T>(key: string, make: () => T): T {
    const known = this.#now.get(key) ?? this.#before.get(key);
    const value = known === undefined ? make() : (known as T);
    this.#now.set(key, value);
    return value;
  }

  /** The one array with these strings. */
  strings(values: readonly string[]): readonly string[] {
    return this.keep(`strings ${JSON.stringify(values)}`, () => values);
  }
}
