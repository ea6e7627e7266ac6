import { expect, test } from "bun:test";
import { AccessTokens } from "../../src/control/access-tokens.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import { FakeClock } from "../fakes/clock.ts";

const CALLER = { who: "unix socket", from: "admin.sock" };
const DAY_MS = 86_400_000;

async function start() {
  const clock = new FakeClock();
  const store = openMemoryStore({ clock });
  return { clock, store, tokens: await AccessTokens.open(store, clock) };
}

test("An access token outlives a restart, and the store holds its hash only", async () => {
  const { store, clock, tokens } = await start();
  const { token } = await tokens.create({ name: "ci", role: "editor", namespaces: ["shop"] }, CALLER);
  expect(JSON.stringify(await store.readPrivate("access-tokens"))).not.toContain(token);
  const again = await AccessTokens.open(store, clock);
  expect(again.authenticate(token)).toEqual({ who: "access token ci (editor of shop)", role: "editor", namespaces: ["shop"] });
  expect(again.authenticate(`${token}x`)).toBeUndefined();
});

test("An access token ends after 90 days unless it is given another life, and its name can be used again then", async () => {
  const { clock, tokens } = await start();
  const quarter = await tokens.create({ name: "a", role: "viewer", namespaces: [] }, CALLER);
  const day = await tokens.create({ name: "b", role: "viewer", namespaces: [], lifetimeMs: DAY_MS }, CALLER);
  await clock.advance(DAY_MS);
  expect(() => tokens.authenticate(day.token)).toThrow("Access token b is expired");
  expect(tokens.authenticate(quarter.token)).toBeDefined();
  await clock.advance(89 * DAY_MS);
  expect(() => tokens.authenticate(quarter.token)).toThrow("Access token a is expired");
  const next = await tokens.create({ name: "a", role: "admin", namespaces: [] }, CALLER);
  expect(tokens.authenticate(next.token)?.role).toBe("admin");
  expect(tokens.authenticate(quarter.token)).toBeUndefined();
});

test("Access tokens that ended a month ago leave the list at the next change", async () => {
  const { clock, tokens } = await start();
  await tokens.create({ name: "old", role: "viewer", namespaces: [], lifetimeMs: DAY_MS }, CALLER);
  await clock.advance(32 * DAY_MS);
  expect(tokens.list().map(({ name, state }) => [name, state])).toEqual([["old", "expired"]]);
  await tokens.create({ name: "new", role: "viewer", namespaces: [] }, CALLER);
  expect(tokens.list().map(({ name }) => name)).toEqual(["new"]);
});

test("Making and revoking an access token stand in the audit, without the token", async () => {
  const { store, tokens } = await start();
  const { token } = await tokens.create({ name: "ci", role: "editor", namespaces: ["shop", "pay"] }, CALLER);
  await tokens.revoke("ci", { who: "admin token", from: "admin 127.0.0.1" });
  const { records } = await store.readAudit({ after: 0, limit: 10 });
  expect(records).toMatchObject([
    { who: "unix socket", action: "create-access", targets: ["access token ci (editor of pay, shop)"] },
    { who: "admin token", action: "revoke-access", targets: ["access token ci (editor of pay, shop)"] },
  ]);
  expect(JSON.stringify(records)).not.toContain(token);
});

test("No access token is made where the store cannot write", async () => {
  const { store, tokens } = await start();
  await store.close();
  expect(tokens.create({ name: "ci", role: "viewer", namespaces: [] }, CALLER)).rejects.toMatchObject({ code: "unavailable" });
  expect(tokens.list()).toEqual([]);
});

/** Two nodes on one store; `between` is done by the second right before the next write of the first. */
async function startTwo() {
  const { clock, store, tokens } = await start();
  let between = async () => {};
  const first = await AccessTokens.open(
    {
      readPrivate: (collection) => store.readPrivate(collection),
      async writePrivate(change) {
        const once = between;
        between = async () => {};
        await once();
        await store.writePrivate(change);
      },
    },
    clock,
  );
  const onNextWrite = (does: () => Promise<void>) => {
    between = does;
  };
  return { clock, store, first, second: tokens, onNextWrite };
}

const VIEWER = { name: "ci", role: "viewer", namespaces: [] } as const;

test("An access token that another node made under the same name meanwhile is what a revocation ends", async () => {
  const { store, clock, first, second, onNextWrite } = await startTwo();
  const before = await first.create(VIEWER, CALLER);
  let after = before;
  onNextWrite(async () => {
    await second.revoke("ci", CALLER);
    after = await second.create(VIEWER, CALLER);
  });
  await first.revoke("ci", CALLER);
  const now = await AccessTokens.open(store, clock);
  for (const tokens of [first, now]) {
    expect(() => tokens.authenticate(after.token)).toThrow("Access token ci is revoked");
    expect(tokens.authenticate(before.token)).toBeUndefined();
  }
});

test("Of two nodes that use the name of an ended access token again at once one is refused, and the other's token is good", async () => {
  const { store, clock, first, second, onNextWrite } = await startTwo();
  await first.create({ ...VIEWER, lifetimeMs: DAY_MS }, CALLER);
  await clock.advance(DAY_MS);
  let winner = "";
  onNextWrite(async () => {
    winner = (await second.create(VIEWER, CALLER)).token;
  });
  await expect(first.create(VIEWER, CALLER)).rejects.toThrow("there is an access token ci");
  for (const tokens of [first, second, await AccessTokens.open(store, clock)]) expect(tokens.authenticate(winner)?.role).toBe("viewer");
});

test("An access token that another node makes under the name of one long ended is not swept away with it", async () => {
  const { store, clock, first, second, onNextWrite } = await startTwo();
  await first.create({ ...VIEWER, lifetimeMs: DAY_MS }, CALLER);
  await clock.advance(32 * DAY_MS);
  onNextWrite(async () => {
    await second.create({ ...VIEWER, lifetimeMs: DAY_MS }, CALLER);
  });
  await first.create({ ...VIEWER, name: "other" }, CALLER);
  const now = await AccessTokens.open(store, clock);
  expect(now.list().map(({ name, state }) => [name, state])).toEqual([
    ["ci", "valid"],
    ["other", "valid"],
  ]);
});
