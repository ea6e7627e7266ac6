import { expect, test } from "bun:test";
import { DEFAULT_LIFETIMES, RETRY_FIRST_MS } from "../../src/ca/lifetimes.ts";
import { TokenManager } from "../../src/ca/token-manager.ts";
import type { JwtSvid } from "../../src/ca/types.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { FakeClock } from "../fakes/clock.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const SECOND = 1_000;

/** An authority without cryptography: tokens count up, and `broken` makes it refuse. */
function setUp({ random = 0.5 } = {}) {
  const clock = new FakeClock();
  const start = clock.now();
  const state = { issued: 0, broken: false };
  const failures: { audience: string; expires?: number; attempt: number }[] = [];
  const authority = {
    async issueJwtSvid(spiffeId: string, audience: readonly string[]): Promise<JwtSvid> {
      if (state.broken) throw new WeftError("unavailable", "the CA is away");
      const token = `${audience.join()}-${++state.issued}`;
      return { spiffeId, audience, token, issuedAt: clock.now(), expiresAt: clock.now() + DEFAULT_LIFETIMES.jwtSvidMs, authorityId: "ca" };
    },
  };
  const manager = new TokenManager({
    authority,
    clock,
    random: () => random,
    observer: { failed: ({ audience, expires, attempt }) => failures.push({ audience, expires, attempt }) },
  });
  const seen: string[] = [];
  const onToken = ({ token }: JwtSvid) => seen.push(`${token}@${(clock.now() - start) / SECOND}`);
  return { clock, state, failures, manager, seen, onToken, start };
}

test("All who ask for one workload's token for one audience share one, and another audience has another.", async () => {
  const { clock, manager, seen, onToken } = setUp();
  manager.subscribe(ORDERS, "a", { onToken });
  manager.subscribe(ORDERS, "a", { onToken });
  manager.subscribe(ORDERS, "b c", { onToken });
  await clock.advance(0);
  expect(seen).toEqual(["a-1@0", "a-1@0", "b c-2@0"]);
});

test.each([
  [0, 135],
  [0.5, 150],
  [1, 165],
])("A token of five minutes is renewed at half its life, give or take a tenth (random %p: after %p seconds).", async (random, seconds) => {
  const { clock, manager, seen, onToken } = setUp({ random });
  manager.subscribe(ORDERS, "a", { onToken });
  await clock.advance(seconds * SECOND - 1);
  expect(seen).toEqual(["a-1@0"]);
  await clock.advance(1);
  expect(seen).toEqual(["a-1@0", `a-2@${seconds}`]);
});

test("A token that cannot be issued is told of and tried again, the present one staying in use.", async () => {
  const { clock, state, failures, manager, seen, onToken, start } = setUp();
  let told = 0;
  state.broken = true;
  const onFailure = () => {
    told += 1;
  };
  const stop = manager.subscribe(ORDERS, "a", { onToken, onFailure });
  await clock.advance(0);
  expect([told, failures, seen]).toEqual([1, [{ audience: "a", expires: undefined, attempt: 1 }], []]);
  // Who comes later does not wait for the next try.
  let later = 0;
  manager.subscribe(ORDERS, "a", { onToken: () => {}, onFailure: () => (later += 1) })();
  expect(later).toBe(1);
  state.broken = false;
  await clock.advance(RETRY_FIRST_MS);
  expect(seen).toHaveLength(1);
  state.broken = true;
  await clock.advance(151 * SECOND);
  expect(failures.at(-1)?.expires).toBeGreaterThan(start + 300 * SECOND - 1);
  expect(seen).toHaveLength(1);
  // Whoever has left is told nothing more.
  const before = told;
  stop();
  await clock.advance(10 * SECOND);
  expect(told).toBe(before);
});

test("After a forced rotation every token is replaced, and none after the manager is closed.", async () => {
  const { clock, manager, seen, onToken } = setUp();
  manager.subscribe(ORDERS, "a", { onToken });
  await clock.advance(0);
  manager.reissue();
  await clock.advance(10 * SECOND);
  expect(seen).toHaveLength(2);
  manager.close();
  await clock.advance(600 * SECOND);
  expect(seen).toHaveLength(2);
});
