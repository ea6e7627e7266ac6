/** Lists that were made of another remember by which changes (src/mesh/resource-set.ts): it must be what a comparison of the two would find. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { listChange, type ResourceChange, ResourceSet } from "../../src/mesh/resource-set.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { resourcesOf, workload } from "./harness.ts";

const NAMES = 100;

/** By name: whether it is made anew, or goes. Many at once are sorted in, few are put in their places. */
const step = fc.dictionary(
  fc.integer({ min: 0, max: NAMES - 1 }).map((number) => `one-${number}`),
  fc.boolean(),
  { maxKeys: 80, noNullPrototype: true, size: "max" },
);
const [sample] = resourcesOf(workload("sample", "app", "10.0.0.1"));

function made(name: string, age: number): AnyResource {
  if (!sample) throw new Error("there is no sample");
  const creationTimestamp = new Date(age * 1_000).toISOString();
  return { ...sample, metadata: { ...sample.metadata, name, creationTimestamp } };
}

test("what changed between any two lists is what only the one, or only the other holds", () => {
  const property = fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), fc.infiniteStream(fc.nat(5)), (steps, ages) => {
    const held = new Map<string, AnyResource>();
    let set = ResourceSet.of([]);
    const lists = [set.of("WorkloadEntry")];
    for (const names of steps) {
      const changes: ResourceChange[] = [];
      for (const [name, isThere] of Object.entries(names)) {
        const before = held.get(name);
        const after = isThere ? made(name, ages.next().value ?? 0) : undefined;
        if (before || after) changes.push({ before, after });
        if (after) held.set(name, after);
        else held.delete(name);
      }
      set = set.with(changes);
      lists.push(set.of("WorkloadEntry"));
      const anew = ResourceSet.of(held.values()).of("WorkloadEntry");
      expect(set.of("WorkloadEntry").length).toBe(anew.length);
      expect(set.of("WorkloadEntry").every((one, at) => one === anew[at])).toBe(true);
    }
    for (const before of lists) {
      for (const after of lists) {
        const { gone, added } = listChange(before, after);
        // By identity: what is made anew may be equal to what it replaces.
        const [then, now] = [new Set(before), new Set(after)];
        expect(new Set(gone).symmetricDifference(then.difference(now)).size).toBe(0);
        expect(new Set(added).symmetricDifference(now.difference(then)).size).toBe(0);
      }
    }
  });
  fc.assert(property, { numRuns: 50 });
});
