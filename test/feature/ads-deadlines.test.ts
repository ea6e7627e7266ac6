import { afterEach, expect, test } from "bun:test";
import { Deadlines } from "../../src/ads/deadlines.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { cleanUp, start, until } from "./fixture.ts";
import { ManualClock } from "./manual-clock.ts";

afterEach(cleanUp);

test("many waits of one length end in their order and on time, or not at all, behind one timer", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock, 100);
  const ended: string[] = [];
  const cancelFirst = deadlines.begin(() => ended.push("first"));
  clock.advance(40);
  deadlines.begin(() => ended.push("second"));
  const cancelThird = deadlines.begin(() => ended.push("third"));
  expect(clock.waiting).toBe(1);
  cancelFirst();
  clock.advance(60);
  expect(ended).toEqual([]);
  clock.advance(39);
  expect(ended).toEqual([]);
  clock.advance(1);
  expect(ended).toEqual(["second", "third"]);
  expect(clock.waiting).toBe(0);
  cancelThird();
  const cancelFourth = deadlines.begin(() => ended.push("fourth"));
  cancelFourth();
  expect(clock.waiting).toBe(0);
  deadlines.begin(() => deadlines.begin(() => ended.push("sixth")));
  clock.advance(100);
  clock.advance(100);
  expect(ended).toEqual(["second", "third", "sixth"]);
});

test("a connection is not ended for having proved nothing while weft itself has not judged its proof yet", async () => {
  const clock = new ManualClock();
  const asked: ((identity: { id: string }) => void)[] = [];
  const { source, delta } = await start({
    clock,
    limits: { unprovenMs: 5_000, authenticateMs: 3_600_000, firstRequestMs: 3_600_000, pingEveryMs: 3_600_000, syncPatienceMs: 3_600_000 },
    authenticate: () => new Promise((resolve) => asked.push(resolve)),
  });
  source.publish({ [TYPE.cluster]: { a: "1" } });
  const waiting = delta("default/waiting");
  waiting.subscribe(TYPE.cluster);
  await until(() => asked.length === 1, "the question");
  for (let round = 0; round < 3; round += 1) {
    clock.advance(5_000);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(waiting.ended).toBeUndefined();
  asked[0]?.({ id: "default/waiting" });
  expect((await waiting.take(TYPE.cluster)).resources.get("a")).toBe("1");
  clock.advance(5_000);
  await waiting.nothingElse();
});
