import { expect, test } from "bun:test";
import { eachInTurns, inTurns, TaskQueue } from "../../src/lib/turns.ts";

function* counting(steps: number, log: string[]): Generator<void, number> {
  for (let step = 0; step < steps; step++) {
    log.push(`step ${step}`);
    yield;
  }
  return steps;
}

test("a long computation lets other work go first now and then, and gives its result", async () => {
  const log: string[] = [];
  const result = inTurns(counting(40, log));
  setImmediate(() => log.push("other"));
  expect(await result).toBe(40);
  expect(log.indexOf("other")).toBeGreaterThan(0);
  expect(log.indexOf("other")).toBeLessThan(log.indexOf("step 39"));
  expect(log.filter((entry) => entry !== "other")).toEqual(Array.from({ length: 40 }, (_, step) => `step ${step}`));
});

test("a computation that fails, fails where it is awaited", async () => {
  // biome-ignore lint/correctness/useYield: it fails before
  const failing = function* (): Generator<void, never> {
    throw new Error("no");
  };
  await expect(inTurns(failing())).rejects.toThrow("no");
});

test("work on many things lets other work go first now and then, keeps their order, and ends with the first that fails", async () => {
  const log: string[] = [];
  const items = Array.from({ length: 40 }, (_, index) => index);
  const work = async (item: number) => {
    log.push(`item ${item}`);
    return item * 2;
  };
  const result = eachInTurns(items, work);
  setImmediate(() => log.push("other"));
  expect(await result).toEqual(items.map((item) => item * 2));
  expect(log.indexOf("other")).toBeGreaterThan(0);
  expect(log.indexOf("other")).toBeLessThan(log.indexOf("item 39"));
  const seen: number[] = [];
  const failing = eachInTurns(items, async (item) => {
    seen.push(item);
    if (item === 2) throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect(seen).toEqual([0, 1, 2]);
});

/** A clock that each look moves on by a millisecond. */
function ticking() {
  let now = 0;
  return { monotonic: () => now++ };
}

test("tasks are done whole, in the order in which they came, those added by a task after those that wait", async () => {
  const queue = new TaskQueue(ticking());
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    const add = (name: string, then = () => {}) =>
      queue.add(async () => {
        seen.push(`${name} begins`);
        await Promise.resolve();
        seen.push(`${name} ends`);
        then();
      });
    add("one", () => add("three", resolve));
    add("two");
    expect(seen).toEqual([]);
  });
  expect(seen).toEqual(["one", "two", "three"].flatMap((name) => [`${name} begins`, `${name} ends`]));
});

test("after some milliseconds of tasks, and before the next, others have their turn", async () => {
  const queue = new TaskQueue(ticking());
  let [done, turns] = [0, 0];
  const others = () => {
    turns += 1;
    if (done < 100) setImmediate(others);
  };
  setImmediate(others);
  await new Promise<void>((resolve) => {
    for (let count = 1; count <= 100; count++) {
      queue.add(async () => {
        done += 1;
        if (count === 100) resolve();
      });
    }
  });
  // Each task takes a millisecond of that clock, so four are done between two turns of the others.
  expect(turns).toBeGreaterThanOrEqual(24);
});
