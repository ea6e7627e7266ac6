/** What weft says of a real Redis that cannot or will not: full, broken, starting, frozen, away; and of what a Redis, as it is set up, cannot promise. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { systemClock } from "../../src/lib/clock.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import { type Place, START } from "../../src/store/shared/log.ts";
import { Unreachable } from "../../src/store/shared/unreachable.ts";
import { describeWhere } from "../skip.ts";
import { append, appendAll, bytesOf, type Client, engines, headOf, utf8 } from "./log-harness.ts";
import { DURABLE, freePort, installRedis, type RedisConfig, RedisServer } from "./redis-server.ts";
import { Relay } from "./relay.ts";

const programs = installRedis();
const PREFIX = "weft";

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "a Redis", () => {
  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });
  const { read, look } = engines(() => Promise.reject(new Error("each test opens its own")));

  /** It takes two seconds before it answers: from the start on. */
  let cluster: Promise<RedisServer>;
  beforeAll(() => {
    cluster = (async () => {
      const server = await RedisServer.start(programs?.current ?? "", { ...DURABLE, "cluster-enabled": "yes" });
      await server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
      return server;
    })();
  });
  afterAll(async () => (await cluster).dispose());

  async function startServer(config: RedisConfig = DURABLE): Promise<RedisServer> {
    const server = await RedisServer.start(programs?.current ?? "", config);
    disposals.push(() => server.dispose());
    return server;
  }

  async function openAt(port: number): Promise<Client> {
    const client = await openRedis(`redis://127.0.0.1:${port}/?prefix=${PREFIX}`, { clock: systemClock });
    disposals.push(() => client.log.close());
    return client;
  }

  const refused = { code: "unavailable", name: "Refused", help: expect.stringMatching(/./) };

  describe("that refuses", () => {
    test("for want of memory lets who follows go on, and takes appends again once there is some", async () => {
      const server = await startServer();
      const { log, board } = await openAt(server.port);
      const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
      await server.command("CONFIG", "SET", "maxmemory", "1mb");
      for (const size of [10, 3_000_000]) {
        await expect(append(log, first, bytesOf(size))).rejects.toMatchObject({
          ...refused,
          message: expect.stringContaining("memory is full"),
        });
      }
      await expect(log.checkWritable()).rejects.toMatchObject(refused);
      await expect(log.putSnapshot({ place: first, bytes: utf8("state") }, 0)).rejects.toMatchObject(refused);
      await expect(board.post("node", "{}", 60_000)).rejects.toMatchObject(refused);
      await read(log).upTo(first);
      await server.command("CONFIG", "SET", "maxmemory", "0");
      expect((await append(log, first, "2")).outcome).toBe("appended");
    });

    test("for want of a disk takes no append, and says what to look at", async () => {
      const server = await startServer({ save: "3600 1000000" });
      const { log } = await openAt(server.port);
      const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
      rmSync(server.directory, { recursive: true });
      await server.command("BGSAVE");
      const reader = read(log);
      for (;;) {
        if (`${await server.command("INFO", "persistence")}`.includes("rdb_last_bgsave_status:err")) break;
        await Bun.sleep(10);
      }
      await expect(append(log, first, "2")).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining("cannot save to its disk"),
      });
      await reader.upTo(first);
    });

    test("because it is full of clients, the message is Redis's own", async () => {
      const server = await startServer();
      const one = await openAt(server.port);
      await one.log.checkWritable();
      await server.command("CONFIG", "SET", "maxclients", "1");
      await expect((await openAt(server.port)).log.checkWritable()).rejects.toThrow("max number of clients reached");
    });

    test("while it loads its data is waited for by who follows", async () => {
      const server = await startServer();
      const { log } = await openAt(server.port);
      const places = await appendAll(log, START, ["1", "2", "3"]);
      for (let index = 0; index < 12; index++) await server.command("SET", `other-${index}`, "x");
      await server.command("BGREWRITEAOF");
      while (!/aof_rewrite_in_progress:0/.test(`${await server.command("INFO", "persistence")}`)) await Bun.sleep(10);
      await server.kill();
      // Redis's own means for such tests: microseconds for each key, and how often it looks at its clients meanwhile.
      const starting = server.start({ ...DURABLE, "key-load-delay": "100000", "loading-process-events-interval-bytes": "1024" });
      const reader = read(log);
      await reader.upTo(places[3] ?? START);
      await starting;
    });
  });

  describe("that is away", () => {
    test("does not keep a client from being opened, and is told of by each call", async () => {
      const { log, board } = await openAt(await freePort());
      const away = {
        code: "unavailable",
        message: expect.stringContaining("nothing listens there"),
        help: expect.stringContaining("start Redis"),
      };
      await expect(append(log, START, "1")).rejects.toMatchObject(away);
      await expect(log.checkWritable()).rejects.toMatchObject(away);
      await expect(log.snapshot(new AbortController().signal)).rejects.toMatchObject(away);
      await expect(look(board).next()).rejects.toMatchObject(away);
      expect((await log.warnings()).join()).toContain("nothing listens there");
      const began = performance.now();
      await expect(read(log).next()).rejects.toMatchObject(away);
      expect(performance.now() - began).toBeLessThan(8_000);
      await expect(read(log).next()).rejects.toBeInstanceOf(Unreachable);
    });

    test("and names a host that no one knows, the message says so", async () => {
      const { log } = await openRedis("redis://redis.invalid", { clock: systemClock });
      disposals.push(() => log.close());
      await expect(log.checkWritable()).rejects.toThrow("its host name does not resolve");
    });

    test("but takes connections and says nothing, is given up after seconds, and an abort is not kept waiting", async () => {
      const relay = await Relay.start(1);
      disposals.push(() => relay.dispose());
      relay.way = "silent";
      const { log } = await openAt(relay.port);
      await expect(log.checkWritable()).rejects.toThrow("it does not answer");
      const reader = read(log);
      const next = reader.next();
      const began = performance.now();
      reader.abort();
      expect(await next).toBe("ended");
      expect(performance.now() - began).toBeLessThan(1_000);
    });

    test("for a moment is not noticed by who follows", async () => {
      const server = await startServer();
      const relay = await Relay.start(server.port);
      disposals.push(() => relay.dispose());
      const { log } = await openAt(relay.port);
      const reader = read(log);
      let head = START;
      for (const content of ["1", "2", "3", "4", "5"]) {
        relay.cutAll();
        head = (await append(log, head, content).catch(() => append(log, head, content))).place;
        await reader.upTo(head);
      }
      expect(reader.entries.length).toBe(5);
    });

    test("what is there instead is no Redis, the message says so", async () => {
      const web = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
      disposals.push(() => web.stop(true));
      const { log } = await openAt(Number(web.port));
      await expect(log.checkWritable()).rejects.toThrow("what answers is no Redis");
    });
  });

  test("what a writer that died has left, and what was replaced or trimmed, goes by itself; what counts stays", async () => {
    const server = await startServer();
    const { log } = await openAt(server.port);
    const places = await appendAll(log, START, [bytesOf(100_000), bytesOf(100_000, 2), bytesOf(100_000, 3)]);
    const [, first, second] = places as [Place, Place, Place];
    await log.putSnapshot({ place: first, bytes: bytesOf(2_000_000) }, 0);
    await log.putSnapshot({ place: second, bytes: bytesOf(1_000_000) }, 1);
    // Staged by a writer that is behind by the time it would commit: here one that lost the race for entry 4.
    await Promise.all([1, 2, 3, 4].map((seed) => append(log, places[3] ?? START, bytesOf(100_000, seed))));
    const keys = (await server.command("KEYS", "*")) as readonly string[];
    const lasting = new Map<string, boolean>();
    for (const key of keys) lasting.set(key, (await server.command("TTL", key)) === -1);
    const count = (part: string, stays: boolean) => [...lasting].filter(([key, lasts]) => key.includes(part) && lasts === stays).length;
    expect([count(":entry:", true), count(":state:", true), count(":log", true), count(":snapshot", true)]).toEqual([3, 1, 1, 1]);
    expect(count(":state:", false)).toBe(2);
    expect(count(":entry:", false)).toBeGreaterThanOrEqual(1);
    expect([...lasting].filter(([, lasts]) => lasts).length).toBe(6);
  });

  test("whose board is emptied and filled anew shows what is there now, however many changes that were", async () => {
    const server = await startServer();
    const { board } = await openAt(server.port);
    await board.post("gone", "{}", 60_000);
    await board.post("stays", "old", 60_000);
    const watcher = look((await openAt(server.port)).board);
    await watcher.until((cards) => cards.size === 2);
    await server.command("FLUSHALL");
    for (const text of ["1", "2", "3", "new"]) await board.post("stays", text, 60_000);
    expect(await watcher.until((cards) => cards.get("stays") === "new")).toEqual(new Map([["stays", "new"]]));
  });

  test("that is a cluster of one shard holds the log as any does", async () => {
    const server = await cluster;
    while (!`${await server.command("CLUSTER", "INFO")}`.includes("cluster_state:ok")) await Bun.sleep(10);
    const { log, board } = await openAt(server.port);
    const places = await appendAll(log, START, ["1", bytesOf(100_000), "3"]);
    await log.putSnapshot({ place: places[3] ?? START, bytes: utf8("state") }, 2);
    expect(await headOf(log)).toEqual(places[3] ?? START);
    await board.post("node", "{}", 60_000);
    expect(await look(board).next()).toEqual(new Map([["node", "{}"]]));
    expect((await log.warnings()).join()).toContain("Redis Cluster");
  });

  describe("is warned of", () => {
    const warningsOf = async (config: RedisConfig) => (await (await openAt((await startServer(config)).port)).log.warnings()).join("\n");

    test("in no word where it syncs each write, evicts nothing and has no replica", async () => {
      expect(await warningsOf(DURABLE)).toBe("");
      expect(await warningsOf({ ...DURABLE, maxmemory: "1gb", "maxmemory-policy": "noeviction" })).toBe("");
    });

    test("where a crash loses what was acknowledged", async () => {
      expect(await warningsOf({ save: "" })).toContain("it keeps nothing on disk");
      expect(await warningsOf({ save: "60 1" })).toContain("appendonly is off");
      expect(await warningsOf({ ...DURABLE, appendfsync: "everysec" })).toContain("appendfsync is everysec");
      expect(await warningsOf({ ...DURABLE, appendfsync: "no" })).toContain("appendfsync is no");
    });

    test("where it throws things away when memory runs short", async () => {
      expect(await warningsOf({ ...DURABLE, maxmemory: "1gb", "maxmemory-policy": "allkeys-lru" })).toContain("throws away the log itself");
      expect(await warningsOf({ ...DURABLE, maxmemory: "1gb", "maxmemory-policy": "volatile-ttl" })).toContain("large writes under way");
    });

    test("where replicas can be a write behind, the more where they need not be there", async () => {
      const master = await startServer({ ...DURABLE, "repl-diskless-sync-delay": "0" });
      const replica = await startServer({ ...DURABLE, replicaof: `127.0.0.1 ${master.port}` });
      while (!`${await replica.command("INFO", "replication")}`.includes("master_link_status:up")) await Bun.sleep(10);
      const { log } = await openAt(master.port);
      expect((await log.warnings()).join()).toMatch(/a failover can lose some.*min-replicas-to-write is 0/s);
      await master.command("CONFIG", "SET", "min-replicas-to-write", "1");
      const after = (await log.warnings()).join();
      expect(after).toContain("a failover can lose some");
      expect(after).not.toContain("min-replicas-to-write is 0");
    });
  });
});
