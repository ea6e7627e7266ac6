/**
 * What a build made of which inputs, so that the next one makes only what has other inputs. Inputs are compared by identity; nobody says what
 * changed. Each build has a Stages of its own, which refers to none before it.
 */
import { changedKeys, PersistentMap } from "../lib/persistent-map.ts";

interface Stage {
  readonly inputs: readonly unknown[];
  readonly value: unknown;
}

export class Stages {
  #before: ReadonlyMap<string, Stage>;
  readonly #now = new Map<string, Stage>();

  constructor(before?: Stages) {
    this.#before = before ? before.#now : new Map();
  }

  /** The build is done: what it was made from is let go. */
  close(): void {
    this.#before = new Map();
  }

  /** The value before where the inputs are the same; else what `make` makes, of the value before if it likes. `name` is given once a build. */
  once<T>(name: string, inputs: readonly unknown[], make: (before: T | undefined) => T): T {
    const before = this.#before.get(name);
    const isSame = before?.inputs.length === inputs.length && inputs.every((input, at) => input === before.inputs[at]);
    const value = isSame ? (before.value as T) : make(before?.value as T | undefined);
    this.#now.set(name, { inputs, value });
    return value;
  }

  /**
   * A value for each entry of `source` that has one, by its key. `build` makes those of the entries that it is given; each depends on its entry and
   * the inputs only. Where an input is another than in the build before, `affected` may say, by those of then, for which keys besides those
   * that changed in `source`; undefined is all.
   */
  perKey<A, B>(
    name: string,
    source: PersistentMap<A>,
    inputs: readonly unknown[],
    build: (some: ReadonlyMap<string, A>) => ReadonlyMap<string, B>,
    affected?: (before: readonly unknown[]) => Iterable<string> | undefined,
  ): PersistentMap<B> {
    const before = this.#before.get(name);
    const built = before?.value as Built<A, B> | undefined;
    const isSame = before !== undefined && inputs.every((input, at) => input === before.inputs[at]);
    const others = isSame ? [] : before && affected?.(before.inputs);
    const whole = () => (built ? replaced(built.result, build(source)) : source.withValues(build(source)));
    const result = built && others ? patch(built, source, others, build) : whole();
    this.#now.set(name, { inputs, value: { source, result } });
    return result;
  }

  /**
   * The same where each entry of `source` has a value: the first build of a mesh leaves each to be made when somebody asks for it. `build` must
   * cost a single entry what that entry does.
   */
  perKeyAsked<A, B>(
    name: string,
    source: PersistentMap<A>,
    inputs: readonly unknown[],
    build: (some: ReadonlyMap<string, A>) => ReadonlyMap<string, B>,
    affected?: (before: readonly unknown[]) => Iterable<string> | undefined,
  ): PersistentMap<B> {
    if (this.#before.has(name)) return this.perKey(name, source, inputs, build, affected);
    const result = source.derive((key) => build(new Map([[key, source.get(key) as A]])).get(key) as B);
    this.#now.set(name, { inputs, value: { source, result } });
    return result;
  }
}

interface Built<A, B> {
  readonly source: PersistentMap<A>;
  readonly result: PersistentMap<B>;
}

function patch<A, B>(
  before: Built<A, B>,
  source: PersistentMap<A>,
  others: Iterable<string>,
  build: (some: ReadonlyMap<string, A>) => ReadonlyMap<string, B>,
): PersistentMap<B> {
  const keys = new Set([...changedKeys(before.source, source), ...others]);
  if (keys.size === 0) return before.result;
  const some = new Map<string, A>();
  for (const key of keys) {
    const one = source.get(key);
    if (one !== undefined) some.set(key, one);
  }
  const made = some.size > 0 ? build(some) : new Map<string, B>();
  return before.result.with([...keys].map((key) => [key, made.get(key)]));
}

/** Some of the entries, by their keys alone: no value is asked for that is left out. */
export function pick<V>(all: ReadonlyMap<string, V>, isWanted: (key: string) => boolean): ReadonlyMap<string, V> {
  const picked = new Map<string, V>();
  for (const key of all.keys()) if (isWanted(key)) picked.set(key, all.get(key) as V);
  return picked;
}

/** `made` as a version of `before`, so that what is the same is found without looking. */
export function replaced<V>(before: PersistentMap<V> | undefined, made: ReadonlyMap<string, V>): PersistentMap<V> {
  if (!before) return PersistentMap.of(made);
  const gone = [...before.keys()].filter((key) => !made.has(key)).map((key) => [key, undefined] as const);
  return before.with([...made, ...gone]);
}
