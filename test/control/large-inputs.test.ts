import { expect, test } from "bun:test";
import { LargeInputs } from "../../src/control/large-inputs.ts";
import { FakeClock } from "../fakes/clock.ts";

const LARGE = 1024 * 1024;

/** Work that says when it begins, and ends when it is told to. */
function stage() {
  const log: string[] = [];
  const clock = new FakeClock(0);
  const inputs = new LargeInputs(clock, (atOnce) => log.push(atOnce ? "collect" : "collect beside"));
  const ends = new Map<string, (failure?: Error) => void>();
  const run = (name: string, size: number) =>
    inputs.run(size, () => {
      log.push(name);
      return new Promise<string>((resolve, reject) => ends.set(name, (failure) => (failure ? reject(failure) : resolve(name))));
    });
  const settle = async () => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  return { log, clock, run, settle, end: (name: string, failure?: Error) => ends.get(name)?.(failure) };
}

test("large inputs take turns, each on what the one before has given back; small ones wait for nobody", async () => {
  const { log, run, settle, end } = stage();
  const [one, two] = [run("one", LARGE), run("two", LARGE)];
  const small = run("small", 100);
  await settle();
  expect(log.sort()).toEqual(["one", "small"]);
  end("small");
  end("one");
  expect([await small, await one]).toEqual(["small", "one"]);
  await settle();
  expect(log).toEqual(["one", "small", "collect", "two"]);
  end("two");
  expect(await two).toBe("two");
});

test("an input that fails holds up none after it, and the last is given back a moment after its answer", async () => {
  const { log, clock, run, settle, end } = stage();
  const [bad, good] = [run("bad", LARGE), run("good", LARGE)];
  await settle();
  end("bad", new Error("no"));
  await expect(bad).rejects.toThrow("no");
  await settle();
  end("good");
  expect(await good).toBe("good");
  expect(log).toEqual(["bad", "collect", "good"]);
  await clock.advance(1_000);
  expect(log).toEqual(["bad", "collect", "good", "collect beside"]);
  await clock.advance(10_000);
  expect(log.length).toBe(4);
});
