import { expect, test } from "bun:test";
import {
  DEFAULT_LIFETIMES,
  LINGER_MS,
  NOT_BEFORE_BACKDATE_MS,
  RETRY_FIRST_MS,
  RETRY_LONGEST_MS,
  WALL_CLOCK_CHECK_MS,
} from "../../src/ca/lifetimes.ts";
import { SvidManager } from "../../src/ca/svid-manager.ts";
import type { X509Svid } from "../../src/ca/types.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { FakeClock } from "../fakes/clock.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const BILLING = "spiffe://mesh.local/ns/default/sa/billing";
const MINUTE = 60_000;

/** An authority without cryptography: serials count up, and `broken` makes it refuse. */
function setUp({ random = 0.5, revokedAt = (_spiffeId: string): number => 0 } = {}) {
  const clock = new FakeClock();
  const start = clock.now();
  const state = { issued: 0, broken: false };
  const failures: { attempt: number; retryInMs: number; expires?: number; message: string }[] = [];
  const authority = {
    async issueX509(spiffeId: string): Promise<X509Svid> {
      if (state.broken) throw new WeftError("unavailable", "the CA is away");
      const serial = String(++state.issued);
      const notAfter = clock.now() + DEFAULT_LIFETIMES.x509SvidMs;
      return { spiffeId, serial, chainPem: "", privateKeyPem: "", notBefore: clock.now(), notAfter, authorityId: "ca" };
    },
  };
  const manager = new SvidManager({
    authority,
    clock,
    random: () => random,
    revokedAt,
    observer: {
      failed: ({ error, attempt, retryInMs, expires }) => failures.push({ message: error.message, attempt, retryInMs, expires }),
    },
  });
  const seen: string[] = [];
  const record = (svid: X509Svid) => seen.push(`${svid.serial}@${(clock.now() - start) / MINUTE}`);
  return { clock, state, failures, manager, seen, record };
}

test("All who ask for one identity share one certificate.", async () => {
  const { clock, manager, seen, record } = setUp();
  manager.subscribe(ORDERS, record);
  manager.subscribe(ORDERS, record);
  await clock.advance(0);
  expect(seen).toEqual(["1@0", "1@0"]);
  manager.subscribe(ORDERS, record);
  expect(seen).toEqual(["1@0", "1@0", "1@0"]);
  expect(manager.current(ORDERS)?.serial).toBe("1");
});

test.each([
  [0, 27],
  [0.5, 30],
  [1, 33],
])("A certificate of an hour is renewed at half its life, give or take a tenth (random %p: after %p minutes).", async (random, minutes) => {
  const { clock, manager, seen, record } = setUp({ random });
  manager.subscribe(ORDERS, record);
  await clock.advance(minutes * MINUTE - 1);
  expect(seen).toEqual(["1@0"]);
  await clock.advance(1);
  expect(seen).toEqual(["1@0", `2@${minutes}`]);
});

test("Renewal goes on for as long as somebody subscribes.", async () => {
  const { clock, manager, seen, record } = setUp();
  manager.subscribe(ORDERS, record);
  await clock.advance(120 * MINUTE);
  expect(seen).toEqual(["1@0", "2@30", "3@60", "4@90", "5@120"]);
});

test("When the CA fails, the old certificate stays, and the CA is asked again with growing waits until it answers.", async () => {
  const { clock, state, failures, manager, seen, record } = setUp();
  manager.subscribe(ORDERS, record);
  await clock.advance(0);
  const expires = manager.nextExpiry();
  state.broken = true;
  await clock.advance(40 * MINUTE);
  expect(manager.current(ORDERS)?.serial).toBe("1");
  const waits = failures.map((failure) => failure.retryInMs);
  // With random 0.5 each wait is three quarters of its longest: 1 s doubled up to a minute.
  expect(waits.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 750));
  expect(failures[0]).toEqual({ message: "the CA is away", attempt: 1, retryInMs: RETRY_FIRST_MS * 0.75, expires });
  state.broken = false;
  await clock.advance(RETRY_LONGEST_MS);
  expect(manager.current(ORDERS)?.serial).toBe("2");
  expect(seen.length).toBe(2);
  const renewed = manager.current(ORDERS)?.notAfter ?? 0;
  expect(renewed).toBeGreaterThan((expires ?? 0) + 40 * MINUTE);
});

test("A first certificate that cannot be issued is delivered as soon as it can.", async () => {
  const { clock, state, failures, manager, seen, record } = setUp();
  state.broken = true;
  manager.subscribe(ORDERS, record);
  await clock.advance(10_000);
  expect(seen).toEqual([]);
  expect(failures.at(-1)?.expires).toBeUndefined();
  state.broken = false;
  await clock.advance(RETRY_LONGEST_MS);
  expect(seen.length).toBe(1);
});

test("What could not be issued is tried again at once when it is asked to be, with its reason known until then; nothing else is.", async () => {
  const { clock, state, failures, manager, seen, record } = setUp();
  manager.subscribe(BILLING, () => {});
  await clock.advance(0);
  state.broken = true;
  manager.subscribe(ORDERS, record);
  await clock.advance(60_000);
  expect([manager.failureOf(ORDERS)?.message, manager.failureOf(BILLING)]).toEqual(["the CA is away", undefined]);
  const tries = failures.length;
  state.broken = false;
  const asked: string[] = [];
  const retry = (mayWork: boolean) =>
    manager.retry((spiffeId, { code }) => {
      asked.push(`${spiffeId} ${code}`);
      return mayWork;
    });
  retry(false);
  await clock.advance(0);
  expect([failures.length, seen]).toEqual([tries, []]);
  retry(true);
  await clock.advance(0);
  expect(seen).toEqual(["2@1"]);
  expect(manager.failureOf(ORDERS)).toBeUndefined();
  retry(true);
  expect(asked).toEqual([`${ORDERS} unavailable`, `${ORDERS} unavailable`]);
});

test("Keys and timers are let go a moment after the last subscriber went.", async () => {
  const { clock, manager, record } = setUp();
  const first = manager.subscribe(ORDERS, record);
  const second = manager.subscribe(ORDERS, record);
  await clock.advance(0);
  first();
  first();
  await clock.advance(LINGER_MS);
  expect(manager.current(ORDERS)?.serial).toBe("1");
  second();
  await clock.advance(LINGER_MS - 1);
  expect(manager.current(ORDERS)?.serial).toBe("1");
  await clock.advance(1);
  expect(manager.current(ORDERS)).toBeUndefined();
  expect(manager.nextExpiry()).toBeUndefined();
  await clock.advance(WALL_CLOCK_CHECK_MS);
  expect(clock.pending).toBe(0);
});

test("A proxy that reconnects at once keeps its certificate.", async () => {
  const { clock, manager, seen, record, state } = setUp();
  const leave = manager.subscribe(ORDERS, record);
  await clock.advance(0);
  leave();
  await clock.advance(LINGER_MS - 1);
  manager.subscribe(ORDERS, record);
  await clock.advance(LINGER_MS);
  expect(state.issued).toBe(1);
  expect(seen.map((entry) => entry.split("@")[0])).toEqual(["1", "1"]);
  expect(manager.current(ORDERS)?.serial).toBe("1");
});

test("A machine that slept past the renewal renews when it wakes, although its timers stood still.", async () => {
  const { clock, manager, state, record } = setUp();
  manager.subscribe(ORDERS, record);
  await clock.advance(MINUTE);
  clock.setWallClock(clock.now() + 3 * 60 * MINUTE);
  await clock.advance(WALL_CLOCK_CHECK_MS);
  expect(state.issued).toBe(2);
});

test("The expiry of every certificate, and of the first to end, can be read.", async () => {
  const { clock, manager, record } = setUp();
  expect(manager.nextExpiry()).toBeUndefined();
  manager.subscribe(ORDERS, record);
  await clock.advance(MINUTE);
  manager.subscribe(BILLING, record);
  await clock.advance(0);
  const first = clock.now() - MINUTE + DEFAULT_LIFETIMES.x509SvidMs;
  expect(manager.nextExpiry()).toBe(first);
  expect([...manager.inUse()].map(({ spiffeId, notAfter }) => [spiffeId, notAfter])).toEqual([
    [ORDERS, first],
    [BILLING, first + MINUTE],
  ]);
  await clock.advance(29.5 * MINUTE);
  // That of ORDERS has been renewed, that of BILLING not yet.
  expect(manager.nextExpiry()).toBe(first + MINUTE);
});

test.each([0.1, 0.5, 0.99])(
  "After a forced rotation every SVID is issued again within ten seconds, spread at random (%p), and once.",
  async (random) => {
    const { clock, manager, seen, record } = setUp({ random });
    manager.subscribe(ORDERS, record);
    manager.subscribe(BILLING, record);
    await clock.advance(MINUTE);
    const before = seen.length;
    manager.reissue();
    await clock.advance(random * 10_000 - 1);
    expect(seen.length).toBe(before);
    await clock.advance(10_000);
    expect(seen.length).toBe(before + 2);
  },
);

test("An SVID that is being issued during a forced rotation may be of the old authority, and is issued again.", async () => {
  const { clock, manager, state, seen, record } = setUp();
  manager.subscribe(ORDERS, record);
  // One turn of the promises: the authority was asked, and has not answered.
  await Promise.resolve();
  expect([state.issued, seen]).toEqual([1, []]);
  manager.reissue();
  await clock.advance(0);
  expect(seen.length).toBe(1);
  await clock.advance(5_000);
  expect(seen.length).toBe(2);
});

test("An SVID that waits for its turn during a forced rotation is issued once: by the new authority.", async () => {
  const { clock, manager, state, seen, record } = setUp();
  manager.subscribe(ORDERS, record);
  expect(state.issued).toBe(0);
  manager.reissue();
  await clock.advance(20_000);
  expect(seen.length).toBe(1);
});

test("Who left before its turn came, and lingers no more, is issued nothing.", async () => {
  const { clock, manager, state, record } = setUp();
  manager.subscribe(ORDERS, record)();
  clock.advanceSync(LINGER_MS);
  await clock.advance(0);
  expect(state.issued).toBe(0);
});

test("When a clock that was a day ahead is set right, SVIDs that have not begun yet are issued again at the next look.", async () => {
  const { clock, manager, seen, record } = setUp();
  clock.setWallClock(clock.now() + 24 * 60 * MINUTE);
  manager.subscribe(ORDERS, record);
  await clock.advance(0);
  clock.setWallClock(clock.now() - 24 * 60 * MINUTE);
  await clock.advance(WALL_CLOCK_CHECK_MS);
  expect(seen.length).toBe(2);
  expect(manager.current(ORDERS)?.notBefore).toBeLessThanOrEqual(clock.now());
});

test("After close nothing is issued, told or kept.", async () => {
  const { clock, manager, seen, record } = setUp();
  manager.subscribe(ORDERS, record);
  const leave = manager.subscribe(BILLING, record);
  manager.close();
  leave();
  await clock.advance(120 * MINUTE);
  expect(seen).toEqual([]);
  expect(clock.pending).toBe(0);
  expect(manager.current(ORDERS)).toBeUndefined();
  expect(() => manager.subscribe(ORDERS, record)).toThrow("shutting down");
});

test("After a revocation an identity has a certificate whose notBefore lies after it as soon as that can be, whoever asks for it when; others are left alone.", async () => {
  const times = new Map<string, number>();
  const { clock, manager, seen, record } = setUp({ revokedAt: (id) => times.get(id) ?? 0 });
  manager.subscribe(ORDERS, record);
  manager.subscribe(BILLING, () => {});
  await clock.advance(5 * MINUTE);
  times.set(ORDERS, clock.now());
  manager.recheck(ORDERS);
  const wait = NOT_BEFORE_BACKDATE_MS + 1_000;
  await clock.advance(wait - 1);
  expect(seen).toEqual(["1@0"]);
  await clock.advance(1);
  expect(seen[1]).toStartWith("3@7.0");
  times.set("late", clock.now());
  const late: X509Svid[] = [];
  manager.recheck("late");
  await clock.advance(MINUTE);
  manager.subscribe("late", (svid) => late.push(svid));
  await clock.advance(wait - MINUTE);
  expect(late.length).toBe(2);
  await clock.advance(15 * MINUTE);
  expect([late.length, seen.length, manager.current(BILLING)?.serial]).toEqual([2, 2, "2"]);
});
