/**
 * What becomes of the log where Redis crashes, fails over, or comes back with less than it had. (A kill -9 leaves the kernel its writes: that an acknowledged entry survives
 * a power cut too rests on appendfsync always, and is Redis's to keep.)
 */
import { afterEach, describe, expect, test } from "bun:test";
import { cpSync, rmSync } from "node:fs";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import { type Place, START } from "../../src/store/shared/log.ts";
import { describeWhere } from "../skip.ts";
import { append, appendAll, type Client, engines, headOf, text, utf8, within } from "./log-harness.ts";
import { DURABLE, installRedis, type RedisConfig, RedisServer } from "./redis-server.ts";
import { Relay } from "./relay.ts";

const programs = installRedis();
const PREFIX = "weft";

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "a Redis that loses something", () => {
  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });
  const { read } = engines(() => Promise.reject(new Error("each test opens its own")));

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

  async function startPair(config: RedisConfig = {}): Promise<{ master: RedisServer; replica: RedisServer; relay: Relay }> {
    const master = await startServer({ ...DURABLE, "repl-diskless-sync-delay": "0", ...config });
    const replica = await startServer({ ...DURABLE, replicaof: `127.0.0.1 ${master.port}`, "repl-timeout": "5" });
    await eventually(async () => `${await replica.command("INFO", "replication")}`.includes("master_link_status:up"));
    const relay = await Relay.start(master.port);
    disposals.push(() => relay.dispose());
    return { master, replica, relay };
  }

  /** The replica has what the master has, gets no more, and takes the master's place. */
  async function cutOff(replica: RedisServer, head: Place): Promise<void> {
    const { log } = await openAt(replica.port);
    await eventually(async () => `${await replica.command("XREVRANGE", `{${PREFIX}}:log`, "+", "-", "COUNT", "1")}`.includes(head.id));
    await replica.command("REPLICAOF", "NO", "ONE");
    expect(await headOf(log)).toEqual(head);
  }

  test("a kill -9 loses no acknowledged entry where Redis syncs each write, and who follows goes on", async () => {
    const server = await startServer();
    const clients = await Promise.all([1, 2, 3].map(() => openAt(server.port)));
    const follower = read((await openAt(server.port)).log);
    await follower.until("current");
    const acknowledged: Place[] = [];
    let running = true;
    const writers = clients.map(async ({ log }) => {
      let head = START;
      while (running) {
        try {
          const { outcome, place } = await append(log, head, `after ${head.sequence}`);
          if (outcome === "appended") acknowledged.push(place);
          head = outcome === "appended" ? place : await headOf(log);
        } catch (reason) {
          expect(reason).toMatchObject({ code: "unavailable" });
        }
      }
    });
    for (const more of [40, 80]) {
      await eventually(async () => acknowledged.length >= more);
      await server.kill();
      await server.start();
    }
    await eventually(async () => acknowledged.length >= 120);
    running = false;
    await Promise.all(writers);
    const entries = await follower.upTo(await headOf((await openAt(server.port)).log));
    expect(entries.map(({ place }) => place.sequence)).toEqual(entries.map((_, index) => index + 1));
    const ids = new Set(entries.map(({ place }) => `${place.sequence} ${place.id}`));
    expect(acknowledged.filter(({ sequence, id }) => !ids.has(`${sequence} ${id}`))).toEqual([]);
  });

  describe("in a failover", () => {
    test("that loses nothing, who follows goes on as if nothing had been", async () => {
      const { master, replica, relay } = await startPair();
      const { log } = await openAt(relay.port);
      const reader = read(log);
      const places = await appendAll(log, START, ["1", "2"]);
      await reader.upTo(places[2] ?? START);
      await cutOff(replica, places[2] ?? START);
      relay.leadTo(replica.port);
      await master.kill();
      // The first may find out that its connection has ended.
      const { place, outcome } = await append(log, places[2] ?? START, "3").catch(() => append(log, places[2] ?? START, "3"));
      expect(outcome).toBe("appended");
      expect((await reader.upTo(place)).map(({ bytes }) => text(bytes))).toEqual(["1", "2", "3"]);
    });

    test("that loses entries, who knows them is told so, and so it is where others were made in their place", async () => {
      const { master, replica, relay } = await startPair();
      const { log } = await openAt(relay.port);
      const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
      await cutOff(replica, first);
      const [, , third] = (await appendAll(log, first, ["2", "3"])) as [Place, Place, Place];
      const [reader, sleeper] = [read(log), read(log)];
      await reader.upTo(third);
      await sleeper.upTo(third);
      relay.leadTo(replica.port);
      await master.kill();
      expect(await reader.until("lost")).toMatchObject({
        reason: expect.stringContaining("lost acknowledged writes: the log ends at entry 1"),
      });
      expect((await append(log, third, "4")).outcome).toBe("behind");
      const [, , , fourth] = await appendAll(log, first, ["other 2", "other 3", "other 4"]);
      expect(await sleeper.until("lost")).toMatchObject({ reason: expect.stringMatching(/lost acknowledged writes|parted/) });
      expect(sleeper.entries.map(({ bytes }) => text(bytes))).toEqual(["1", "2", "3"]);
      const late = read(log, third);
      expect(await late.next()).toMatchObject({ type: "lost", reason: expect.stringContaining("parted") });
      expect(await headOf(log)).toEqual(fourth ?? START);
    });

    test("the old master, a replica by now, takes no append and calls nobody current", async () => {
      const { master, replica } = await startPair();
      const { log } = await openAt(master.port);
      const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
      const reader = read(log, first);
      await reader.until("current");
      await cutOff(replica, first);
      await master.command("REPLICAOF", "127.0.0.1", `${replica.port}`);
      await expect(append(log, first, "2")).rejects.toThrow("is a replica");
      await expect(log.checkWritable()).rejects.toThrow("is a replica");
      await expect(reader.next()).rejects.toThrow(`it is a replica of 127.0.0.1:${replica.port}`);
      expect((await log.warnings()).join()).toContain("it is a replica");
    });

    test("a master that was cut off from its replicas takes no append and calls nobody current, where it must have one (min-replicas-to-write)", async () => {
      const { master, replica } = await startPair({ "min-replicas-to-write": "1", "min-replicas-max-lag": "2" });
      const goodReplicas = async (count: number) =>
        `${await master.command("INFO", "replication")}`.includes(`min_slaves_good_slaves:${count}`);
      // It counts once it has acknowledged, which it does every second.
      await eventually(() => goodReplicas(1));
      const { log } = await openAt(master.port);
      const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
      const reader = read(log, first);
      await reader.until("current");
      await cutOff(replica, first);
      await eventually(() => goodReplicas(0));
      await expect(append(log, first, "2")).rejects.toThrow("too few of its replicas");
      await expect(reader.next()).rejects.toThrow("it may have been cut off");
      expect(await headOf((await openAt(replica.port)).log)).toEqual(first);
    });

    test("a replica that does not answer holds an append up for half a second, and weft tells of it", async () => {
      const { replica, relay } = await startPair();
      const { log } = await openAt(relay.port);
      await read(log).until("current");
      const unconfirmed = async () => (await log.warnings()).join().includes("no replica has confirmed the last write");
      // A busy machine's replica may take longer than half a second now and then.
      let head = START;
      await eventually(async () => {
        head = (await append(log, head, "confirmed")).place;
        return !(await unconfirmed());
      });
      replica.signal("SIGSTOP");
      expect((await append(log, head, "unconfirmed")).outcome).toBe("appended");
      expect(await unconfirmed()).toBe(true);
      replica.signal("SIGCONT");
    });
  });

  test("a Redis that is emptied, or starts without its data, is noticed by who follows", async () => {
    const server = await startServer();
    const { log } = await openAt(server.port);
    const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
    const reader = read(log, first);
    await reader.until("current");
    await server.command("FLUSHALL");
    expect(await reader.until("lost")).toMatchObject({ reason: expect.stringContaining("emptied") });
    const [, again] = (await appendAll(log, START, ["1"])) as [Place, Place];
    const second = read(log, again);
    await second.until("current");
    await server.killAndForget();
    await server.start();
    expect(await second.until("lost")).toMatchObject({ reason: expect.stringContaining("emptied") });
    expect((await append(log, again, "2")).outcome).toBe("behind");
  });

  test("who waits on a log that is emptied and written anew under him is shown nothing of it", async () => {
    const server = await startServer();
    const { log } = await openAt(server.port);
    const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
    const reader = read(log);
    await reader.upTo(first);
    const next = reader.until("lost");
    await server.command("FLUSHALL");
    await appendAll(log, START, ["other 1", "other 2", "other 3"]);
    expect(await next).toMatchObject({ reason: expect.stringContaining("parted") });
    expect(reader.entries.map(({ bytes }) => text(bytes))).toEqual(["1"]);
  });

  test("a Redis that is restored from an older copy is noticed by who follows", async () => {
    const server = await startServer();
    const { log } = await openAt(server.port);
    const [, first] = (await appendAll(log, START, ["1"])) as [Place, Place];
    await server.kill();
    cpSync(server.directory, `${server.directory}.copy`, { recursive: true });
    disposals.push(() => rmSync(`${server.directory}.copy`, { recursive: true, force: true }));
    await server.start();
    const [, second] = (await appendAll(log, first, ["2"])) as [Place, Place];
    const reader = read(log);
    await reader.upTo(second);
    await server.killAndForget();
    cpSync(`${server.directory}.copy`, server.directory, { recursive: true });
    await server.start();
    expect(await reader.until("lost")).toMatchObject({ reason: expect.stringContaining("the log ends at entry 1") });
    expect(await headOf(log)).toEqual(first);
  });

  test("a log whose stream was deleted goes on from the snapshot", async () => {
    const server = await startServer();
    const { log } = await openAt(server.port);
    const [, , second, third] = (await appendAll(log, START, ["1", "2", "3"])) as [Place, Place, Place, Place];
    await log.putSnapshot({ place: second, bytes: utf8("state after 2") }, 0);
    await server.command("DEL", `{${PREFIX}}:log`);
    expect(await read(log, third).next()).toMatchObject({ type: "lost" });
    expect(await headOf(log)).toEqual(second);
    expect((await append(log, second, "other 3")).outcome).toBe("appended");
    expect(await read(log, third).next()).toMatchObject({ type: "lost", reason: expect.stringContaining("parted") });
    await expect(log.putSnapshot({ place: third, bytes: utf8("of the history that was lost") }, 0)).rejects.toBeInstanceOf(WeftError);
  });
});

/** Waits for the condition, not for a time. */
function eventually(holds: () => Promise<boolean>): Promise<void> {
  const poll = async () => {
    while (!(await holds())) await Bun.sleep(10);
  };
  return within(poll(), "what was waited for");
}
