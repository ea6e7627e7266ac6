import { describe, expect, test } from "bun:test";
import { internList, memoize, Pool } from "../../src/mesh/memo.ts";

describe("A memoized function", () => {
  test("is computed once for the same arguments, and again for others", () => {
    let calls = 0;
    const pair = memoize((a: object, b: object) => ({ a, b, call: ++calls }));
    const [x, y] = [{}, {}];
    expect(pair(x, y)).toBe(pair(x, y));
    expect(pair(y, x)).not.toBe(pair(x, y));
    expect(calls).toBe(2);
  });

  test("remembers a result that is still held, though its list of arguments is not", () => {
    const sum = memoize((list: readonly { n: number }[]) => ({ total: list.reduce((total, { n }) => total + n, 0) }));
    const elements = [{ n: 1 }, { n: 2 }];
    const held = sum(internList(elements));
    Bun.gc(true);
    Bun.gc(true);
    expect(sum(internList(elements))).toBe(held);
  });

  test("keeps only the last of all the arguments that gave one and the same result", async () => {
    const always = { the: "same" };
    const made = memoize((_list: readonly object[]) => always);
    const arguments_: WeakRef<readonly object[]>[] = [];
    for (let count = 0; count < 100; count++) {
      const list = [{ count }];
      arguments_.push(new WeakRef(list));
      made(list);
      // A WeakRef holds what it refers to until the end of the turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    Bun.gc(true);
    await new Promise((resolve) => setImmediate(resolve));
    Bun.gc(true);
    // The collector is conservative about the stack, so not exactly one.
    expect(arguments_.filter((one) => one.deref()).length).toBeLessThan(20);
    expect(made([always])).toBe(always);
  });
});

describe("An interned list", () => {
  test("is one object for the same elements in the same order", () => {
    const [a, b] = [{}, {}];
    expect(internList([a, b])).toBe(internList([a, b]));
    expect(internList([a, b])).not.toBe(internList([b, a]));
    expect(internList([])).toBe(internList([]));
  });
});

describe("A pool", () => {
  test("gives one object for a key for as long as anybody holds it", () => {
    const pool = new Pool();
    const value = pool.keep("a", () => ({}));
    Bun.gc(true);
    expect(pool.keep("a", () => ({}))).toBe(value);
    expect(pool.keep("b", () => ({}))).not.toBe(value);
    expect(pool.strings(["x", "y"])).toBe(pool.strings(["x", "y"]));
  });
});
