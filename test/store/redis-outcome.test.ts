/** What append() says when the way to Redis fails under it, with a real Redis behind a relay that fails as it is told. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import { APPEND, shaOf } from "../../src/store/redis/scripts.ts";
import { type SharedLog, START } from "../../src/store/shared/log.ts";
import { UnknownOutcome } from "../../src/store/shared/unknown-outcome.ts";
import { describeWhere } from "../skip.ts";
import { append, bytesOf, engines, headOf } from "./log-harness.ts";
import { installRedis, openLogOn, RedisServer } from "./redis-server.ts";
import { Relay } from "./relay.ts";

const programs = installRedis();

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "an append to Redis whose answer is lost", () => {
  let server: RedisServer;
  let relay: Relay;
  let log: SharedLog;
  /** Past the relay. */
  let direct: SharedLog;
  const { start, read } = engines(() => openLogOn(server, { prefix }));
  let prefix = "";

  beforeAll(async () => {
    server = await RedisServer.start(programs?.current ?? "");
  });
  afterAll(() => server.dispose());
  beforeEach(async () => {
    prefix = `test-${crypto.randomUUID()}`;
    relay = await Relay.start(server.port);
    ({ log } = await openRedis(`redis://127.0.0.1:${relay.port}/?prefix=${prefix}`, { clock: systemClock }));
    ({ log: direct } = await start());
    // The script is known to the server from here on, and the connection is there.
    await append(log, { sequence: 9, id: "nowhere" }, "no");
  });
  afterEach(async () => {
    await log.close();
    relay.dispose();
  });

  const isAppend = (said: string) => said.includes(shaOf(APPEND));
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      (value) => Promise.reject(new Error(`it did not fail: ${JSON.stringify(value)}`)),
      (reason: unknown) => reason,
    );

  test("is looked up: it was written, so it is acknowledged", async () => {
    const cut = relay.cutAt(isAppend, { pass: true });
    const { outcome, place } = await append(log, START, "one");
    await cut;
    expect(outcome).toBe("appended");
    expect(await headOf(direct)).toEqual(place);
  });

  test("is looked up: another was written in its place, so it is behind", async () => {
    const cut = relay.cutAt(isAppend, { pass: false });
    relay.way = "closed";
    const appending = append(log, START, "late");
    await cut;
    const { place } = await append(direct, START, "first");
    relay.way = "open";
    expect((await appending).outcome).toBe("behind");
    await relay.release();
    expect(await headOf(direct)).toEqual(place);
  });

  test("surely was not written where it is not there, not even when it reaches Redis later", async () => {
    for (const content of ["small", bytesOf(300_000)]) {
      const cut = relay.cutAt(isAppend, { pass: false });
      const before = await headOf(direct);
      const reason = await failure(append(log, before, content));
      await cut;
      expect(reason).toBeInstanceOf(WeftError);
      expect(reason).toMatchObject({ code: "unavailable" });
      expect(reason).not.toBeInstanceOf(UnknownOutcome);
      await relay.release();
      expect(await headOf(direct)).toEqual(before);
      expect((await append(log, before, "again")).outcome).toBe("appended");
    }
  });

  test("is unknown while Redis cannot be asked; whoever then reads that it is not in the log can rely on that", async () => {
    const cut = relay.cutAt(isAppend, { pass: false });
    relay.way = "closed";
    const reader = read(log);
    const reason = await failure(append(log, START, "one"));
    await cut;
    expect(reason).toBeInstanceOf(UnknownOutcome);
    relay.way = "open";
    expect((await reader.until("current")).head).toEqual(START);
    await relay.release();
    expect(await headOf(direct)).toEqual(START);
    expect((await append(log, START, "one")).outcome).toBe("appended");
  });

  test("is unknown while Redis cannot be asked, and the log tells it later: asked again with the same id, it is there once, whole", async () => {
    const entry = { id: crypto.randomUUID(), bytes: bytesOf(400_000) };
    const cut = relay.cutAt(isAppend, { pass: true });
    relay.way = "closed";
    const reader = read(log);
    expect(await failure(log.append(START, entry))).toBeInstanceOf(UnknownOutcome);
    await cut;
    relay.way = "open";
    expect(await log.append(START, entry)).toBe("behind");
    for (const one of [reader, read(direct)]) {
      const entries = await one.upTo({ sequence: 1, id: entry.id });
      expect(entries.map(({ place }) => place)).toEqual([{ sequence: 1, id: entry.id }]);
      expect(Buffer.compare(entries[0]?.bytes ?? new Uint8Array(), entry.bytes)).toBe(0);
    }
  });
});
