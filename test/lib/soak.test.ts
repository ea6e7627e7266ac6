/** What scripts/soak judges by. */
import { describe, expect, test } from "bun:test";
import { growthOf } from "../../scripts/lib/soak/memory.ts";
import { SoakMesh } from "../../scripts/lib/soak/mesh.ts";
import { randomFrom } from "../../scripts/lib/soak/random.ts";

const MINUTE_MS = 60_000;
/** Ten minutes, a sample a second; memory saws by 50 MiB, as a garbage collector makes it. */
const samples = (mibAt: (minute: number) => number) =>
  Array.from({ length: 600 }, (_, second) => ({ at: second * 1_000, mib: mibAt(second / 60) + (second % 20) * 2.5 }));

describe("The growth of memory", () => {
  test("is none where a garbage collector lets it saw about a level", () => {
    const { slope, rise, most } = growthOf(samples(() => 200));
    expect(Math.abs(slope)).toBeLessThan(1);
    expect(Math.abs(rise)).toBeLessThan(1);
    expect(most).toBeCloseTo(247.5);
  });

  test("is found beneath the sawing: 60 MiB an hour are 10 in ten minutes", () => {
    const { slope, rise } = growthOf(samples((minute) => 200 + minute));
    expect(slope).toBeGreaterThan(55);
    expect(slope).toBeLessThan(65);
    expect(rise).toBeCloseTo((slope * 599_000) / (60 * MINUTE_MS));
  });
});

test("The same seed makes the same edits, and another seed others", () => {
  const edits = (seed: number) => {
    const [mesh, random] = [new SoakMesh(5), randomFrom(seed)];
    mesh.first(3, 2);
    return JSON.stringify(Array.from({ length: 100 }, () => mesh.next(random)));
  };
  expect(edits(7)).toBe(edits(7));
  expect(edits(7)).not.toBe(edits(8));
});
