/** What was revoked, on several nodes at the same time. */
import { expect, test } from "bun:test";
import { followPrivate } from "../../src/control/private-changes.ts";
import { Revocations } from "../../src/control/revocations.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import { clockAt } from "../store/harness.ts";

const HOLDER = { kind: "workload", namespace: "default", name: "web-1" } as const;
const SVID = "spiffe://cluster.local/ns/default/sa/web";
const CALLER = { who: "uid 0", from: "admin.sock" };

test("two nodes that revoke without having heard of each other raise the epoch twice, and never set a time back", async () => {
  const clock = clockAt("2026-01-01T00:00:00Z");
  const store = openMemoryStore({ clock });
  const behind = clockAt("2025-12-31T23:59:00Z");
  const [a, b] = [await Revocations.open(store, clock), await Revocations.open(store, behind)];
  await a.revoke(HOLDER, [SVID], CALLER);
  await b.revoke(HOLDER, [SVID], CALLER);
  await Promise.all([a.revoke(HOLDER, [], CALLER), b.revoke(HOLDER, [], CALLER)]);
  await a.reload();
  expect(a.epochOf(HOLDER)).toBe(4);
  const fresh = await Revocations.open(store, clock);
  expect([fresh.epochOf(HOLDER), fresh.timeOfSvids(SVID)]).toEqual([4, clock.now()]);
});

test("what cannot be read is told, and keeps nothing else from being taken up", async () => {
  const clock = clockAt("2026-01-01T00:00:00Z");
  const store = openMemoryStore({ clock });
  const [a, b] = [await Revocations.open(store, clock), await Revocations.open(store, clock)];
  await a.revoke(HOLDER, [], CALLER);
  const audit = { ...CALLER, action: "revoke-token", outcome: "done", targets: [] } as const;
  await store.writePrivate({ collection: "token-epochs", puts: [{ id: "a newer kind", value: { since: "x" } }], deletes: [], audit });
  await expect(b.reload()).rejects.toThrow("the revocation of tokens of a newer kind cannot be read");
  expect(b.epochOf(HOLDER)).toBe(1);
  await b.revoke(HOLDER, [], CALLER);
  expect(b.epochOf(HOLDER)).toBe(2);
});

test("what was revoked between the reading at start and the listening is taken up too", async () => {
  const clock = clockAt("2026-01-01T00:00:00Z");
  const store = openMemoryStore({ clock });
  const [a, b] = [await Revocations.open(store, clock), await Revocations.open(store, clock)];
  await a.revoke(HOLDER, [], CALLER);
  const revoked = Promise.withResolvers<void>();
  const parts = { store, access: { reload: async () => {} }, revocations: b, log: { warning() {} } };
  const stop = followPrivate(parts, revoked.resolve);
  await revoked.promise;
  stop();
  expect(b.epochOf(HOLDER)).toBe(1);
});
