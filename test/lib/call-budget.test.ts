import { expect, test } from "bun:test";
import { CallBudget } from "../../src/lib/call-budget.ts";
import { FakeClock } from "../fakes/clock.ts";

test("A connection may call so often at once, then so often a second, whatever another one does", async () => {
  const clock = new FakeClock();
  const budget = new CallBudget(clock, { burst: 5, perSecond: 2 });
  const [one, other] = [{}, {}];
  const taken = (connection: object, tries: number) => Array.from({ length: tries }, () => budget.take(connection)).filter(Boolean).length;
  expect(taken(one, 5)).toBe(5);
  expect(taken(other, 1)).toBe(1);
  await clock.advance(60_000);
  expect(taken(one, 100)).toBe(5);
});
