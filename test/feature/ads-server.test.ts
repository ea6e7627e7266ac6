import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { createAdsServer } from "../../src/ads/server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { DeltaClient } from "./ads-client.ts";
import { authenticate, cleanUp, onCleanup, start, until } from "./fixture.ts";
import { ManualClock } from "./manual-clock.ts";
import { FakeSource, resource } from "./resources.ts";

afterEach(cleanUp);

const { cluster: CDS, endpoint: EDS, listener: LDS } = TYPE;

async function socketPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "weft-ads-"));
  onCleanup(() => rm(folder, { recursive: true }));
  return join(folder, "ads.sock");
}

test("a stream without a valid token is refused as UNAUTHENTICATED, with the command to run, and never reaches the source", async () => {
  const refused: string[] = [];
  const { source, bound, ads } = await start({ observer: { refused: ({ reason }) => refused.push(reason) } });
  source.publish({ [CDS]: { a: "1" } });
  for (const token of [undefined, "forged"]) {
    const client = new DeltaClient(bound, { token, node: "default/orders" });
    onCleanup(() => client.close());
    client.subscribe(CDS);
    const error = await client.end();
    expect(error?.code).toBe(Code.Unauthenticated);
    expect(error?.rawMessage).toBe("no valid workload token; run: weft token --workload NAME");
    expect(client.responses).toHaveLength(0);
  }
  expect(refused).toHaveLength(2);
  expect(source.subscribers.size).toBe(0);
  expect(ads.ledger.proxies()).toEqual([]);
});

test("what a proxy says of itself is recorded and gives it no other identity", async () => {
  const { source, bound, ads } = await start();
  source.publish({ [CDS]: {} });
  const client = new DeltaClient(bound, { token: "default/orders", node: "default/payments" });
  onCleanup(() => client.close());
  client.subscribe(CDS);
  await client.take(CDS);
  expect(ads.ledger.proxies()).toMatchObject([{ id: "default/orders", node: "default/payments", protocol: "delta" }]);
  expect([...source.subscribers.keys()]).toEqual(["default/orders"]);
});

test("a request above the size limit ends its stream with RESOURCE_EXHAUSTED, and only that stream", async () => {
  const { source, delta } = await start({ limits: { maxMessageBytes: 10_000 } });
  source.publish({ [CDS]: { a: "1" } });
  const other = delta("default/other");
  other.subscribe(CDS);
  await other.take(CDS);
  const client = delta();
  client.subscribe(EDS, "x".repeat(20_000));
  expect((await client.end())?.code).toBe(Code.ResourceExhausted);
  source.publish({ [CDS]: { a: "2" } });
  await other.take(CDS);
});

test("a stream that sends no first request is ended", async () => {
  const clock = new ManualClock();
  const { delta } = await start({
    clock,
    limits: { firstRequestMs: 5_000, pingEveryMs: 3_600_000, unprovenMs: 3_600_000, authenticateMs: 3_600_000 },
  });
  const client = delta();
  await until(() => {
    clock.advance(5_000);
    return client.ended !== undefined;
  }, "the end of the stream");
  expect((await client.end())?.code).toBe(Code.DeadlineExceeded);
});

test("a stream that half-closes is ended cleanly and is remembered as disconnected", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [CDS]: { a: "1" } });
  const client = delta();
  client.subscribe(CDS);
  await client.take(CDS);
  client.finish();
  expect(await client.end()).toBeNull();
  await until(() => ads.ledger.proxy("default/orders")?.disconnectedAt !== undefined, "the end in the ledger");
  expect(ads.ledger.proxy("default/orders")).toMatchObject({ status: "SYNCED", types: expect.anything() });
  expect(ads.ledger.inForce("default/orders", CDS, "a", resource(CDS, "a", "1").version)).toBe(false);
  expect(source.subscribers.get("default/orders")).toBe(0);
});

test("a connection that is cut ends its stream", async () => {
  const closed: string[] = [];
  const { source, delta, ads } = await start({ observer: { streamClosed: ({ reason }) => closed.push(reason) } });
  source.publish({ [CDS]: { a: "1" } });
  const client = delta();
  client.subscribe(CDS);
  await client.take(CDS);
  client.close();
  await until(() => closed.length === 1, "the end of the stream");
  expect(ads.ledger.proxy("default/orders")?.disconnectedAt).toBeNumber();
});

test("a peer that answers no PING is cut off", async () => {
  const clock = new ManualClock();
  const { bound } = await start({ clock, limits: { pingEveryMs: 1_000, pingTimeoutMs: 500 } });
  let cut = false;
  // Opens HTTP/2 (preface and empty SETTINGS) and then never says anything again.
  const dead = connect(bound.port, bound.address, () => {
    dead.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    dead.write(new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  });
  dead.on("data", () => {});
  dead.on("close", () => {
    cut = true;
  });
  onCleanup(() => dead.destroy());
  // Besides the next PING: the end of a connection that proves nothing.
  await until(() => clock.waiting === 2, "the connection");
  clock.advance(1_000);
  await until(() => clock.waiting === 2, "the PING");
  expect(cut).toBe(false);
  clock.advance(500);
  await until(() => cut, "the end of the connection");
});

test("close() says GOAWAY, ends the streams with UNAVAILABLE, and accepts no more", async () => {
  const { source, delta, ads, bound } = await start();
  source.publish({ [CDS]: { a: "1" } });
  const watcher = connectHttp2(`http://${bound.address}:${bound.port}`);
  watcher.on("error", () => {});
  const goaway = new Promise<number>((resolve) => watcher.on("goaway", resolve));
  await new Promise<void>((resolve) => watcher.once("connect", () => resolve()));
  const client = delta();
  client.subscribe(CDS);
  await client.take(CDS);
  await ads.close(200);
  expect(await goaway).toBe(0);
  expect((await client.end())?.code).toBe(Code.Unavailable);
  expect(source.subscribers.get("default/orders")).toBe(0);
  const late = delta();
  late.subscribe(CDS);
  expect(await late.end()).not.toBeNull();
  watcher.destroy();
});

test("Fetch is not served: UNIMPLEMENTED", async () => {
  const { bound } = await start();
  const session = connectHttp2(`http://${bound.address}:${bound.port}`);
  onCleanup(() => session.destroy());
  const path = "/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters";
  const request = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
  const status = await new Promise((resolve) => request.on("response", (headers) => resolve(headers["grpc-status"])));
  expect(String(status)).toBe("12");
});

test("more streams than one connection or the server may have are refused with RESOURCE_EXHAUSTED", async () => {
  const { source, delta } = await start({ limits: { maxStreams: 1 } });
  source.publish({ [CDS]: {} });
  const first = delta();
  first.subscribe(CDS);
  await first.take(CDS);
  const second = delta();
  second.subscribe(CDS);
  expect((await second.end())?.code).toBe(Code.ResourceExhausted);
});

test("a Unix socket serves the same, is for its owner and group only, and replaces a socket file that nobody listens on", async () => {
  const path = await socketPath();
  // A socket file as a killed process leaves it: bound by another process that did not remove it.
  const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  await Bun.spawn([process.execPath, "-e", script], { stdout: "ignore", stderr: "ignore" }).exited;
  expect((await stat(path)).isSocket()).toBe(true);
  const source = new FakeSource();
  const ads = createAdsServer({ authenticate, source, clock: systemClock });
  onCleanup(() => ads.close(0));
  expect(await ads.listen({ path, mode: 0o660 })).toEqual({ path });
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  source.publish({ [CDS]: { a: "1" } });
  const client = new DeltaClient({ path }, { token: "default/orders" });
  onCleanup(() => client.close());
  client.subscribe(CDS);
  expect([...(await client.take(CDS)).resources]).toEqual([["a", "1"]]);
  await ads.selfTest();
  const second = createAdsServer({ authenticate, source, clock: systemClock });
  await expect(second.listen({ path })).rejects.toThrow("another process listens");
});

test("a file that is no socket is not replaced", async () => {
  const path = await socketPath();
  await writeFile(path, "precious");
  const ads = createAdsServer({ authenticate, source: new FakeSource(), clock: systemClock });
  await expect(ads.listen({ path })).rejects.toThrow("is no socket");
  expect(await Bun.file(path).text()).toBe("precious");
});

test("a port in use is refused, naming the flag", async () => {
  const { bound, ads } = await start();
  const error = await ads.listen({ host: bound.address, port: bound.port }).then(() => undefined, WeftError.from);
  expect(error?.code).toBe("unavailable");
  expect(`${error?.message}; ${error?.help}`).toContain("--ads");
});

test("the self-test opens a real stream, works before the first load, and is no proxy", async () => {
  const opened: string[] = [];
  const { ads } = await start({ observer: { streamOpened: ({ node }) => opened.push(node) } });
  await ads.selfTest();
  await ads.selfTest();
  expect(opened).toEqual([]);
  expect(ads.ledger.proxies()).toEqual([]);
  await ads.close(0);
  await expect(ads.selfTest()).rejects.toThrow("not listening");
});

test("the observer is told of every push, ACK and NACK with its revision", async () => {
  const events: string[] = [];
  const { source, delta } = await start({
    observer: {
      streamOpened: ({ proxy, protocol }) => events.push(`opened ${proxy.id} ${protocol}`),
      pushed: ({ revision, resources, bytes }) => events.push(`pushed r${revision} ${resources} ${bytes > 0}`),
      acked: ({ revision, milliseconds }) => events.push(`acked r${revision} ${milliseconds >= 0}`),
      nacked: ({ revision, message }) => events.push(`nacked r${revision} ${message}`),
    },
  });
  source.publish({ [EDS]: { a: "1" } });
  const client = delta();
  client.subscribe(EDS, "a");
  await client.take(EDS);
  source.publish({ [EDS]: { a: "2" } });
  client.nack(await client.next(EDS), "no");
  await until(() => events.length === 5, "five events");
  expect(events).toEqual(["opened default/orders delta", "pushed r1 1 true", "acked r1 true", "pushed r2 1 true", "nacked r2 no"]);
});

test("the ledger names the refused resource and where it comes from, and the rest of the push is in force after its ACK", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [LDS]: { good: "1", "good.bad": "xyz" } });
  const client = delta();
  client.subscribe(LDS);
  client.nack(await client.next(LDS), "Error adding/updating listener(s) good.bad: cannot bind. ");
  expect([...(await client.take(LDS)).resources.keys()]).toEqual(["good"]);
  const version = (name: string, content: string) => resource(LDS, name, content).version;
  await until(() => ads.ledger.inForce("default/orders", LDS, "good", version("good", "1")), "good in force");
  expect(ads.ledger.inForce("default/orders", LDS, "good.bad", version("good.bad", "xyz"))).toBe(false);
  const proxy = ads.ledger.proxy("default/orders");
  expect(proxy?.status).toBe("NACKED");
  expect(proxy?.types.find((type) => type.typeUrl === LDS)?.nack).toMatchObject({
    revision: 1,
    message: "Error adding/updating listener(s) good.bad: cannot bind. ",
    resources: [{ name: "good.bad", sources: [{ file: "mesh.yaml", line: 3 }] }],
  });
  expect(ads.ledger.ackedRevision("default/orders")).toBeUndefined();
});

test("a revision that changes nothing for a proxy is in force at once, without a push", async () => {
  const { source, delta, ads } = await start();
  source.publish({ [EDS]: { a: "1", b: "1" } });
  const client = delta();
  client.subscribe(EDS, "a");
  await client.take(EDS);
  await until(() => ads.ledger.ackedRevision("default/orders") === 1, "revision 1");
  expect(source.publish({ [EDS]: { a: "1", b: "2" } })).toBe(2);
  expect(ads.ledger.ackedRevision("default/orders")).toBe(2);
  expect(source.touch()).toBe(3);
  expect(ads.ledger.ackedRevision("default/orders")).toBe(3);
  await client.nothingElse();
});

test("a stream ends as UNAUTHENTICATED when the proof that opened it ends, and not before", async () => {
  const clock = new ManualClock();
  const mesh = await start({
    clock,
    authenticate: async (credentials) => ({ ...(await authenticate(credentials)), expiresAt: clock.now() + 60_000 }),
  });
  mesh.source.publish({ [CDS]: { a: "1" } });
  const client = mesh.delta("default/orders");
  client.subscribe(CDS);
  await client.take(CDS);
  clock.advance(59_999);
  mesh.source.publish({ [CDS]: { a: "2" } });
  await client.take(CDS);
  clock.advance(1);
  expect((await client.end())?.code).toBe(Code.Unauthenticated);
  await until(() => mesh.source.subscribers.get("default/orders") === 0, "the end of its subscription");
});

test("a stream that has asked for nothing yet is ended too when its token is revoked", async () => {
  const { source, ads, delta } = await start();
  source.publish({ [CDS]: { a: "1" } });
  const waiting = delta("default/orders");
  // Nothing is told of a stream before it asks: it is there as soon as there is one to end.
  await until(() => ads.endStreams(({ id }) => id === "default/orders", "revoked") === 1, "the stream to end");
  expect((await waiting.end())?.code).toBe(Code.Unauthenticated);
});

test("the streams of one proxy are ended when its token is revoked, and no other's", async () => {
  const { source, ads, delta } = await start();
  source.publish({ [CDS]: { a: "1" } });
  const stolen = delta("default/orders");
  const own = delta("default/orders");
  const other = delta("default/other");
  for (const client of [stolen, own, other]) {
    client.subscribe(CDS);
    await client.take(CDS);
  }
  expect(ads.endStreams(({ id }) => id === "default/orders", "revoked")).toBe(2);
  expect([(await stolen.end())?.rawMessage, (await own.end())?.code]).toEqual(["revoked", Code.Unauthenticated]);
  source.publish({ [CDS]: { a: "2" } });
  await other.take(CDS);
  expect(ads.endStreams(({ id }) => id === "default/nobody", "revoked")).toBe(0);
});
