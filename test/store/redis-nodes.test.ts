/** Nodes on one log in a real Redis that is killed, frozen, cut off, or fails over with less than it had acknowledged. */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import { describeWhere } from "../skip.ts";
import { apply, codeOf, idOf, put } from "./harness.ts";
import { DURABLE, installRedis, type RedisConfig, RedisServer } from "./redis-server.ts";
import { Relay } from "./relay.ts";
import { type Node, nodesOf, until, untilEqual } from "./replica-harness.ts";

const programs = installRedis();

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "nodes with a log in Redis", () => {
  const newNode = nodesOf();
  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });

  async function startServer(config: RedisConfig = DURABLE): Promise<RedisServer> {
    const server = await RedisServer.start(programs?.current ?? "", config);
    disposals.push(() => server.dispose());
    return server;
  }

  async function startRelay(to: RedisServer): Promise<Relay> {
    const relay = await Relay.start(to.port);
    disposals.push(() => relay.dispose());
    return relay;
  }

  async function startNodes(count: number, port: number): Promise<readonly Node[]> {
    const connect = async () => (await openRedis(`redis://127.0.0.1:${port}`, { clock: systemClock })).log;
    const nodes = Array.from({ length: count }, () => newNode(connect));
    for (const node of nodes) await node.start();
    return nodes;
  }

  const inTouch = (nodes: readonly Node[]) =>
    until("all nodes are in touch", () => nodes.every(({ store }) => store.standing?.().inTouch === true), 20_000);

  test("lose no acknowledged change while Redis is killed, frozen and cut off under writers on all of them, and count each once", async () => {
    const server = await startServer();
    const relay = await startRelay(server);
    const nodes = await startNodes(3, relay.port);
    await apply((nodes[0] as Node).store, put("counter", 0));
    await untilEqual(nodes);
    let acknowledged = 0;
    let unclear = 0;
    let running = true;
    const writers = nodes.map(async ({ store }) => {
      while (running) {
        const seen = await store.get(idOf("counter"));
        try {
          await apply(store, put("counter", Number(seen?.document.spec) + 1, { expect: seen?.revision }));
          acknowledged += 1;
        } catch (reason) {
          const { name, code } = reason as { name: string; code: string };
          expect(["unavailable", "conflict"]).toContain(code);
          if (name === "UnknownOutcome") unclear += 1;
          // A refusal takes no time, and leaves none to anybody else.
          await Bun.sleep(5);
        }
      }
    });
    const more = async (count: number) => {
      const goal = acknowledged + count;
      await until("writes are acknowledged again", () => acknowledged >= goal, 20_000);
    };
    await more(20);
    await server.kill();
    await server.start();
    await more(20);
    relay.cutAll();
    await more(20);
    server.signal("SIGSTOP");
    await until("all nodes know", () => nodes.every(({ store }) => store.standing?.().inTouch === false));
    server.signal("SIGCONT");
    await more(20);
    running = false;
    await Promise.all(writers);
    await inTouch(nodes);
    await untilEqual(nodes);
    const { store } = nodes[1] as Node;
    const counted = Number((await store.get(idOf("counter")))?.document.spec);
    expect(counted).toBeGreaterThanOrEqual(acknowledged);
    expect(counted).toBeLessThanOrEqual(acknowledged + unclear);
    // Each revision is one step, so none was written twice or over another.
    const history = (await store.history()).toReversed();
    expect(history.map(({ document }) => document.spec)).toEqual(history.map((_, index) => index));
    for (const node of nodes) expect(node.store.standing?.().warnings).toEqual([]);
  });

  test("take Redis's log as it is after a failover that lost changes, keep what was lost in a file, and warn", async () => {
    const master = await startServer({ ...DURABLE, "repl-diskless-sync-delay": "0" });
    const replica = await startServer({ ...DURABLE, replicaof: `127.0.0.1 ${master.port}` });
    await until("the replica follows", async () => `${await replica.command("INFO", "replication")}`.includes("master_link_status:up"));
    const relay = await startRelay(master);
    const nodes = await startNodes(2, relay.port);
    const [a, b] = nodes as [Node, Node];
    await apply(a.store, put("kept", 1));
    await untilEqual(nodes);
    const end = async (server: RedisServer) => JSON.stringify(await server.command("XREVRANGE", "{weft}:log", "+", "-", "COUNT", "1"));
    await until("the replica has it", async () => (await end(replica)) === (await end(master)));
    await replica.command("REPLICAOF", "NO", "ONE");
    await apply(b.store, put("lost", 1));
    await untilEqual(nodes);
    relay.leadTo(replica.port);
    await master.kill();
    await until("both have gone back", async () => !(await a.store.get(idOf("lost"))) && !(await b.store.get(idOf("lost"))), 20_000);
    await inTouch(nodes);
    for (const node of nodes) expect(node.store.standing?.().warnings.join()).toMatch(/lost/);
    await apply(a.store, put("after", 1));
    const state = (await untilEqual(nodes)) as { resources: readonly { name: string }[] };
    expect(state.resources.map(({ name }) => name)).toEqual(["after", "kept"]);
  });

  test("serve what they had where Redis came back empty, and refuse writes rather than begin anew", async () => {
    const server = await startServer();
    const nodes = await startNodes(2, server.port);
    const [a, b] = nodes as [Node, Node];
    await apply(a.store, put("kept", 1));
    await untilEqual(nodes);
    await server.command("FLUSHALL");
    await until("both know", () => nodes.every(({ store }) => /\bis empty\b/.test(store.standing?.().reason ?? "")));
    expect(await codeOf(apply(b.store, put("new", 1)))).toBe("unavailable");
    expect((await b.store.list()).resources.map(({ name }) => name)).toEqual(["kept"]);
  });
});
