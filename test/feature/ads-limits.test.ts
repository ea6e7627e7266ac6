import { afterEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { Code } from "@connectrpc/connect";
import { TYPE } from "../../src/lib/encoded.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { cleanUp, onCleanup, start, until } from "./fixture.ts";
import { ManualClock } from "./manual-clock.ts";
import { type Frame, frame, frames, GOAWAY, HEADERS, preface, RST_STREAM, rawDeltaRequest } from "./raw-http2.ts";

afterEach(cleanUp);

const { cluster: CDS } = TYPE;
const END_STREAM = 1;

/** A connection by hand; what came over it so far. */
function raw(bound: { readonly address: string; readonly port: number }) {
  let bytes = Buffer.alloc(0);
  let closed = false;
  const socket = connect(bound.port, bound.address);
  onCleanup(() => socket.destroy());
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  socket.on("data", (data: Buffer) => {
    bytes = Buffer.concat([bytes, data]);
  });
  return { socket, received: (): Frame[] => frames(bytes), closed: () => closed };
}

test("a peer that opens more streams on a connection than it was told it may does not get them, and keeps those that it has", async () => {
  const opened: string[] = [];
  const { source, bound } = await start({
    limits: { maxStreamsPerConnection: 2 },
    observer: { streamOpened: ({ node }) => opened.push(node) },
  });
  source.publish({ [CDS]: { a: "1" } });
  const { socket, received } = raw(bound);
  socket.write(preface);
  for (const stream of [1, 3, 5]) socket.write(rawDeltaRequest(stream, { typeUrl: CDS, node: { id: `stream ${stream}` } }));
  const ended = (stream: number) =>
    received().some((f) => f.stream === stream && (f.type === RST_STREAM || (f.type === HEADERS && (f.flags & END_STREAM) !== 0)));
  await until(() => ended(5) && opened.length === 2, "the end of the third stream");
  expect(opened).toEqual(["stream 1", "stream 3"]);
  expect([ended(1), ended(3)]).toEqual([false, false]);
});

test("a connection above the limit is closed at once and reported, and there is room again when another one ends", async () => {
  const refused: string[] = [];
  const { source, bound, delta } = await start({
    limits: { maxConnections: 1 },
    observer: { refused: ({ reason }) => refused.push(reason) },
  });
  source.publish({ [CDS]: { a: "1" } });
  const first = delta();
  first.subscribe(CDS);
  await first.take(CDS);
  const second = raw(bound);
  await until(second.closed, "the end of the second connection");
  expect(refused).toEqual(["too many connections"]);
  await first.nothingElse();
  first.close();
  const served = async () => {
    const third = delta();
    third.subscribe(CDS);
    return third.next(CDS).then(
      () => true,
      () => false,
    );
  };
  let patience = 100;
  for (; !(await served()); patience -= 1) expect(patience).toBeGreaterThan(0);
});

test("a stream whose credentials nobody judges in time is refused with UNAVAILABLE, and its late answer opens nothing", async () => {
  const clock = new ManualClock();
  const asked: ((identity: { id: string }) => void)[] = [];
  const { source, delta, ads } = await start({
    clock,
    limits: { authenticateMs: 3_000, pingEveryMs: 3_600_000 },
    authenticate: () => new Promise((resolve) => asked.push(resolve)),
  });
  source.publish({ [CDS]: { a: "1" } });
  const client = delta();
  client.subscribe(CDS);
  await until(() => asked.length === 1, "the question");
  clock.advance(2_999);
  expect(client.ended).toBeUndefined();
  clock.advance(1);
  const error = await client.end();
  expect(error?.code).toBe(Code.Unavailable);
  expect(error?.rawMessage).toContain("3000 ms");
  asked[0]?.({ id: "default/orders" });
  const other = delta();
  other.subscribe(CDS);
  await until(() => asked.length === 2, "the next question");
  asked[1]?.({ id: "default/other" });
  await other.take(CDS);
  expect(ads.ledger.proxies().map(({ id }) => id)).toEqual(["default/other"]);
});

test("close() says GOAWAY before it ends the connection's streams, so that a client opens its next stream elsewhere", async () => {
  const { source, bound, ads } = await start();
  source.publish({ [CDS]: { a: "1" } });
  const { socket, received } = raw(bound);
  socket.write(preface);
  for (const stream of [1, 3]) socket.write(rawDeltaRequest(stream, { typeUrl: CDS }));
  const answered = (stream: number) => received().some((f) => f.type === 0 && f.stream === stream);
  await until(() => answered(1) && answered(3), "both answers");
  expect(received().some(({ type }) => type === GOAWAY)).toBe(false);
  await ads.close(200);
  const ends = () => received().flatMap((f, i) => (f.type === HEADERS && (f.flags & END_STREAM) !== 0 ? [i] : []));
  await until(() => ends().length === 2, "the end of both streams");
  const goaway = received().findIndex(({ type }) => type === GOAWAY);
  expect(goaway).toBeGreaterThan(-1);
  expect(Math.min(...ends())).toBeGreaterThan(goaway);
});

/** A call and its end at once, `count` times: CVE-2023-44487. */
function rapidReset(count: number): Buffer {
  const cancel = Buffer.from([0, 0, 0, 8]);
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => {
      const stream = 1 + 2 * index;
      return Buffer.concat([rawDeltaRequest(stream, { typeUrl: CDS }), frame(RST_STREAM, 0, stream, cancel)]);
    }),
  );
}

test("a stranger's connection that opens stream after stream is ended after a few, and what it sent besides is not looked at", async () => {
  let judged = 0;
  const refused: string[] = [];
  const { source, bound } = await start({
    limits: { maxUnprovenCalls: 5 },
    observer: { refused: ({ code }) => refused.push(code) },
    authenticate: () => {
      judged += 1;
      return Promise.reject(new WeftError("unauthenticated", "nobody"));
    },
  });
  source.publish({ [CDS]: { a: "1" } });
  const { socket, closed } = raw(bound);
  socket.write(preface);
  socket.write(rapidReset(5_000));
  await until(closed, "the end of the connection");
  expect(judged).toBeLessThanOrEqual(5);
  expect(refused.filter((code) => code === "rate_limited")).toHaveLength(1);
});

test("a workload's connection that resets stream after stream is ended too, and others of the same workload go on", async () => {
  const clock = new ManualClock();
  const { source, bound, delta } = await start({ clock, limits: { callsBurst: 20, maxUnprovenCalls: 10, pingEveryMs: 3_600_000 } });
  source.publish({ [CDS]: { a: "1" } });
  const calm = delta();
  calm.subscribe(CDS);
  await calm.take(CDS);
  const { socket, closed, received } = raw(bound);
  socket.write(preface);
  socket.write(rawDeltaRequest(1, { typeUrl: CDS }));
  await until(() => received().some(({ type, stream }) => type === 0 && stream === 1), "the first answer");
  const cancel = Buffer.from([0, 0, 0, 8]);
  for (let stream = 3; stream < 2 * 200 && !closed(); stream += 2) {
    socket.write(Buffer.concat([rawDeltaRequest(stream, { typeUrl: CDS }), frame(RST_STREAM, 0, stream, cancel)]));
  }
  await until(closed, "the end of the connection");
  await calm.nothingElse();
  const other = delta();
  other.subscribe(CDS);
  await other.take(CDS);
});
