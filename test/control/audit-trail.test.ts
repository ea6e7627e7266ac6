import { expect, test } from "bun:test";
import { AuditTrail } from "../../src/control/audit-trail.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import { FakeClock } from "../fakes/clock.ts";

const REFUSAL = { who: "unknown", from: "ads 127.0.0.1", action: "ads-stream", targets: [], reason: "unauthenticated: no token" };

function start() {
  const clock = new FakeClock();
  const store = openMemoryStore({ clock });
  const trail = new AuditTrail({ store, clock });
  const records = async () =>
    (await store.readAudit({ after: 0, limit: 10_000 })).records.map(({ from, reason, count, at }) => ({ from, reason, count, at }));
  return { clock, store, trail, records };
}

test("writes a refusal down at once, and those like it within a minute as one record with their count", async () => {
  const { clock, trail, records } = start();
  for (let i = 0; i < 1_000; i++) trail.refused(REFUSAL);
  const first = { from: REFUSAL.from, reason: REFUSAL.reason, count: undefined, at: "2026-01-01T00:00:00.000Z" };
  expect(await records()).toEqual([first]);
  await clock.advance(60_000);
  expect(await records()).toEqual([first, { ...first, count: 999, at: "2026-01-01T00:01:00.000Z" }]);
  trail.refused(REFUSAL);
  expect(await records()).toHaveLength(3);
});

test("tells different refusals apart, and counts together what is over 200 kinds a minute", async () => {
  const { clock, trail, records } = start();
  for (let i = 0; i < 1_000; i++) trail.refused({ ...REFUSAL, from: `ads 10.0.0.${i}` });
  expect(await records()).toHaveLength(200);
  await clock.advance(60_000);
  expect((await records()).slice(200)).toMatchObject([{ from: "several", count: 800 }]);
});

test("keeps what unknown senders wrote within bounds", async () => {
  const { trail, records } = start();
  trail.refused({ ...REFUSAL, reason: "x".repeat(100_000) });
  expect((await records())[0]?.reason).toHaveLength(500);
});

test("writes down what it counted when it is closed", async () => {
  const { trail, records } = start();
  for (let i = 0; i < 5; i++) trail.refused(REFUSAL);
  await trail.close();
  expect(await records()).toMatchObject([{ count: undefined }, { count: 4 }]);
});

test("a refusal stands although the store cannot write, and a deed that must be audited does not happen then", async () => {
  const { trail, store } = start();
  await store.close();
  trail.refused(REFUSAL);
  expect(trail.done({ ...REFUSAL, action: "issue-token" })).rejects.toMatchObject({ code: "unavailable" });
});

test("writes a deed down before it is done, and those like it within a minute as one record with their count", async () => {
  const { clock, store, trail, records } = start();
  const deed = { who: "uid 1001 (/usr/bin/billing)", from: "workload api", action: "issue-jwt-svid", targets: ["JWT-SVID"] };
  for (let i = 0; i < 10; i++) await trail.often(deed);
  expect(await records()).toHaveLength(1);
  await clock.advance(60_000);
  const { records: all } = await store.readAudit({ after: 0, limit: 10 });
  expect(all).toMatchObject([deed, { ...deed, count: 9 }].map((one) => ({ ...one, outcome: "done" })));
  await store.close();
  expect(trail.often(deed)).rejects.toMatchObject({ code: "unavailable" });
});

test("Refusals crowd no deed out of the audit, nor deeds a refusal", async () => {
  const { trail, store } = start();
  for (let i = 0; i < 300; i++) trail.refused({ ...REFUSAL, from: `ads 10.0.1.${i}` });
  const { reason: _, ...deed } = { ...REFUSAL, action: "issue-x509-svid" };
  for (let i = 0; i < 300; i++) await trail.often({ ...deed, from: `workload ${i}` });
  const { records } = await store.readAudit({ after: 0, limit: 10_000 });
  expect(records.filter(({ outcome }) => outcome === "done")).toHaveLength(300);
  expect(records.filter(({ outcome }) => outcome === "refused")).toHaveLength(200);
});
