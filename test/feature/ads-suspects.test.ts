import { afterEach, expect, test } from "bun:test";
import { MAX_SPLITS } from "../../src/ads/suspects.ts";
import { type EncodedResource, TYPE } from "../../src/lib/encoded.ts";
import { cleanUp, start } from "./fixture.ts";
import { DeltaModelClient, SotwModelClient } from "./model-client.ts";
import { type Contents, snapshot } from "./resources.ts";

afterEach(cleanUp);

const { cluster: CDS, endpoint: EDS } = TYPE;

const text = (resource: EncodedResource) => new TextDecoder().decode(resource.any);
const isBad = (resource: EncodedResource) => text(resource).endsWith("=bad");

/** Lets everything come to rest; returns the number of responses. */
function rest(client: DeltaModelClient | SotwModelClient): number {
  let responses = 0;
  for (let busy = true; busy; ) {
    const served = client.serve();
    const sent = client.send();
    if (sent) responses += 1;
    busy = [served, sent, client.read()].includes(true);
  }
  return responses;
}

const clients = {
  delta: () => new DeltaModelClient(isBad, { names: false, partial: false }),
  sotw: () => new SotwModelClient(isBad, { names: false, partial: false }),
};

/** `count` resources "r0", "r1" ..., of which those in `bad` cannot be used. */
function contents(count: number, bad: (index: number) => boolean, good = "1"): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`r${i}`, bad(i) ? "bad" : good]));
}

for (const protocol of ["delta", "sotw"] as const) {
  for (const type of [CDS, EDS]) {
    const kind = type === CDS ? "clusters" : "endpoints";
    const all: Contents = { [type]: contents(1000, (i) => i === 613) };

    test(`${protocol}: one of a thousand ${kind} that cannot be read holds back itself only, though the refusal names none`, () => {
      const client = clients[protocol]();
      client.publish(snapshot(1, all));
      if (type === CDS) client.subscribe(type, "*");
      else for (const name of Object.keys(all[type] ?? {})) client.subscribe(type, name);
      while (client.serve());
      const responses = rest(client);
      expect(client.subscription(type)?.refusedNames).toEqual(["r613"]);
      expect(client.subscription(type)?.status).toBe("NACKED");
      expect(client.cache(type).size).toBe(999);
      expect(client.cache(type).has("r613")).toBe(false);
      // The first, two halves each of ten times.
      expect(responses).toBeLessThanOrEqual(21);
      client.publish(snapshot(2, { [type]: contents(1000, () => false) }));
      rest(client);
      expect(client.subscription(type)?.status).toBe("SYNCED");
      expect(client.subscription(type)?.ackedRevision).toBe(2);
      expect(client.cache(type).size).toBe(1000);
    });
  }

  test(`${protocol}: no set of resources is refused twice, and a client that can read nothing is not asked for ever`, () => {
    const client = clients[protocol]();
    const refused: string[] = [];
    client.onRefusal = (push) => refused.push(push.changed.join());
    client.publish(snapshot(1, { [CDS]: contents(5000, () => true) }));
    client.subscribe(CDS, "*");
    const responses = rest(client);
    expect(new Set(refused).size).toBe(refused.length);
    expect(refused.length).toBeGreaterThan(MAX_SPLITS);
    expect(responses).toBeLessThan(MAX_SPLITS * 2 + 20);
    expect(client.subscription(CDS)?.refusedNames).toHaveLength(5000);
    client.publish(snapshot(2, { [CDS]: contents(5000, () => true) }));
    expect(rest(client)).toBe(0);
  });

  test(`${protocol}: a change that comes while it is searched which resource is bad is sent after the search`, () => {
    const client = clients[protocol]();
    for (const name of ["r0", "r1", "r2", "r3"]) client.subscribe(EDS, name);
    client.publish(snapshot(1, { [EDS]: contents(4, (i) => i === 1) }));
    while (client.serve());
    client.send();
    client.read();
    client.serve();
    client.publish(snapshot(2, { [EDS]: contents(4, (i) => i === 1, "2") }));
    expect(client.subscription(EDS)?.status).toBe("NACKED");
    rest(client);
    expect([...client.cache(EDS)].map(([name, resource]) => `${name} ${text(resource).split("=").at(-1)}`).sort()).toEqual([
      "r0 2",
      "r2 2",
      "r3 2",
    ]);
    expect(client.subscription(EDS)?.refusedNames).toEqual(["r1"]);
  });
}

test("while it is searched which endpoints cannot be read, the ledger says NACKED and shows those under suspicion, then only the bad one", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [EDS]: { a: "1", b: "bad" } });
  const client = delta();
  client.subscribe(EDS, "a", "b");
  const record = () => ads.ledger.proxy("default/orders")?.types.find((type) => type.typeUrl === EDS);
  client.nack(await client.next(EDS), "cannot read it");
  const first = await client.next(EDS);
  expect([...first.resources.keys()]).toEqual(["a"]);
  expect(record()).toMatchObject({ status: "NACKED", nack: { resources: [{ name: "a" }, { name: "b" }] } });
  client.ack(first);
  const second = await client.next(EDS);
  expect([...second.resources.keys()]).toEqual(["b"]);
  expect(record()?.status).toBe("NACKED");
  client.nack(second, "cannot read it at all");
  await client.nothingElse();
  expect(record()).toMatchObject({ status: "NACKED", nack: { message: "cannot read it at all", resources: [{ name: "b" }] } });
  expect(record()?.nack?.resources).toHaveLength(1);
});
