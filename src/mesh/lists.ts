/** Long sorted lists of which a few elements change: a changed copy costs a copy of the references, and is known to come from the one before. */

import { lowerBound } from "../lib/persistent-map.ts";
import { compareText } from "./hosts.ts";
import { numberOf } from "./memo.ts";

const patches = new WeakMap<readonly object[], Map<string, WeakRef<readonly object[]>>>();
const predecessors = new WeakMap<readonly object[], WeakRef<readonly object[]>>();

/**
 * The list with some elements in the place of others, sorted by name as it is, of which no two have the same; the same object for the same change of
 * the same list.
 */
export function patchSorted<T extends object>(
  list: readonly T[],
  before: readonly T[],
  after: readonly T[],
  nameOf: (one: T) => string,
): readonly T[] {
  const gone = before.filter((one) => !after.includes(one));
  const added = after.filter((one) => !before.includes(one));
  if (gone.length === 0 && added.length === 0) return list;
  const known = patches.get(list) ?? new Map<string, WeakRef<readonly object[]>>();
  patches.set(list, known);
  const key = `${gone.map(numberOf)} ${added.map(numberOf)}`;
  const found = known.get(key)?.deref();
  // Numbers are never given twice: this is the same change.
  if (found) return found as readonly T[];
  const copy = list.slice();
  for (const one of gone) {
    const at = placeOf(copy, nameOf(one), nameOf);
    const found = copy[at];
    // By name: what is like it may have been made again since.
    if (found && nameOf(found) === nameOf(one)) copy.splice(at, 1);
  }
  for (const one of added) copy.splice(placeOf(copy, nameOf(one), nameOf), 0, one);
  known.set(key, new WeakRef(copy));
  predecessors.set(copy, new WeakRef(list));
  return copy;
}

/** Lets `list` be known to come from `before`, of which it may be a version with many changes. */
export function linkLists<T extends object>(before: readonly T[] | undefined, list: readonly T[]): void {
  if (before && before !== list && !predecessors.has(list)) predecessors.set(list, new WeakRef(before));
}

/** The list that it was made of, while anybody holds that. */
export function predecessorOf<T extends object>(list: readonly T[]): readonly T[] | undefined {
  return predecessors.get(list)?.deref() as readonly T[] | undefined;
}

/** Of the first element whose name is not before `name`. */
function placeOf<T>(sorted: readonly T[], name: string, nameOf: (one: T) => string): number {
  return lowerBound(sorted, (other) => compareText(nameOf(other), name) < 0);
}
