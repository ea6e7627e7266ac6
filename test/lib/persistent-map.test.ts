import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { changedKeys, LayeredMap, PersistentMap } from "../../src/lib/persistent-map.ts";

type Edits = readonly (readonly [string, number | undefined])[];

// Many keys over few chunks, so that keys are added between others, go and come back.
const key = fc.integer({ min: 0, max: 700 }).map((number) => `key-${number}`);
const edits: fc.Arbitrary<Edits> = fc.array(fc.tuple(key, fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined })), {
  maxLength: 40,
});
const entries = fc.array(fc.tuple(key, fc.integer({ min: 0, max: 3 })), { maxLength: 600 });

function edited(map: ReadonlyMap<string, number>, changes: Edits): Map<string, number> {
  const copy = new Map(map);
  for (const [name, value] of changes) {
    if (value === undefined) copy.delete(name);
    else copy.set(name, value);
  }
  return new Map([...copy].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function differences(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).sort();
}

describe("A persistent map", () => {
  test("derives values that are made when they are asked for, once for all versions that hold them", () => {
    fc.assert(
      fc.property(entries, fc.array(key, { maxLength: 20 }), edits, (first, asked, step) => {
        const made: string[] = [];
        const derive = (name: string) => {
          made.push(name);
          return { name };
        };
        const plain = edited(new Map(), first);
        const derived = PersistentMap.of(first).derive(derive);
        expect([...derived.keys()]).toEqual([...plain.keys()]);
        expect(made).toEqual([]);
        for (const name of asked) expect(derived.get(name)?.name).toBe(plain.has(name) ? name : undefined);
        expect(made.toSorted()).toEqual([...new Set(asked)].filter((name) => plain.has(name)).sort());
        const changes = step.map(([name, value]) => [name, value === undefined ? undefined : { name }] as const);
        const after = derived.with(changes);
        const touched = new Set(changes.map(([name]) => name));
        expect(changedKeys(derived, after).filter((name) => !touched.has(name))).toEqual([]);
        // Whichever version is asked first, it is the same object.
        for (const name of plain.keys()) if (!touched.has(name)) expect(after.get(name)).toBe(derived.get(name));
        expect([...derived.values()].map(({ name }) => name)).toEqual([...plain.keys()]);
        expect(made).toHaveLength(plain.size);
      }),
      { numRuns: 60 },
    );
  });

  test("holds, in order, what a Map with the same changes holds, and so do all versions before it", () => {
    fc.assert(
      fc.property(entries, fc.array(edits, { maxLength: 12 }), (first, steps) => {
        const versions = [{ map: PersistentMap.of(first), plain: edited(new Map(), first) }];
        for (const step of steps) {
          const last = versions.at(-1) ?? { map: PersistentMap.of<number>([]), plain: new Map<string, number>() };
          versions.push({ map: last.map.with(step), plain: edited(last.plain, step) });
        }
        for (const { map, plain } of versions) {
          expect([...map]).toEqual([...plain]);
          expect([...map.keys()]).toEqual([...plain.keys()]);
          expect([...map.values()]).toEqual([...plain.values()]);
          expect(map.size).toBe(plain.size);
          for (let number = 0; number <= 700; number += 7) expect(map.get(`key-${number}`)).toBe(plain.get(`key-${number}`));
        }
        const [oldest, newest] = [versions[0], versions.at(-1)];
        if (!oldest || !newest) throw new Error("there is a first version");
        expect([...changedKeys(oldest.map, newest.map)].sort()).toEqual(differences(oldest.plain, newest.plain));
        expect([...changedKeys(newest.map, oldest.map)].sort()).toEqual(differences(oldest.plain, newest.plain));
      }),
      { numRuns: 60 },
    );
  });

  test("is the same object when nothing changes in it", () => {
    const map = PersistentMap.of([
      ["a", 1],
      ["b", 2],
    ]);
    expect(
      map.with([
        ["a", 1],
        ["c", undefined],
      ]),
    ).toBe(map);
  });

  test("gives up the places of keys that come and go", () => {
    let map = PersistentMap.of<number>([["stays", 0]]);
    for (let round = 0; round < 5_000; round++) {
      map = map.with([
        [`pod-${round}`, round],
        [`pod-${round - 1}`, undefined],
      ]);
    }
    expect([...map]).toEqual([
      ["pod-4999", 4999],
      ["stays", 0],
    ]);
    // Another origin: the 5,000 places are not carried along.
    expect(map.changesTo(PersistentMap.of([["stays", 0]]))).toBeUndefined();
  });

  test("leaves the places of versions that nobody kept", () => {
    const map = PersistentMap.of<number>([["stays", 0]]);
    for (let round = 0; round < 5_000; round++) map.with([[`preview-${round}`, round]]);
    const next = map.with([["new", 1]]);
    expect([...next]).toEqual([
      ["new", 1],
      ["stays", 0],
    ]);
    expect(map.changesTo(next)).toBeUndefined();
    expect(map.with([["stays", 0]])).toBe(map);
  });
});

describe("A layered map", () => {
  test("is its own entries over the shared ones, and differs from another in what both layers together differ in", () => {
    fc.assert(
      fc.property(entries, edits, entries, entries, (shared, step, own, other) => {
        const below = PersistentMap.of(shared);
        const [before, after] = [new LayeredMap(below, new Map(own)), new LayeredMap(below.with(step), new Map(other))];
        const [plainBefore, plainAfter] = [new Map([...below, ...own]), new Map([...below.with(step), ...other])];
        expect([...before]).toEqual([...plainBefore]);
        expect(before.size).toBe(plainBefore.size);
        expect([...after.values()]).toEqual([...plainAfter.values()]);
        expect([...changedKeys(before, after)].sort()).toEqual(differences(plainBefore, plainAfter));
      }),
      { numRuns: 60 },
    );
  });
});
