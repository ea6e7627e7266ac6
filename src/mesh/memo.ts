/**
 * Identity, kept: the same inputs (===) give the same output (===), so that what was made from a part can be kept with it, and nobody tracks what is
 * dirty. Nothing here keeps a Mesh alive that nobody holds any more.
 */
import { attachment } from "../lib/attachment.ts";

/** What hangs on an object, in one record. */
interface Hanging {
  /** Whether `lasting` was said of it. */
  isLasting: boolean;
  /** numberOf; 0 where nobody asked. */
  number: number;
  /** internList's list of it alone. */
  single: readonly object[] | undefined;
  /** retain's places, each before what is kept there: as a rule one, for which a Map would be large. */
  retained: unknown[] | Map<unknown, unknown> | undefined;
  /** Nodes of memos: for each the memo's level, the node before it, and the node. */
  nodes: unknown[] | undefined;
}

const records = attachment<Hanging>();

function recordOf(object: object): Hanging {
  const known = records.get(object);
  if (known) return known;
  const created: Hanging = { isLasting: false, number: 0, single: undefined, retained: undefined, nodes: undefined };
  records.set(object, created);
  return created;
}

/**
 * `compute`, remembering its result for each sequence of argument objects, for as long as all arguments live. An argument lives at least as
 * long as the result does. `compute` must be pure.
 */
export function memoize<Args extends readonly object[], Result>(compute: (...args: Args) => Result): (...args: Args) => Result {
  const levels: Level[] = [];
  const levelAt = (at: number): Level => {
    levels[at] ??= {};
    return levels[at];
  };
  let alone: Node | undefined;
  return (...args) => {
    let node: Node | undefined;
    for (let at = 0; at < args.length; at++) node = nextNode(node, args[at] as object, levelAt(at));
    if (!node) {
      alone ??= new Node();
      node = alone;
    }
    if (!node.isMade) {
      const value = compute(...args);
      node.result = value;
      node.isMade = true;
      // A list that is only an argument would be collected, and the result forgotten, though a Mesh still holds the result.
      if (typeof value === "object" && value !== null) retain(value, args, levels);
    }
    return node.result as Result;
  };
}

/** Says that a value is the first argument of memos for thousands of others, and outlives most of them: the mesh's settings, and what stands for nothing. */
export function lasting<T extends object>(value: T): T {
  recordOf(value).isLasting = true;
  return value;
}

/** One argument of one memo: what its nodes are known by on that argument. */
type Level = object;

/** What is known after some arguments. */
class Node {
  isMade = false;
  result: unknown;
  /** Whether it is that of a first argument that is `lasting`. */
  isLasting = false;
  /** The argument that came last of those that followed, and its node: it lives as long as this one. */
  step: object | undefined;
  child: Node | undefined;
  /** Of arguments for which there was no other place. */
  more: WeakMap<object, Node> | undefined;
}

/**
 * The node of `step` after `node`. The newest is in the node before it, which as a rule is the only one; after what is `lasting` each is with its own argument, if no newer one of this memo is
 * there. All others are in WeakMaps, as long as both arguments live; those are costly (src/lib/attachment.ts), and few. So a part holds the newest of what it was in at most: were it an
 * older one, parts that live for a while would hold a chain of all that ever was (test/mesh/forgotten.test.ts).
 */
function nextNode(node: Node | undefined, step: object, level: Level): Node {
  const record = recordOf(step);
  if (!node) {
    const known = nodeAt(record.nodes, level);
    if (known >= 0) return record.nodes?.[known + 2] as Node;
    const created = new Node();
    created.isLasting = record.isLasting;
    record.nodes ??= [];
    record.nodes.push(level, undefined, created);
    return created;
  }
  if (node.step === step) return node.child as Node;
  const elsewhere = (node.isLasting ? hungAt(record, level, node) : undefined) ?? node.more?.get(step);
  if (elsewhere) return elsewhere;
  const created = new Node();
  if (node.isLasting) hang(step, record, level, node, created);
  else {
    if (node.step && node.child) pushOut(node, node.step, node.child);
    node.step = step;
    node.child = created;
  }
  return created;
}

function hungAt({ nodes }: Hanging, level: Level, node: Node): Node | undefined {
  const at = nodeAt(nodes, level);
  return at >= 0 && nodes?.[at + 1] === node ? (nodes[at + 2] as Node) : undefined;
}

function hang(step: object, record: Hanging, level: Level, node: Node, child: Node): void {
  record.nodes ??= [];
  const at = nodeAt(record.nodes, level);
  if (at < 0) {
    record.nodes.push(level, node, child);
    return;
  }
  pushOut(record.nodes[at + 1] as Node, step, record.nodes[at + 2] as Node);
  record.nodes[at + 1] = node;
  record.nodes[at + 2] = child;
}

function pushOut(node: Node, step: object, child: Node): void {
  node.more ??= new WeakMap();
  node.more.set(step, child);
}

function nodeAt(nodes: readonly unknown[] | undefined, level: Level): number {
  if (nodes) for (let at = 0; at < nodes.length; at += 3) if (nodes[at] === level) return at;
  return -1;
}

const FEW = 16;

/**
 * Keeps `dependency` alive as long as `owner` lives, or until another takes its place: for each `place` the last one. What is made of ever new
 * parts and stays the same object would else keep all that it was ever made of.
 */
export function retain(owner: object, dependency: unknown, place: unknown = dependency): void {
  const record = recordOf(owner);
  const known = record.retained;
  if (known === undefined) {
    record.retained = [place, dependency];
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
  if (known.length > FEW) record.retained = new Map(pairsOf(known));
}

function* pairsOf(flat: readonly unknown[]): Generator<[unknown, unknown]> {
  for (let at = 0; at < flat.length; at += 2) yield [flat[at], flat[at + 1]];
}

let lastNumber = 0;

/** The same for the same object, and no other's ever. */
export function numberOf(object: object): number {
  const record = recordOf(object);
  if (record.number === 0) {
    lastNumber += 1;
    record.number = lastNumber;
  }
  return record.number;
}

const lists = new Map<string, WeakRef<readonly object[]>>();
const forgotten = new FinalizationRegistry<string>((key) => {
  if (lists.get(key)?.deref() === undefined) lists.delete(key);
});

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

/** It lives as long as its element. */
function singleOf<T extends object>(only: T): readonly T[] {
  const record = recordOf(only);
  record.single ??= [only];
  return record.single as readonly T[];
}

/** Values kept by their content: one object for each key, for as long as anybody holds it. */
export class Pool {
  constructor() {
    lasting(this);
  }

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
