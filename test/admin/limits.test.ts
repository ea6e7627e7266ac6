import { describe, expect, test } from "bun:test";
import { Concurrency, RateLimit } from "../../src/admin/limits.ts";
import { FakeClock } from "../fakes/clock.ts";
import { startAdmin } from "./harness.ts";

describe("The admin API's limits", () => {
  test("make who guesses tokens wait, and not those who hold one at the same address", async () => {
    await using admin = await startAdmin({ clock: new FakeClock() });
    const guess = () => admin.tcp("/v1/services", { headers: { authorization: "Bearer weft_access_guess" } });
    const statuses: number[] = [];
    for (let i = 0; i < 60; i++) statuses.push((await guess()).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(50);
    const late = await guess();
    expect(late.status).toBe(429);
    expect(late.headers.get("retry-after")).toBe("1");
    expect((await admin.tcp("/v1/services")).status).toBe(200);
  });

  test("let a caller go on as time passes, up to its burst again", async () => {
    const clock = new FakeClock();
    const rate = new RateLimit({ burst: 3, perSecond: 2 }, clock);
    const tries = (count: number) => {
      let taken = 0;
      for (let i = 0; i < count; i++) {
        try {
          rate.check("a");
          rate.take("a");
          taken += 1;
        } catch {
          // What is refused costs nothing.
        }
      }
      return taken;
    };
    expect(tries(10)).toBe(3);
    await clock.advance(1_000);
    expect(tries(10)).toBe(2);
    await clock.advance(60_000);
    expect(tries(10)).toBe(3);
    rate.check("b");
  });

  test("remember ten thousand callers, not every one that ever called", () => {
    const rate = new RateLimit({ burst: 1, perSecond: 0 }, new FakeClock());
    for (let i = 0; i < 10_001; i++) rate.take(`caller ${i}`);
    rate.check("caller 0");
    expect(() => rate.check("caller 1")).toThrow("Too many requests");
  });

  test("refuse the 65th request under way and the 257th watch, and take one again when another ends", () => {
    for (const [watch, most, message] of [
      [false, 64, "64 requests are under way"],
      [true, 256, "256 watches are open"],
    ] as const) {
      const concurrency = new Concurrency();
      const ends = Array.from({ length: most }, () => concurrency.begin(watch));
      expect(() => concurrency.begin(watch)).toThrow(message);
      concurrency.begin(!watch)();
      ends[0]?.();
      ends[0]?.();
      concurrency.begin(watch);
      expect(() => concurrency.begin(watch)).toThrow(message);
    }
  });

  test("give a watch's place back when its caller goes away", async () => {
    await using admin = await startAdmin();
    for (let i = 0; i < 300; i++) {
      const abort = new AbortController();
      const response = await admin.call("/v1/watch?since=0", { signal: abort.signal });
      expect(response.status).toBe(200);
      await response.body?.getReader().read();
      abort.abort();
      while (admin.control.watching > 0) await Bun.sleep(1);
    }
  });
});
