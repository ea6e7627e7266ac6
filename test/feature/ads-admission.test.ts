import { afterEach, expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Admission } from "../../src/ads/admission.ts";
import { SecretDiscoveryService } from "../../src/gen/weft/ads/v1/secret_pb.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { authenticate, cleanUp, onCleanup, start, until } from "./fixture.ts";
import { ManualClock } from "./manual-clock.ts";

afterEach(cleanUp);

const { cluster: CDS, listener: LDS, secret: SDS } = TYPE;

/** Counts the calls that have come. */
function counting() {
  const calls = { count: 0 };
  const judge: typeof authenticate = (credentials) => {
    calls.count += 1;
    return authenticate(credentials);
  };
  return { calls, judge };
}

/** Nothing but admission depends on the time. */
const LIMITS = { pingEveryMs: 3_600_000, unprovenMs: 3_600_000, authenticateMs: 3_600_000, firstRequestMs: 3_600_000 };

test("when many proxies come at once, the first finish before the next begin, and a change reaches those in sync meanwhile", async () => {
  const clock = new ManualClock();
  const opened: string[] = [];
  const { calls, judge } = counting();
  const { source, delta } = await start({
    clock,
    authenticate: judge,
    limits: { ...LIMITS, syncsAtOnce: 1, syncPatienceMs: 60_000 },
    observer: { streamOpened: ({ proxy }) => opened.push(proxy.id) },
  });
  source.publish({ [CDS]: { a: "1" }, [LDS]: { l: "1" } });
  const synced = delta("default/synced");
  synced.subscribe(CDS);
  await synced.take(CDS);
  synced.subscribe(LDS);
  await synced.take(LDS);

  const first = delta("default/first");
  first.subscribe(CDS);
  const answer = await first.next(CDS);
  const second = delta("default/second");
  second.subscribe(CDS);
  await until(() => calls.count === 3, "the third call");
  source.publish({ [CDS]: { a: "2" }, [LDS]: { l: "1" } });
  expect((await synced.take(CDS)).resources.get("a")).toBe("2");
  expect(second.responses).toHaveLength(0);
  expect(opened).toEqual(["default/synced", "default/first"]);

  first.ack(answer);
  await first.take(CDS);
  first.subscribe(LDS);
  await first.take(LDS);
  // It begins with what is true when its turn comes.
  expect((await second.take(CDS)).resources.get("a")).toBe("2");
  expect(opened.at(-1)).toBe("default/second");
});

test("a stream that has its secrets, and can have nothing else, holds up nobody", async () => {
  const limits = { ...LIMITS, syncsAtOnce: 1, syncPatienceMs: 60_000 };
  const { source, bound, delta } = await start({ clock: new ManualClock(), limits });
  source.publish({ [CDS]: { a: "1" }, [SDS]: { ROOTCA: "1" } });
  const abort = new AbortController();
  onCleanup(() => abort.abort());
  const answered = Promise.withResolvers<string>();
  async function* requests() {
    yield { typeUrl: SDS, node: { id: "envoy" }, resourceNamesSubscribe: ["ROOTCA"] };
    yield { typeUrl: SDS, responseNonce: await answered.promise };
    await new Promise((resolve) => abort.signal.addEventListener("abort", resolve));
  }
  const transport = createGrpcTransport({ baseUrl: `http://${bound.address}:${bound.port}` });
  const headers = { authorization: "Bearer default/secrets" };
  const responses = createClient(SecretDiscoveryService, transport).deltaSecrets(requests(), { headers, signal: abort.signal });
  // Not by a loop: leaving one would end the stream, and with it give the place back.
  const { value } = await responses[Symbol.asyncIterator]().next();
  answered.resolve(value?.nonce ?? "");
  const next = delta("default/next");
  next.subscribe(CDS);
  expect((await next.take(CDS)).resources.get("a")).toBe("1");
});

test("a proxy that is slow goes on, but does not hold up the next for longer than the patience with it; nor does one that leaves", async () => {
  const clock = new ManualClock();
  const { calls, judge } = counting();
  const { source, delta } = await start({ clock, authenticate: judge, limits: { ...LIMITS, syncsAtOnce: 1, syncPatienceMs: 100 } });
  source.publish({ [CDS]: { a: "1" } });
  const slow = delta("default/slow");
  slow.subscribe(CDS);
  const answer = await slow.next(CDS);
  const second = delta("default/second");
  second.subscribe(CDS);
  await until(() => calls.count === 2, "the second call");
  source.publish({ [CDS]: { a: "1" } });
  expect(second.responses).toHaveLength(0);
  clock.advance(100);
  await second.take(CDS);
  slow.ack(answer);
  source.publish({ [CDS]: { a: "2" } });
  expect((await slow.take(CDS)).resources.get("a")).toBe("2");

  const third = delta("default/third");
  third.subscribe(CDS);
  await until(() => calls.count === 3, "the third call");
  await slow.nothingElse();
  expect(third.responses).toHaveLength(0);
  second.close();
  await third.take(CDS);
  third.close();
  const fourth = delta("default/fourth");
  fourth.subscribe(CDS);
  await fourth.take(CDS);
});

test("the self-test waits for nobody's sync", async () => {
  const clock = new ManualClock();
  const { source, delta, ads } = await start({ clock, limits: { ...LIMITS, syncsAtOnce: 1 } });
  source.publish({ [CDS]: { a: "1" } });
  const slow = delta("default/slow");
  slow.subscribe(CDS);
  await slow.next(CDS);
  await ads.selfTest();
});

test("those that wait are admitted in the order in which they came, each once, and never after they left", async () => {
  const clock = new ManualClock();
  const admission = new Admission({ clock, atOnce: 2, patienceMs: 100 });
  const begun: number[] = [];
  const places = Array.from({ length: 8 }, (_, at) => admission.enter(() => begun.push(at)));
  expect(begun).toEqual([0, 1]);
  places[3]?.leave();
  places[0]?.leave();
  places[0]?.leave();
  await until(() => begun.length === 3, "the third");
  clock.advance(100);
  await until(() => begun.length === 5, "two more");
  for (const place of places) place.leave();
  await until(() => clock.waiting === 0, "the end");
  expect(begun).toEqual([0, 1, 2, 4, 5]);
  admission.enter(() => begun.push(8));
  expect(begun.at(-1)).toBe(8);
});

test("what weft does for a stream takes nothing of the patience with it; what it waits for the stream does, altogether", async () => {
  const clock = new ManualClock();
  const admission = new Admission({ clock, atOnce: 1, patienceMs: 100 });
  const place = admission.enter(() => {});
  let begun = 0;
  admission.enter(() => (begun += 1));
  for (let answers = 0; answers < 4; answers++) {
    place.works();
    clock.advance(1_000);
    place.waits();
    clock.advance(24);
    await new Promise(setImmediate);
    expect(begun).toBe(0);
  }
  clock.advance(4);
  await until(() => begun === 1, "the next");
  place.leave();
});

test("a stream that always has something to say keeps its place no longer than others need", async () => {
  const clock = new ManualClock();
  const admission = new Admission({ clock, atOnce: 1, patienceMs: 100 });
  const place = admission.enter(() => {});
  let begun = 0;
  admission.enter(() => (begun += 1));
  for (let asked = 0; asked < 200 && begun === 0; asked++) {
    place.works();
    clock.advance(50);
    await new Promise(setImmediate);
  }
  expect(begun).toBe(1);
});

test("what a stream sends faster than it is done in turn is all done, in the order in which it came", async () => {
  const { source, delta } = await start({ limits: { ...LIMITS, syncPatienceMs: 60_000 } });
  const names = Array.from({ length: 300 }, (_, at) => `a${at}`);
  source.publish({ [CDS]: Object.fromEntries(names.map((name) => [name, "1"])) });
  const client = delta();
  for (const name of names) client.subscribe(CDS, name);
  for (const name of names.slice(1)) client.send(CDS, { resourceNamesUnsubscribe: [name] });
  client.subscribe(LDS, "none");
  let answer = await client.next();
  for (; answer.typeUrl !== LDS; answer = await client.next()) client.ack(answer);
  client.ack(answer);
  source.publish({ [CDS]: Object.fromEntries(names.map((name) => [name, "2"])) });
  expect([...(await client.take(CDS)).resources]).toEqual([["a0", "2"]]);
  await client.nothingElse();
});

test("what a stream says last is on record, though it ends before that is done", async () => {
  const acked: string[] = [];
  const limits = { ...LIMITS, syncPatienceMs: 60_000 };
  const { source, delta } = await start({ limits, observer: { acked: ({ typeUrl }) => acked.push(typeUrl) } });
  source.publish({ [CDS]: { a: "1" } });
  const client = delta();
  client.subscribe(CDS);
  const answer = await client.next(CDS);
  for (let before = 0; before < 50; before++) client.subscribe(CDS, `before-${before}`);
  client.ack(answer);
  client.finish();
  await client.end();
  expect(acked).toEqual([CDS]);
});

test("when a crowd has passed, that is told once; a few who wait are no crowd", async () => {
  const clock = new ManualClock();
  let passed = 0;
  const admission = new Admission({ clock, atOnce: 50, patienceMs: 100, onPassed: () => (passed += 1) });
  for (const place of Array.from({ length: 60 }, () => admission.enter(() => {}))) place.leave();
  expect(passed).toBe(0);
  let begun = 0;
  const places = Array.from({ length: 200 }, () => admission.enter(() => (begun += 1)));
  for (let left = 0; left < 200; left += 50) {
    await until(() => begun === left + 50, "the next fifty");
    clock.advance(100);
  }
  expect(passed).toBe(1);
  for (const place of places) place.leave();
  expect(passed).toBe(1);
});
