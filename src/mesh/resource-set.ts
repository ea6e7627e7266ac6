/** The resources of one revision by kind, oldest first. Immutable; a kind that a change does not touch keeps its list (===). */
import { attachment } from "../lib/attachment.ts";
import { lowerBound } from "../lib/persistent-map.ts";
import type { AnyResource, Kind, Resource } from "../model/resource.ts";
import { byAge } from "./policy-scope.ts";

/** What stood before, and what stands now in its place: one of them at least. */
export interface ResourceChange {
  readonly before?: AnyResource;
  readonly after?: AnyResource;
}

type Lists = ReadonlyMap<Kind, readonly AnyResource[]>;

/** From how many changes of a kind on the list is sorted anew, and not each put in its place. */
const MANY = 64;

const NONE: readonly AnyResource[] = [];
const NO_LISTS: Lists = new Map();

export class ResourceSet {
  readonly #lists: Lists;
  #all: readonly AnyResource[] | undefined;

  private constructor(lists: Lists) {
    this.#lists = lists;
  }

  /** Lists that hold the same as in `before` are its. */
  static of(resources: Iterable<AnyResource>, before?: ResourceSet): ResourceSet {
    const known = before ? before.#lists : NO_LISTS;
    const lists = new Map<Kind, readonly AnyResource[]>();
    for (const [kind, list] of Map.groupBy(resources, (resource) => resource.kind)) {
      lists.set(kind, keepList(known.get(kind), list.sort(byAge)));
    }
    return new ResourceSet(lists);
  }

  /** `before` of each change must be of the set. */
  with(changes: readonly ResourceChange[]): ResourceSet {
    const byKind = Map.groupBy(changes, ({ before, after }) => (after ?? before)?.kind);
    const lists = new Map(this.#lists);
    for (const [kind, own] of byKind) if (kind) lists.set(kind, patched(lists.get(kind) ?? NONE, own));
    return new ResourceSet(lists);
  }

  of<K extends Kind>(kind: K): readonly (AnyResource & Resource<K>)[] {
    return (this.#lists.get(kind) ?? NONE) as readonly (AnyResource & Resource<K>)[];
  }

  all(): readonly AnyResource[] {
    this.#all ??= [...this.#lists.values()].flat();
    return this.#all;
  }
}

function patched(list: readonly AnyResource[], changes: readonly ResourceChange[]): readonly AnyResource[] {
  const added = changes.flatMap(({ after }) => after ?? []);
  if (changes.length > MANY) {
    const gone = new Set(changes.map(({ before }) => before));
    return [...list.filter((one) => !gone.has(one)), ...added].sort(byAge);
  }
  const copy = list.slice();
  known.set(copy, { before: new WeakRef(list), change: { gone: changes.flatMap(({ before }) => before ?? []), added } });
  for (const { before } of changes) if (before) copy.splice(placeOf(copy, before), 1);
  for (const one of added) copy.splice(firstAfter(copy, one), 0, one);
  return copy;
}

function placeOf(sorted: readonly AnyResource[], resource: AnyResource): number {
  const at = firstAfter(sorted, resource) - 1;
  return sorted[at] === resource ? at : sorted.indexOf(resource);
}

/** Where what is younger than `resource` begins. */
export function firstAfter<R extends Resource>(sorted: readonly R[], resource: R): number {
  const youngest = sorted.at(-1);
  // As a rule what comes is the youngest.
  if (!youngest || byAge(youngest, resource) <= 0) return sorted.length;
  return lowerBound(sorted, (other) => byAge(other, resource) <= 0);
}

/** `before` where it holds the same elements (===) in the same order, else `list`. */
export function keepList<T>(before: readonly T[] | undefined, list: readonly T[]): readonly T[] {
  return before?.length === list.length && list.every((one, at) => one === before[at]) ? before : list;
}

/** What of two lists is only in the one (gone), or only in the other (added), by identity. */
export function listChange<T>(before: readonly T[], after: readonly T[]): { readonly gone: readonly T[]; readonly added: readonly T[] } {
  if (before === after) return { gone: [], added: [] };
  const made = known.get(after);
  if (made?.before.deref() === before) return made.change as ReturnType<typeof listChange<T>>;
  return changeBetween(before, after);
}

/** Of lists that were made of another: by which changes. Most who ask follow each list from the one before, and need not compare the two. */
const known = attachment<{ readonly before: WeakRef<object>; readonly change: ReturnType<typeof listChange> }>();

function changeBetween<T>(before: readonly T[], after: readonly T[]): ReturnType<typeof listChange<T>> {
  const inPlace = before.length === after.length ? replacedInPlace(before, after) : undefined;
  if (inPlace) return inPlace;
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let [end, afterEnd] = [before.length, after.length];
  while (end > start && afterEnd > start && before[end - 1] === after[afterEnd - 1]) {
    end -= 1;
    afterEnd -= 1;
  }
  const [old, now] = [before.slice(start, end), after.slice(start, afterEnd)];
  const [known, present] = [new Set(old), new Set(now)];
  return { gone: old.filter((one) => !present.has(one)), added: now.filter((one) => !known.has(one)) };
}

/** Few elements with others in their places, however far apart; undefined where that is not all. */
function replacedInPlace<T>(before: readonly T[], after: readonly T[]): ReturnType<typeof listChange<T>> | undefined {
  const places: number[] = [];
  for (let at = 0; at < before.length; at++) {
    if (before[at] === after[at]) continue;
    places.push(at);
    if (places.length > MANY) return undefined;
  }
  const [old, now] = [places.map((at) => before[at] as T), places.map((at) => after[at] as T)];
  return { gone: old.filter((one) => !now.includes(one)), added: now.filter((one) => !old.includes(one)) };
}
