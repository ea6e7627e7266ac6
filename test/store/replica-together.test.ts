/** Several nodes on one log: what one writes, all hold. */
import { describe, expect, test } from "bun:test";
import { brokenAt, whole } from "./contract-audit.ts";
import { apply, codeOf, idOf, put, remove, take } from "./harness.ts";
import { MemoryEngine } from "./memory-log.ts";
import { nodesOf, until, untilEqual } from "./replica-harness.ts";

const newNode = nodesOf();
const AUDIT = { who: "uid 0", from: "admin.sock", action: "join", outcome: "done", targets: ["node b"] } as const;

async function start(count: number) {
  const engine = new MemoryEngine();
  const nodes = Array.from({ length: count }, () => newNode(() => engine.connect()));
  for (const node of nodes) await node.start();
  return { engine, nodes, stores: nodes.map(({ store }) => store) };
}

describe("nodes that share a log", () => {
  test("hold the same rows, history, audit and private records, with the same revisions, uids and times", async () => {
    const { nodes, stores } = await start(3);
    const [a, b, c] = stores as [(typeof stores)[0], (typeof stores)[0], (typeof stores)[0]];
    await apply(a, put("one", { x: 1 }), put("two", 1));
    await apply(b, put("three", 1));
    await c.recordAudit({ ...AUDIT, action: "refuse" });
    await b.writePrivate({ collection: "nodes", puts: [{ id: "b", value: { key: 1 } }], deletes: [], audit: AUDIT });
    await remove(c, "one");
    await apply(a, put("two", 1, { source: { file: "moved.yaml", lines: {} } }));
    const state = await untilEqual(nodes, ["nodes"]);
    expect(state).toMatchObject({ revision: 3, resources: [{ name: "three" }, { name: "two", source: { file: "moved.yaml" } }] });
    const histories = await Promise.all(stores.map((store) => store.history()));
    expect(histories[1]).toEqual(histories[0] as never);
    expect(histories[2]).toEqual(histories[0] as never);
    const audits = await Promise.all(stores.map(whole));
    expect(audits[0]).toHaveLength(5);
    expect(audits[1]).toEqual(audits[0] as never);
    expect(audits[2]).toEqual(audits[0] as never);
    for (const store of stores) expect(await brokenAt(store)).toBeUndefined();
  });

  test("a write is answered when the node that was asked has it, and every other gets it by itself", async () => {
    const { stores } = await start(2);
    const [a, b] = stores as [(typeof stores)[0], (typeof stores)[0]];
    const seen = take(b.watch(0, new AbortController().signal), (event) => event.type === "revision" && event.revision === 20);
    for (let round = 1; round <= 20; round++) {
      const { revision } = await apply(a, put("a", round));
      expect((await a.get(idOf("a")))?.revision).toBe(revision);
    }
    expect((await seen).map((event) => event.type === "revision" && event.revision)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
  });

  test("of writers on different nodes who saw the same revision, exactly one wins", async () => {
    const { nodes, stores } = await start(3);
    await apply(stores[0] as never, put("a", 0));
    await untilEqual(nodes);
    for (let round = 0; round < 10; round++) {
      const seen = (await stores[0]?.get(idOf("a")))?.revision;
      const outcomes = await Promise.all(
        stores.map((store, writer) => codeOf(apply(store, put("a", { round, writer }, { expect: seen })))),
      );
      expect(outcomes.sort()).toEqual(["conflict", "conflict", "resolved"]);
      await untilEqual(nodes);
    }
    expect((await stores[2]?.list())?.revision).toBe(11);
  });

  test("no update is lost of writers on three nodes that retry on conflict", async () => {
    const { nodes, stores } = await start(3);
    await apply(stores[0] as never, put("counter", 0));
    await untilEqual(nodes);
    await Promise.all(
      Array.from({ length: 9 }, async (_, writer) => {
        const store = stores[writer % 3] as (typeof stores)[0];
        for (;;) {
          const seen = await store.get(idOf("counter"));
          const outcome = await codeOf(apply(store, put("counter", Number(seen?.document.spec) + 1, { expect: seen?.revision })));
          if (outcome === "resolved") return;
          expect(outcome).toBe("conflict");
        }
      }),
    );
    await untilEqual(nodes);
    expect((await stores[1]?.get(idOf("counter")))?.document.spec).toBe(9);
  });

  test("writes that are asked for at once are one entry, and writers on many nodes make way for each other", async () => {
    const { engine, nodes, stores } = await start(3);
    await Promise.all(Array.from({ length: 60 }, (_, index) => apply(stores[index % 3] as never, put(`a-${index}`, index))));
    const state = (await untilEqual(nodes)) as { revision: number; resources: unknown[] };
    expect([state.revision, state.resources.length]).toEqual([60, 60]);
    expect(engine.head.sequence).toBeLessThanOrEqual(10);
  });

  test("a private record is used up by one node alone, and all are told", async () => {
    const { nodes, stores } = await start(3);
    const told: string[] = [];
    stores[2]?.onPrivate((collection) => collection !== "" && told.push(collection));
    await stores[0]?.writePrivate({ collection: "joins", puts: [{ id: "token", value: {} }], deletes: [], audit: AUDIT });
    await untilEqual(nodes, ["joins"]);
    const use = (store: (typeof stores)[0]) =>
      codeOf(store.writePrivate({ collection: "joins", puts: [], deletes: ["token"], requires: ["token"], audit: AUDIT }));
    expect((await Promise.all(stores.map(use))).sort()).toEqual(["conflict", "conflict", "resolved"]);
    await untilEqual(nodes, ["joins"]);
    expect(await stores[1]?.readPrivate("joins")).toEqual([]);
    expect(told).toEqual(["joins", "joins"]);
  });

  test("the other nodes' watchers learn which trace a revision belongs to, the own ones do not", async () => {
    const { stores } = await start(2);
    const [a, b] = stores as [(typeof stores)[0], (typeof stores)[0]];
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const watches = [a, b].map((store) =>
      take(store.watch(0, new AbortController().signal), (event) => event.type === "revision" && event.revision === 2),
    );
    await a.apply({ puts: [put("a", 1)], deletes: [], who: "uid 0", trace });
    await apply(a, put("a", 2));
    const [own, others] = await Promise.all(watches);
    expect(own?.map((event) => event.type === "revision" && event.trace)).toEqual([undefined, undefined]);
    expect(others?.map((event) => event.type === "revision" && event.trace)).toEqual([trace, undefined]);
  });

  test("a node that lags answers as one that does not: what it expects, deletes and finds unchanged is judged by the newest revision", async () => {
    const engine = new MemoryEngine();
    const clients = [engine.connect(), engine.connect()] as const;
    const [a, b] = [newNode(() => clients[0]), newNode(() => clients[1])];
    await a.start();
    await b.start();
    const lag = () => {
      clients[1].slow = 20;
    };
    const { revision } = await apply(a.store, put("a", 1));
    lag();
    expect((await apply(b.store, put("a", 2, { expect: revision }))).revision).toBe(2);
    await apply(a.store, put("new", 1));
    expect((await remove(b.store, "new")).revision).toBe(4);
    await apply(a.store, put("a", 3));
    expect(await apply(b.store, put("a", 2))).toMatchObject({ revision: 6, changes: [{ action: "updated" }] });
    await apply(a.store, put("a", 4));
    expect(await apply(b.store, put("a", 4))).toMatchObject({ revision: 7, changes: [{ action: "unchanged" }] });
    expect(await codeOf(apply(b.store, put("a", 5, { expect: 6 })))).toBe("conflict");
  });

  test("a fresh node gets all that was, and a node that was stopped what it missed", async () => {
    const { engine, nodes, stores } = await start(2);
    for (let round = 0; round < 30; round++) await apply(stores[0] as never, put(`a-${round % 7}`, round));
    await nodes[1]?.stop();
    await remove(stores[0] as never, "a-3");
    const fresh = newNode(() => engine.connect());
    await fresh.start();
    await nodes[1]?.start();
    await untilEqual([...nodes, fresh]);
    expect(await fresh.store.history()).toEqual((await stores[0]?.history()) as never);
  });

  test("what weft had asked for before it was closed is answered, and the log is closed with it", async () => {
    const engine = new MemoryEngine();
    const node = newNode(() => engine.connect());
    await node.start();
    const asked = [apply(node.store, put("a", 1)), apply(node.store, put("b", 1))];
    await node.stop();
    expect(await Promise.all(asked.map(codeOf))).toEqual(["resolved", "resolved"]);
    expect(engine.clients[0]?.closed).toBe(true);
    await until("the log has them", () => engine.head.sequence === 1);
  });
});
