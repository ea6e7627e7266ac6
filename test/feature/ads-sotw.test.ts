import { afterEach, expect, test } from "bun:test";
import { TYPE } from "../../src/lib/encoded.ts";
import { cleanUp, start } from "./fixture.ts";

afterEach(cleanUp);

const { cluster: CDS, endpoint: EDS, listener: LDS, route: RDS } = TYPE;

test("all clusters are sent whole with every change; endpoints one by one", async () => {
  const { source, sotw } = await start();
  source.publish({ [CDS]: { a: "1", b: "1" }, [EDS]: { a: "1", b: "1" } });
  const client = sotw();
  client.send(CDS);
  const clusters = await client.next(CDS);
  expect([...clusters.resources.keys()]).toEqual(["a", "b"]);
  client.ack(clusters);
  client.send(EDS, { resourceNames: ["a", "b"] });
  client.ack(await client.next(EDS), "a", "b");
  source.publish({ [CDS]: { a: "1", b: "1" }, [EDS]: { a: "2", b: "1" } });
  const endpoints = await client.next(EDS);
  expect([...endpoints.resources]).toEqual([["a", "2"]]);
  client.ack(endpoints, "a", "b");
  source.publish({ [CDS]: { a: "2", b: "1" }, [EDS]: { a: "2", b: "1" } });
  const changed = await client.next(CDS);
  expect(Object.fromEntries(changed.resources)).toEqual({ a: "2", b: "1" });
  client.ack(changed);
  expect([...(await client.next(EDS)).resources]).toEqual([["a", "2"]]);
});

test("removing a cluster leaves the wildcard, and the cluster goes after what refers to it", async () => {
  const { source, sotw } = await start();
  source.publish({ [CDS]: { old: "1" }, [LDS]: { l: "1" } });
  const client = sotw();
  client.send(CDS);
  client.ack(await client.next(CDS));
  client.send(LDS);
  client.ack(await client.next(LDS));
  source.publish({ [CDS]: { new: "1" }, [LDS]: { l: "2" } });
  const both = await client.next(CDS);
  expect([...both.resources.keys()].sort()).toEqual(["new", "old"]);
  client.ack(both);
  client.ack(await client.next(LDS));
  const alone = await client.next(CDS);
  expect([...alone.resources.keys()]).toEqual(["new"]);
  expect(alone.version).not.toBe(both.version);
  client.ack(alone);
  source.publish({ [CDS]: { new: "1", old: "2" }, [LDS]: { l: "2" } });
  expect(Object.fromEntries((await client.next(CDS)).resources)).toEqual({ new: "1", old: "2" });
});

test("a refused listener is replaced by the one that the proxy has, so that a change of another one neither removes nor repeats it", async () => {
  const { source, sotw } = await start();
  source.publish({ [LDS]: { a: "1", b: "1" } });
  const client = sotw();
  client.send(LDS);
  client.ack(await client.next(LDS));
  source.publish({ [LDS]: { a: "bad", b: "1" } });
  client.nack(await client.next(LDS), "Error adding/updating listener(s) a: bad address");
  source.publish({ [LDS]: { a: "bad", b: "2" } });
  expect(Object.fromEntries((await client.next(LDS)).resources)).toEqual({ a: "1", b: "2" });
});

test("endpoints that Envoy asks for again after a CDS push are answered, and a client that repeats itself is not", async () => {
  const { source, sotw } = await start();
  source.publish({ [CDS]: { a: "1" }, [TYPE.secret]: { default: "1" }, [RDS]: { r: "1" } });
  const client = sotw();
  client.send(CDS);
  client.ack(await client.next(CDS));
  client.send(TYPE.secret, { resourceNames: ["default"] });
  const secret = await client.next(TYPE.secret);
  client.ack(secret, "default");
  source.publish({ [CDS]: { a: "2" }, [TYPE.secret]: { default: "1" }, [RDS]: { r: "1" } });
  client.ack(await client.next(CDS));
  client.ack(secret, "default");
  const again = await client.next(TYPE.secret);
  expect([...again.resources]).toEqual([["default", "1"]]);
  client.ack(again, "default");
  for (let i = 0; i < 5; i += 1) client.ack(again, "default");
  client.send(RDS, { resourceNames: ["r"] });
  await client.next(RDS);
  expect(client.unread).toBe(0);
});

test("a proxy that comes back with the version of all clusters is not sent them again", async () => {
  const { source, sotw, ads } = await start();
  source.publish({ [CDS]: { a: "1" }, [RDS]: { r: "1" } });
  const before = sotw();
  before.send(CDS);
  const { version } = await before.next(CDS);
  before.close();
  const client = sotw("default/other");
  client.send(CDS, { versionInfo: version, responseNonce: "of-another-stream" });
  client.send(RDS, { resourceNames: ["r"] });
  await client.next(RDS);
  const cds = ads.ledger.proxy("default/other")?.types.find((type) => type.typeUrl === CDS);
  expect(cds).toMatchObject({ status: "SYNCED", resources: 1, sentRevision: undefined });
  source.publish({ [CDS]: { a: "2" }, [RDS]: { r: "1" } });
  expect([...(await client.next(CDS)).resources]).toEqual([["a", "2"]]);
});

test("an empty list after names is the end of the subscription, not the wildcard", async () => {
  const { source, sotw } = await start();
  source.publish({ [CDS]: { a: "1", b: "1" }, [RDS]: { r: "1" } });
  const client = sotw();
  client.send(CDS, { resourceNames: ["a"] });
  const named = await client.next(CDS);
  expect([...named.resources.keys()]).toEqual(["a"]);
  client.ack(named);
  source.publish({ [CDS]: { a: "2", b: "2" }, [RDS]: { r: "1" } });
  client.send(RDS, { resourceNames: ["r"] });
  await client.next(RDS);
  expect(client.unread).toBe(0);
});
