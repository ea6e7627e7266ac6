import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { Code } from "@connectrpc/connect";
import { WorkloadTokens } from "../../src/ca/index.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { DeltaClient, SotwClient } from "../feature/ads-client.ts";
import { documents, SERVICE, startWeft, useBinary, type Weft, WORKLOAD, waitFor } from "./harness.ts";
import { adsOf, CLUSTER, LISTENER, tokenOf } from "./proxy.ts";

useBinary();

const HOUR_MS = 3_600_000;

let weft: Weft;
let other: Weft;
beforeAll(async () => {
  [weft, other] = await Promise.all([startWeft(), startWeft({ args: ["--trust-domain", "other.example"] })]);
  for (const one of [weft, other]) await one.apply(documents(SERVICE("orders"), WORKLOAD("orders-1", "orders")));
});
afterAll(async () => {
  await Promise.all([weft.stop(), other.stop()]);
});

/** A proxy of the workload that gets its clusters: whatever else happens, this works. */
async function expectServed(): Promise<void> {
  const proxy = new DeltaClient(adsOf(weft), { token: await tokenOf(weft, "orders-1") });
  proxy.subscribe(CLUSTER);
  expect((await proxy.take(CLUSTER)).resources.size).toBeGreaterThan(0);
  proxy.close();
  expect((await weft.ask("GET", "/healthz")).status).toBe(200);
}

describe("an ADS stream without a right to it is refused as UNAUTHENTICATED, with the command that makes a right one:", () => {
  const cases: [string, () => Promise<string | undefined>, RegExp][] = [
    ["no token", async () => undefined, /no workload token was sent/],
    ["a token that is none", async () => "hunter2", /malformed/],
    ["a token that was changed", async () => (await tokenOf(weft, "orders-1")).replace(/.{8}$/, "AAAAAAAA"), /not signed by this weft/],
    ["another weft's token", () => tokenOf(other, "orders-1"), /not signed by this weft/],
    ["the admin token", async () => (await weft.cli(["token"])).out.trim(), /malformed/],
    ["an expired token", expiredToken, /of default\/orders-1 expired at 20/],
    ["a token of 10 kB", async () => "a".repeat(10_000), /malformed.*longer/],
  ];
  test.each(cases)("%s", async (_name, token, words) => {
    for (const target of [adsOf(weft), { path: weft.listening.ads_socket }]) {
      const proxy = new DeltaClient(target, { token: await token() });
      proxy.subscribe(CLUSTER);
      const end = await proxy.end();
      expect(proxy.responses).toEqual([]);
      expect(end?.code).toBe(Code.Unauthenticated);
      expect(end?.rawMessage).toMatch(words);
      expect(end?.rawMessage).toMatch(/weft token --workload \S+, or .*weft proxy bootstrap \S+/);
      proxy.close();
    }
  });

  test("the refusals are counted and logged, without the token", async () => {
    await waitFor("the log", () => weft.stderr().includes("an ADS stream was refused"));
    expect(weft.stderr()).not.toContain("hunter2");
    expect((await weft.ask("GET", "/metrics")).text).toMatch(/^weft_streams_refused_total\{reason="unauthenticated"\} [1-9]/m);
  });
});

/** As the weft itself would have signed it two hours ago. */
async function expiredToken(): Promise<string> {
  const clock = { ...systemClock, now: () => systemClock.now() - 2 * HOUR_MS };
  const tokens = await WorkloadTokens.open({ dir: weft.data, trustDomain: "mesh.local", clock });
  return (await tokens.issue({ namespace: "default", name: "orders-1" }, HOUR_MS)).token;
}

test("headers larger than HTTP/2 takes end the stream, and no other", async () => {
  const proxy = new DeltaClient(adsOf(weft), { token: "a".repeat(100_000) });
  proxy.subscribe(CLUSTER);
  expect(await proxy.end()).not.toBeNull();
  expect(proxy.responses).toEqual([]);
  proxy.close();
  await expectServed();
});

test("a request larger than 4 MiB ends its stream as RESOURCE_EXHAUSTED, and no other", async () => {
  const token = await tokenOf(weft, "orders-1");
  const calm = new DeltaClient(adsOf(weft), { token });
  calm.subscribe(CLUSTER);
  await calm.take(CLUSTER);
  const loud = new SotwClient(adsOf(weft), { token });
  loud.send(CLUSTER, { resourceNames: Array.from({ length: 50_000 }, (_, index) => `${index}-${"n".repeat(100)}`) });
  expect((await loud.end())?.code).toBe(Code.ResourceExhausted);
  calm.subscribe(LISTENER);
  await calm.take(LISTENER);
  calm.close();
  loud.close();
});

/** Sends bytes, and waits until the server has closed or `limitMs` are over. */
function talk(bytes: Uint8Array | string): Promise<{ closed: boolean; answer: string }> {
  const at = weft.listening.ads.lastIndexOf(":");
  const socket = connect(Number(weft.listening.ads.slice(at + 1)), weft.listening.ads.slice(0, at));
  return new Promise((resolve) => {
    let answer = "";
    const end = (closed: boolean) => {
      socket.destroy();
      resolve({ closed, answer });
    };
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("close", () => end(true));
    socket.on("error", () => end(true));
    socket.setTimeout(10_000, () => end(false));
    socket.end(bytes);
  });
}

describe("what speaks no gRPC to the ADS port is turned away, and nobody else notices:", () => {
  test("an HTTP/1.1 request", async () => {
    expect((await talk("GET / HTTP/1.1\r\nHost: weft\r\n\r\n")).closed).toBe(true);
    await expectServed();
  });

  test("random bytes, and a TLS hello", async () => {
    const random = Uint8Array.from({ length: 65_536 }, (_, index) => (index * 7919 + (index >> 3)) & 255);
    expect((await talk(random)).closed).toBe(true);
    expect((await talk(Uint8Array.of(0x16, 3, 1, 0, 4, 1, 0, 0, 0))).closed).toBe(true);
    await expectServed();
  });

  test("an HTTP/2 preface followed by garbage frames", async () => {
    const garbage = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(4096, 0xff)]);
    expect((await talk(garbage)).closed).toBe(true);
    await expectServed();
  });

  test("HTTP/2 that is no gRPC, and a unary Fetch", async () => {
    const http2 = await import("node:http2");
    const session = http2.connect(`http://${weft.listening.ads}`);
    const ask = (headers: Record<string, string>) =>
      new Promise<Record<string, unknown>>((resolve, reject) => {
        const stream = session.request(headers);
        stream.on("response", resolve);
        stream.on("error", reject);
        stream.resume();
        stream.end();
      });
    const fetch = await ask({
      ":method": "POST",
      ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources",
      "content-type": "application/grpc",
    });
    expect(fetch).toMatchObject({ ":status": 200, "grpc-status": String(Code.Unimplemented) });
    expect(await ask({ ":method": "GET", ":path": "/" })).toMatchObject({ "grpc-status": String(Code.Unimplemented) });
    session.close();
    await expectServed();
  });
});

test("500 half-open connections keep no proxy from being served", async () => {
  const at = weft.listening.ads.lastIndexOf(":");
  const [host, port] = [weft.listening.ads.slice(0, at), Number(weft.listening.ads.slice(at + 1))];
  const sockets: Socket[] = [];
  try {
    await Promise.all(
      Array.from(
        { length: 500 },
        (_, index) =>
          new Promise<void>((resolve, reject) => {
            const socket = connect(port, host, () => {
              // Some say nothing, some stop in the midst of the preface, some after it.
              if (index % 3 > 0) socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".slice(0, index % 3 === 1 ? 10 : undefined));
              resolve();
            });
            socket.on("error", reject);
            sockets.push(socket);
          }),
      ),
    );
    await expectServed();
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await expectServed();
});
