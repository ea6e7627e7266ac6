import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:net";
import { mentioned } from "../../src/ads/blame.ts";
import { changedNames, typeVersion } from "../../src/ads/diff.ts";
import { Ledger } from "../../src/ads/ledger.ts";
import { selfTest } from "../../src/ads/self-test.ts";
import { SotwSubscription } from "../../src/ads/sotw.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { cleanUp, onCleanup, until } from "./fixture.ts";
import { ManualClock } from "./manual-clock.ts";
import { snapshot } from "./resources.ts";

afterEach(cleanUp);

const { cluster: CDS } = TYPE;
const info = (id: string) => ({ id, node: "n", envoyVersion: "1.40.0", protocol: "sotw" as const, address: "unix" });

test("a proxy that left is remembered with its last state for an hour, and not after", () => {
  const clock = new ManualClock();
  const ledger = new Ledger({ clock });
  const subscription = new SotwSubscription(CDS);
  subscription.update(snapshot(1, { [CDS]: { a: "1" } }).resources.get(CDS) ?? new Map(), 1);
  subscription.request({ names: [], version: "", nonce: "", error: undefined });
  const entry = ledger.open(info("default/a"), (typeUrl) => (typeUrl === CDS ? subscription : undefined));
  const push = subscription.take("additions", "1");
  if (!push) throw new Error("nothing to send");
  entry.sent(push);
  const answer = subscription.request({ names: [], version: "", nonce: "1", error: "Error adding/updating cluster(s) a: bad" });
  if (answer.kind !== "nack") throw new Error(`expected a NACK, got ${answer.kind}`);
  entry.nacked(answer);
  ledger.close(entry);
  ledger.close(entry);
  clock.advance(3_600_000);
  expect(ledger.proxies()).toMatchObject([{ id: "default/a", status: "NACKED", disconnectedAt: clock.now() - 3_600_000 }]);
  expect(ledger.proxy("default/a")?.types[0]?.nack?.resources).toMatchObject([{ name: "a", sources: [{ file: "mesh.yaml" }] }]);
  clock.advance(1);
  expect(ledger.proxies()).toEqual([]);
});

test("no more proxies that left are remembered than the limit says: the oldest are forgotten", () => {
  const ledger = new Ledger({ clock: new ManualClock(), keepCount: 2 });
  for (const id of ["default/a", "default/b", "default/c"]) ledger.close(ledger.open(info(id), () => undefined));
  expect(ledger.proxies().map(({ id }) => id)).toEqual(["default/b", "default/c"]);
});

test("a proxy that comes back replaces what was remembered of it, and the end of its older stream does not hide the newer", () => {
  const ledger = new Ledger({ clock: new ManualClock() });
  const older = ledger.open(info("default/a"), () => undefined);
  ledger.open({ ...info("default/a"), node: "newer" }, () => undefined);
  expect(ledger.proxies()).toHaveLength(2);
  ledger.close(older);
  expect(ledger.proxies().map(({ node, disconnectedAt }) => [node, disconnectedAt])).toEqual([["newer", undefined]]);
});

test("a refusal is about the resources that Envoy's words name as whole words", () => {
  const names = ["outbound|80||a.mesh.local", "outbound|80||a.mesh", "8080", "a"];
  expect(mentioned("Error adding/updating cluster(s) outbound|80||a.mesh.local: no", names)).toEqual(["outbound|80||a.mesh.local"]);
  expect(mentioned("cluster outbound|80||a.mesh.", names)).toEqual(["outbound|80||a.mesh"]);
  expect(mentioned("route '8080', then a: no", names)).toEqual(["8080", "a"]);
  expect(mentioned("port 18080 of listener xa is taken", names)).toEqual([]);
  expect(mentioned("", names)).toEqual([]);
});

test("what changed is told by version, whatever the identity and order, and is worked out once for the same two maps", () => {
  const map = (contents: Record<string, string>) => snapshot(1, { [CDS]: contents }).resources.get(CDS) ?? new Map();
  const before = map({ a: "1", b: "1", c: "1" });
  const after = map({ d: "1", c: "2", a: "1" });
  expect([...changedNames(before, after)].sort()).toEqual(["b", "c", "d"]);
  expect(changedNames(before, after)).toBe(changedNames(before, after));
  expect(typeVersion(map({ a: "1", b: "1" }))).toBe(typeVersion(map({ b: "1", a: "1" })));
  expect(typeVersion(map({ a: "1", b: "1" }))).not.toBe(typeVersion(map({ a: "1", b: "2" })));
});

test("the self-test fails within two seconds where ADS accepts connections and answers nothing", async () => {
  const clock = new ManualClock();
  let accepted = false;
  const silent = createServer(() => {
    accepted = true;
  });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  onCleanup(() => silent.close());
  const address = silent.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const result = selfTest({ address: address.address, port: address.port, isTls: false }, "SelfTest x", clock).then(
    () => "passed",
    (reason) => String(reason),
  );
  await until(() => accepted, "the connection");
  clock.advance(2_000);
  expect(await result).toContain("no answer in 2000 ms");
});
