/** Virtual hosts over delta: what Envoy's VHDS needs of a server beyond what other types do (docs/design.md, "xDS order"). */
import { afterEach, expect, test } from "bun:test";
import { TYPE } from "../../src/lib/encoded.ts";
import type { DeltaClient } from "./ads-client.ts";
import { cleanUp, start } from "./fixture.ts";
import { resource } from "./resources.ts";

afterEach(cleanUp);

const { cluster: CDS, listener: LDS, route: RDS, virtualHost: VHDS } = TYPE;
const TABLE = { [RDS]: { table: "1" } };

/** As Envoy: the route configuration by name, then, once a stream, all virtual hosts. */
async function follow(client: DeltaClient): Promise<void> {
  client.subscribe(RDS, "table");
  await client.take(RDS);
  client.subscribe(VHDS);
  await client.take(VHDS);
}

test("a virtual host that gives a domain to another goes in the response that brings the other", async () => {
  const { source, delta } = await start();
  source.publish({ ...TABLE, [VHDS]: { "table/old": "1", "table/rest": "1" } });
  const client = delta();
  await follow(client);
  source.publish({ ...TABLE, [VHDS]: { "table/new": "1", "table/rest": "1" } });
  const change = await client.take(VHDS);
  expect([...change.resources.keys()]).toEqual(["table/new"]);
  expect(change.removed).toEqual(["table/old"]);
  await client.nothingElse();
});

test("a virtual host that nothing replaces goes after the listeners, and before the clusters", async () => {
  const { source, delta } = await start();
  source.publish({ ...TABLE, [CDS]: { a: "1" }, [LDS]: { a: "1" }, [VHDS]: { "table/a": "1" } });
  const client = delta();
  for (const type of [CDS, LDS]) {
    client.subscribe(type);
    await client.take(type);
  }
  await follow(client);
  source.publish(TABLE);
  const gone = [await client.take(), await client.take(), await client.take()];
  expect(gone.map(({ typeUrl }) => typeUrl)).toEqual([LDS, VHDS, CDS]);
  expect(gone[1]?.removed).toEqual(["table/a"]);
  await client.nothingElse();
});

test("a route configuration that is asked for again is followed by its virtual hosts, and by no other's", async () => {
  const { source, delta } = await start();
  source.publish({ [RDS]: { table: "1", other: "1" }, [VHDS]: { "table/a": "1", "table/b": "1", "other/a": "1" } });
  const client = delta();
  await follow(client);
  client.send(RDS, { resourceNamesUnsubscribe: ["table"] });
  client.subscribe(RDS, "table");
  await client.take(RDS);
  expect([...(await client.take(VHDS)).resources.keys()].sort()).toEqual(["table/a", "table/b"]);
  await client.nothingElse();
});

test("virtual hosts wait until the clusters before them are answered", async () => {
  const { source, delta } = await start();
  source.publish({ ...TABLE, [CDS]: { a: "1" }, [VHDS]: { "table/a": "1" } });
  const client = delta();
  client.subscribe(CDS);
  await client.take(CDS);
  await follow(client);
  source.publish({ ...TABLE, [CDS]: { a: "1", b: "1" }, [VHDS]: { "table/a": "2" } });
  const clusters = await client.next(CDS);
  await client.nothingElse();
  client.ack(clusters);
  expect([...(await client.take(VHDS)).resources]).toEqual([["table/a", "2"]]);
});

test("a proxy that comes back with its virtual hosts gets those that changed, and is told those that are gone", async () => {
  const { source, delta } = await start();
  source.publish({ ...TABLE, [VHDS]: { "table/a": "2", "table/b": "1" } });
  const client = delta();
  const versionOf = (type: typeof RDS | typeof VHDS, name: string, content: string) => resource(type, name, content).version;
  client.send(RDS, { resourceNamesSubscribe: ["table"], initialResourceVersions: { table: versionOf(RDS, "table", "1") } });
  client.send(VHDS, {
    initialResourceVersions: {
      "table/a": versionOf(VHDS, "table/a", "1"),
      "table/b": versionOf(VHDS, "table/b", "1"),
      "table/c": versionOf(VHDS, "table/c", "1"),
    },
  });
  const change = await client.take(VHDS);
  expect([...change.resources]).toEqual([["table/a", "2"]]);
  expect(change.removed).toEqual(["table/c"]);
  await client.nothingElse();
});

test("a refused virtual host is found, and the others go on", async () => {
  const { source, delta, ads } = await start();
  source.publish({ ...TABLE, [VHDS]: { "table/a": "1", "table/b": "1" } });
  const client = delta();
  await follow(client);
  source.publish({ ...TABLE, [VHDS]: { "table/a": "bad", "table/b": "2" } });
  for (let round = 0; round < 6 && client.responses.length < 20; round++) {
    const response = await client.next(VHDS);
    if (response.resources.get("table/a") === "bad") client.nack(response, "missing ): (");
    else client.ack(response);
    if (ads.ledger.proxy("default/orders")?.types.some(({ nack }) => nack?.resources.length === 1) && client.unread === 0) break;
  }
  const record = () => ads.ledger.proxy("default/orders")?.types.find(({ typeUrl }) => typeUrl === VHDS);
  await client.until(() => (record()?.nack?.resources.length === 1 ? true : undefined), "the search's end");
  expect(record()?.nack?.resources.map(({ name, sources }) => [name, sources.map(({ line }) => line)])).toEqual([["table/a", [3]]]);
});
