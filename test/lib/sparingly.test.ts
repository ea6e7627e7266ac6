import { expect, test } from "bun:test";
import { Sparingly } from "../../src/lib/sparingly.ts";
import { FakeClock } from "../fakes/clock.ts";

test("What happens too often is told a few times in a while, then counted, and told again in the next while", async () => {
  const clock = new FakeClock();
  const told: string[] = [];
  const sparingly = new Sparingly({ clock, most: 2, windowMs: 60_000, onMore: (count) => told.push(`${count} more`) });
  const flood = (count: number) => {
    for (let index = 0; index < count; index++) sparingly.tell(() => told.push("one"));
  };
  flood(10_000);
  await clock.advance(59_999);
  expect(told).toEqual(["one", "one"]);
  await clock.advance(1);
  expect(told).toEqual(["one", "one", "9998 more"]);
  flood(1);
  expect(told.at(-1)).toBe("one");
  await clock.advance(120_000);
  expect(told).toHaveLength(4);
  expect(clock.pending).toBe(0);
});
