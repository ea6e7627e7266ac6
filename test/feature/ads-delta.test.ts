import { afterEach, expect, test } from "bun:test";
import { TYPE } from "../../src/lib/encoded.ts";
import type { DeltaClient } from "./ads-client.ts";
import { cleanUp, start } from "./fixture.ts";
import { resource } from "./resources.ts";

afterEach(cleanUp);

const { cluster: CDS, endpoint: EDS, listener: LDS, route: RDS } = TYPE;

/** Subscribes to all clusters and to the endpoints of `names`, and takes what comes. */
async function warm(client: DeltaClient, ...names: string[]): Promise<void> {
  client.subscribe(CDS);
  await client.take(CDS);
  client.subscribe(EDS, ...names);
  await client.take(EDS);
}

test("nothing is served before the first full load, and the request is answered when it comes", async () => {
  const { source, delta, ads } = await start();
  const client = delta();
  client.subscribe(CDS);
  await client.until(() => ads.ledger.proxy("default/orders"), "the stream in the ledger");
  expect(client.responses).toHaveLength(0);
  expect(ads.ledger.proxy("default/orders")?.status).toBe("PENDING");
  source.publish({ [CDS]: { a: "1" } });
  expect([...(await client.next(CDS)).resources]).toEqual([["a", "1"]]);
});

test("what is asked for before the first full load is answered when it comes, in order, however much that is", async () => {
  const { source, delta, ads } = await start();
  const client = delta();
  client.subscribe(CDS);
  client.subscribe(EDS, "a");
  client.subscribe(LDS);
  client.subscribe(RDS, "8080");
  const asked = () => ads.ledger.proxy("default/orders")?.types.filter(({ status }) => status !== "NOT_SUBSCRIBED").length;
  await client.until(() => (asked() === 4 ? true : undefined), "the requests in the ledger");
  source.publish({ [CDS]: { a: "1" }, [EDS]: { a: "1" }, [LDS]: { a: "1" }, [RDS]: { 8080: "1" } });
  const types: string[] = [];
  for (let count = 0; count < 4; count++) types.push((await client.take()).typeUrl);
  expect(types).toEqual([CDS, EDS, LDS, RDS]);
});

test("a proxy that asks for all clusters where there are none is told so, and does not wait", async () => {
  const { source, delta } = await start();
  source.publish({});
  const client = delta();
  client.subscribe(CDS);
  const answer = await client.take(CDS);
  expect(answer.resources.size + answer.removed.length).toBe(0);
  await client.nothingElse();
});

test("a subscribed resource that does not exist is reported as removed, and sent when it comes into being", async () => {
  const { source, delta } = await start();
  source.publish({});
  const client = delta();
  client.subscribe(RDS, "8080");
  expect((await client.take(RDS)).removed).toEqual(["8080"]);
  source.publish({ [RDS]: { 8080: "1" } });
  expect([...(await client.take(RDS)).resources]).toEqual([["8080", "1"]]);
});

test("removing a resource does not unsubscribe it", async () => {
  const { source, delta } = await start();
  source.publish({ [RDS]: { 8080: "1" } });
  const client = delta();
  client.subscribe(RDS, "8080");
  await client.take(RDS);
  source.publish({});
  expect((await client.take(RDS)).removed).toEqual(["8080"]);
  source.publish({ [RDS]: { 8080: "1" } });
  expect([...(await client.take(RDS)).resources]).toEqual([["8080", "1"]]);
});

test("only what changed is sent", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { a: "1", b: "1" } });
  const client = delta();
  client.subscribe(CDS);
  expect((await client.take(CDS)).resources.size).toBe(2);
  source.publish({ [CDS]: { a: "1", b: "2" } });
  expect([...(await client.take(CDS)).resources]).toEqual([["b", "2"]]);
  await client.nothingElse();
});

test("a refused version is not sent again until its bytes change, and the others go on", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [RDS]: { 8080: "bad", 9090: "1" } });
  const client = delta();
  client.subscribe(RDS, "8080", "9090");
  client.nack(await client.next(RDS), "8080: unknown cluster");
  // Whether Envoy took the other one is not known: it comes again, without the refused one.
  expect([...(await client.take(RDS)).resources]).toEqual([["9090", "1"]]);
  await client.nothingElse();
  source.publish({ [RDS]: { 8080: "bad", 9090: "2" } });
  expect([...(await client.take(RDS)).resources]).toEqual([["9090", "2"]]);
  await client.nothingElse();
  expect(ads.ledger.proxy("default/orders")?.status).toBe("NACKED");
});

test("a refused route that is mended is sent and recovers", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [RDS]: { 8080: "1" } });
  const client = delta();
  client.subscribe(RDS, "8080");
  await client.take(RDS);
  source.publish({ [RDS]: { 8080: "bad" } });
  client.nack(await client.next(RDS), "no such cluster");
  const status = () => ads.ledger.proxy("default/orders")?.types.find((type) => type.typeUrl === RDS);
  await client.until(() => (status()?.nack ? true : undefined), "the refusal");
  const revision = source.publish({ [RDS]: { 8080: "3" } });
  const mended = await client.next(RDS);
  expect([...mended.resources]).toEqual([["8080", "3"]]);
  expect(status()).toMatchObject({ status: "NACKED", ackedRevision: 1 });
  client.ack(mended);
  await client.until(() => (status()?.status === "SYNCED" ? true : undefined), "SYNCED");
  expect(status()).toMatchObject({ nack: undefined, ackedRevision: revision });
});

test("a proxy that comes back gets only the difference and the removals", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { a: "1", b: "2", c: "1" } });
  const client = delta();
  const version = (name: string, content: string) => resource(CDS, name, content).version;
  client.send(CDS, { initialResourceVersions: { a: version("a", "1"), b: version("b", "1"), gone: version("gone", "1") } });
  const first = await client.take(CDS);
  expect(Object.fromEntries(first.resources)).toEqual({ b: "2", c: "1" });
  expect(first.removed).toEqual([]);
  expect((await client.take(CDS)).removed).toEqual(["gone"]);
  await client.nothingElse();
});

test("a proxy that comes back and has everything gets nothing, and is in sync at once", async () => {
  const { source, delta, ads } = await start();
  const revision = source.publish({ [CDS]: { a: "1" } });
  const client = delta();
  client.send(CDS, { initialResourceVersions: { a: resource(CDS, "a", "1").version } });
  await client.nothingElse();
  expect(ads.ledger.ackedRevision("default/orders")).toBe(revision);
  expect(ads.ledger.inForce("default/orders", CDS, "a", resource(CDS, "a", "1").version)).toBe(true);
});

test("a proxy that comes back with the wildcard and names keeps both", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { a: "1", b: "1" } });
  const client = delta();
  client.send(CDS, { resourceNamesSubscribe: ["*", "a", "later"], initialResourceVersions: { a: resource(CDS, "a", "1").version } });
  const first = await client.take(CDS);
  expect([...first.resources.keys()]).toEqual(["b"]);
  expect(first.removed).toEqual(["later"]);
  client.send(CDS, { resourceNamesUnsubscribe: ["*"] });
  await client.nothingElse();
  source.publish({ [CDS]: { a: "1", b: "2", later: "1" } });
  expect([...(await client.take(CDS)).resources]).toEqual([["later", "1"]]);
  await client.nothingElse();
});

for (const [name, nonce] of [
  ["an empty", ""],
  ["an old", "0.0.0"],
] as const) {
  test(`${name} nonce does not silence a change of the subscription`, async () => {
    const { source, delta } = await start();
    source.publish({ [EDS]: { a: "1", b: "1" } });
    const client = delta();
    client.subscribe(EDS, "a");
    const first = await client.next(EDS);
    client.send(EDS, { resourceNamesSubscribe: ["b"], responseNonce: nonce });
    client.ack(first);
    expect([...(await client.take(EDS)).resources]).toEqual([["b", "1"]]);
  });
}

test("what was unsubscribed and is subscribed again is sent again", async () => {
  const { source, delta } = await start();
  source.publish({ [EDS]: { a: "1" } });
  const client = delta();
  client.subscribe(EDS, "a");
  await client.take(EDS);
  client.send(EDS, { resourceNamesUnsubscribe: ["a"] });
  await client.nothingElse();
  client.subscribe(EDS, "a");
  expect([...(await client.take(EDS)).resources]).toEqual([["a", "1"]]);
});

test("a nonce of an earlier stream neither accepts nor refuses anything, and ends nothing", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [CDS]: { a: "1" } });
  const earlier = delta();
  earlier.subscribe(CDS);
  const old = await earlier.next(CDS);
  earlier.close();
  const client = delta();
  client.subscribe(CDS);
  const present = await client.next(CDS);
  expect(present.nonce).not.toBe(old.nonce);
  client.ack(old);
  client.nack(old, "cluster a is bad");
  source.publish({ [CDS]: { a: "2" } });
  await client.nothingElse();
  expect(ads.ledger.proxy("default/orders")?.status).toBe("PENDING");
  client.ack(present);
  expect([...(await client.take(CDS)).resources]).toEqual([["a", "2"]]);
});

test("the endpoints of a changed cluster are sent again after it, for it warms up", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { a: "1", b: "1" }, [EDS]: { a: "1", b: "1" } });
  const client = delta();
  await warm(client, "a", "b");
  source.publish({ [CDS]: { a: "2", b: "1" }, [EDS]: { a: "1", b: "1" } });
  expect([...(await client.take(CDS)).resources]).toEqual([["a", "2"]]);
  expect([...(await client.take(EDS)).resources]).toEqual([["a", "1"]]);
  await client.nothingElse();
});

test("a secret that is subscribed again after a cluster was sent is answered, though it did not change", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { a: "1" }, [TYPE.secret]: { default: "1" } });
  const client = delta();
  client.subscribe(CDS);
  await client.take(CDS);
  client.subscribe(TYPE.secret, "default");
  await client.take(TYPE.secret);
  source.publish({ [CDS]: { a: "2" }, [TYPE.secret]: { default: "1" } });
  await client.take(CDS);
  client.subscribe(TYPE.secret, "default");
  expect([...(await client.take(TYPE.secret)).resources]).toEqual([["default", "1"]]);
});

test("clusters and endpoints come before listeners and routes, and removals after all additions", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { old: "1" }, [EDS]: { old: "1" }, [LDS]: { l: "1" }, [RDS]: { r: "1" } });
  const client = delta();
  await warm(client, "old", "new");
  client.subscribe(LDS);
  await client.take(LDS);
  client.subscribe(RDS, "r");
  await client.take(RDS);
  source.publish({ [CDS]: { new: "1" }, [EDS]: { new: "1" }, [LDS]: { l: "2" }, [RDS]: { r: "2" } });
  const order: string[] = [];
  while (order.length < 6) {
    const { typeUrl, resources, removed } = await client.take();
    order.push(`${typeUrl.split(".").at(-1)} +${[...resources.keys()]} -${removed}`);
  }
  expect(order).toEqual([
    "Cluster +new -",
    "ClusterLoadAssignment +new -",
    "Listener +l -",
    "RouteConfiguration +r -",
    "Cluster + -old",
    "ClusterLoadAssignment + -old",
  ]);
  await client.nothingElse();
});

test("an extension that is gone is not taken away, for connections that drain may still use it, until the proxy lets go of it", async () => {
  const { source, delta, ads } = await start();
  const ECDS = TYPE.extension;
  source.publish({ [LDS]: { l: "1" }, [ECDS]: { authz: "1" } });
  const client = delta();
  client.subscribe(LDS);
  await client.take(LDS);
  client.subscribe(ECDS, "authz");
  await client.take(ECDS);
  const revision = source.publish({ [LDS]: { l: "2" } });
  expect([...(await client.take(LDS)).resources]).toEqual([["l", "2"]]);
  await client.nothingElse();
  expect(ads.ledger.ackedRevision("default/orders")).toBe(revision);
  source.publish({ [LDS]: { l: "2" }, [ECDS]: { authz: "2" } });
  expect([...(await client.take(ECDS)).resources]).toEqual([["authz", "2"]]);
  source.publish({ [LDS]: { l: "2" } });
  client.send(ECDS, { resourceNamesUnsubscribe: ["authz"] });
  await client.nothingElse();
  client.subscribe(ECDS, "authz");
  expect((await client.take(ECDS)).removed).toEqual(["authz"]);
});

test("a listener waits until the proxy has answered the clusters and the endpoints that came before it", async () => {
  const { source, delta } = await start();
  source.publish({ [CDS]: { a: "1" }, [EDS]: { a: "1" }, [LDS]: { l: "1" } });
  const client = delta();
  await warm(client, "a");
  client.subscribe(LDS);
  await client.take(LDS);
  source.publish({ [CDS]: { a: "2" }, [EDS]: { a: "1" }, [LDS]: { l: "2" } });
  const clusters = await client.next(CDS);
  const endpoints = await client.next(EDS);
  await client.nothingElse();
  client.ack(clusters);
  await client.nothingElse();
  client.ack(endpoints);
  expect([...(await client.take(LDS)).resources]).toEqual([["l", "2"]]);
});

test("a reader that withholds its ACK through ten changes gets the last, once", async () => {
  const { source, delta } = await start();
  source.publish({ [EDS]: { a: "0" } });
  const client = delta();
  client.subscribe(EDS, "a");
  const first = await client.next(EDS);
  for (let i = 1; i <= 10; i += 1) source.publish({ [EDS]: { a: String(i) } });
  await client.nothingElse();
  client.ack(first);
  expect([...(await client.take(EDS)).resources]).toEqual([["a", "10"]]);
  await client.nothingElse();
});

test("clusters that change faster than the proxy answers do not keep listeners back", async () => {
  const { source, delta } = await start();
  let changes = 0;
  const change = () => {
    changes += 1;
    source.publish({ [CDS]: { a: String(changes) }, [LDS]: { l: String(changes) } });
  };
  change();
  const client = delta();
  client.subscribe(CDS);
  await client.take(CDS);
  client.subscribe(LDS);
  await client.take(LDS);
  const seen: string[] = [];
  change();
  while (seen.length < 9) {
    const response = await client.next();
    seen.push(response.typeUrl);
    change();
    change();
    client.ack(response);
  }
  expect(seen.filter((typeUrl) => typeUrl === LDS).length).toBeGreaterThan(2);
});
