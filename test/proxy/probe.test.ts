import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { systemClock } from "../../src/lib/clock.ts";
import type { ProbeMethod } from "../../src/lib/probe.ts";
import { type Readiness, runProbe } from "../../src/proxy/probe.ts";
import { checkApplication } from "../../src/proxy/probe-check.ts";
import { REPEAT_MS, RETRY_MS, ReadinessReporter } from "../../src/proxy/report-readiness.ts";
import { FakeClock } from "../fakes/clock.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const check = (method: ProbeMethod, timeoutMs = 10_000) => checkApplication(method, timeoutMs, systemClock);

function serve(handler: (request: Request) => Response | Promise<Response>): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: handler });
  closers.push(() => server.stop(true));
  return server.port ?? 0;
}

const http = (port: number, more: Partial<Extract<ProbeMethod, { type: "http" }>> = {}): ProbeMethod => ({
  type: "http",
  scheme: "http",
  port,
  path: "/",
  headers: [],
  ...more,
});

/** A port on which nothing listens (any more). */
async function closedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}

describe("A probe over HTTP", () => {
  test("takes 200 to 399 for ready, after redirects", async () => {
    const port = serve((request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname === "/moved") return new Response(null, { status: 302, headers: { location: "/?status=200" } });
      return new Response("x".repeat(100_000), { status: Number(searchParams.get("status") ?? 200) });
    });
    for (const path of ["/", "/?status=204", "/?status=304", "/moved"]) expect(await check(http(port, { path })), path).toBeUndefined();
    for (const status of [400, 404, 500, 503]) {
      expect(await check(http(port, { path: `/?status=${status}` }))).toBe(`http://127.0.0.1:${port}/?status=${status} answered ${status}`);
    }
  });

  test("sends the headers that the group asks for, Host among them", async () => {
    const seen: Record<string, string | null>[] = [];
    const port = serve(({ headers }) => {
      seen.push({ host: headers.get("host"), agent: headers.get("user-agent"), x: headers.get("x-probe") });
      return new Response();
    });
    await check(
      http(port, {
        headers: [
          ["Host", "shop.example.com"],
          ["X-Probe", "a"],
          ["X-Probe", "b"],
        ],
      }),
    );
    await check(http(port));
    expect(seen).toEqual([
      { host: "shop.example.com", agent: "weft-probe/1.0", x: "a, b" },
      { host: `127.0.0.1:${port}`, agent: "weft-probe/1.0", x: null },
    ]);
  });

  test("that gets no answer in time, or no connection, finds the application not ready", async () => {
    const port = serve(() => new Promise<Response>(() => {}));
    expect(await check(http(port), 50)).toBe("no answer within 0.05 s");
    const closed = await closedPort();
    expect(await check(http(closed))).toStartWith(`http://127.0.0.1:${closed}/`);
  });
});

test("A probe of a TCP port asks whether somebody listens", async () => {
  const server = createTcpServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  expect(await check({ type: "tcp", port })).toBeUndefined();
  expect(await check({ type: "tcp", port: await closedPort() })).toContain("ECONNREFUSED");
});

test("A probe by a command goes by its exit code, and ends the command when the time is over", async () => {
  const exec = (...command: string[]) => check({ type: "exec", command }, 5_000);
  expect(await exec("/bin/sh", "-c", "exit 0")).toBeUndefined();
  expect(await exec("/bin/sh", "-c", "exit 3")).toBe("/bin/sh exited with 3");
  expect(await exec("/nowhere/to/be/found")).toBe("/nowhere/to/be/found: ENOENT");
  // What the shell started ends with it: else this file's writer would live on.
  const marker = `${process.env.TMPDIR ?? "/tmp"}/weft-probe-${crypto.randomUUID()}`;
  const slow = ["/bin/sh", "-c", `(sleep 300; :) & echo $! > ${marker}; wait`];
  expect(await check({ type: "exec", command: slow }, 300)).toBe("no answer within 0.3 s");
  const pid = Number(await Bun.file(marker).text());
  closers.push(() => Bun.file(marker).delete());
  const isAlive = () => {
    try {
      process.kill(pid, 0);
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  };
  for (let waited = 0; isAlive() && waited < 5_000; waited += 20) await Bun.sleep(20);
  expect(isAlive()).toBe(false);
});

/** A gRPC health service of two lines: no such server is among the dependencies. `status` is sent as the message's field, "" as none. */
async function serveGrpc(answer: (service: string) => { status?: number; grpc?: string; http?: number }): Promise<number> {
  const server: Http2Server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const body = Buffer.concat(chunks);
      const service = body.subarray(5 + 2).toString();
      const {
        status,
        grpc = "0",
        http: code = 200,
      } = headers[":path"] === "/grpc.health.v1.Health/Check" ? answer(service) : { grpc: "12" };
      const message = status === undefined ? Buffer.alloc(0) : Buffer.from([0x08, status]);
      stream.respond({ ":status": code, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": grpc }));
      stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

test("A probe over gRPC takes SERVING of that service for ready, and nothing else", async () => {
  const port = await serveGrpc((service) => {
    if (service === "orders" || service === "") return { status: 1 };
    if (service === "down") return { status: 2 };
    if (service === "new") return {};
    if (service === "web") return { http: 404 };
    return { grpc: service === "old" ? "12" : "5" };
  });
  const grpc = (service: string) => check({ type: "grpc", port, service });
  expect(await grpc("orders")).toBeUndefined();
  expect(await grpc("")).toBeUndefined();
  expect(await grpc("down")).toBe("it says NOT_SERVING");
  expect(await grpc("new")).toBe("it says UNKNOWN");
  expect(await grpc("unknown")).toBe("the health check failed with gRPC status 5");
  expect(await grpc("old")).toBe(`port ${port} does not serve grpc.health.v1.Health`);
  expect(await grpc("web")).toBe(`port ${port} speaks no gRPC: it answered 404`);
  expect(await check({ type: "grpc", port: await closedPort(), service: "" })).toBeString();
});

describe("A probe's runs", () => {
  const plan = { initialDelayMs: 5_000, periodMs: 10_000, successThreshold: 2, failureThreshold: 3 };

  /** Each look's result comes from `results`, the last one for good. */
  async function run(results: readonly (string | undefined)[]) {
    const clock = new FakeClock();
    const changes: [number, Readiness][] = [];
    let looks = 0;
    const stop = new AbortController();
    const done = runProbe({
      plan,
      clock,
      signal: stop.signal,
      check: async () => results[Math.min(looks++, results.length - 1)],
      onChange: (readiness) => changes.push([clock.monotonic() / 1_000, readiness]),
    });
    return { clock, changes, looks: () => looks, stop, done };
  }

  test("begin after the initial delay, and change state after so many successes or failures in a row", async () => {
    const ok = undefined;
    const probe = await run([ok, "no", ok, ok, "a", "b", ok, "c", "d", "e", "f", ok, ok]);
    await probe.clock.advance(4_999);
    expect(probe.looks()).toBe(0);
    await probe.clock.advance(1);
    expect(probe.looks()).toBe(1);
    await probe.clock.advance(200_000);
    expect(probe.changes).toEqual([
      [35, { ready: true }],
      [95, { ready: false, message: "e" }],
      [125, { ready: true }],
    ]);
    probe.stop.abort();
    await probe.done;
  });

  test("say so where the application never was ready", async () => {
    const probe = await run(["refused"]);
    await probe.clock.advance(60_000);
    expect(probe.changes).toEqual([[25, { ready: false, message: "refused" }]]);
    probe.stop.abort();
    await probe.done;
  });
});

describe("What is reported to weft", () => {
  function open() {
    const clock = new FakeClock();
    const sent: Readiness[] = [];
    const lines: string[] = [];
    const state = { fails: false };
    const reporter = new ReadinessReporter({
      clock,
      log: (level, message) => lines.push(`${level} ${message}`),
      async send(readiness) {
        if (state.fails) throw new Error("away");
        sent.push(readiness);
      },
    });
    return { clock, sent, lines, reporter, state };
  }

  test("is each change, and now and then the same again, for a weft that has forgotten", async () => {
    const { clock, sent, reporter } = open();
    reporter.report({ ready: true });
    await clock.advance(2 * REPEAT_MS);
    expect(sent).toEqual([{ ready: true }, { ready: true }, { ready: true }]);
    reporter.report({ ready: false, message: "no" });
    await clock.advance(0);
    expect(sent.at(-1)).toEqual({ ready: false, message: "no" });
  });

  test("comes after all where weft was away, which is told once", async () => {
    const { clock, sent, lines, reporter, state } = open();
    state.fails = true;
    reporter.report({ ready: true });
    await clock.advance(5 * RETRY_MS);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toStartWith("warn weft cannot be told whether this instance is ready (away)");
    state.fails = false;
    await clock.advance(RETRY_MS);
    expect(sent).toEqual([{ ready: true }]);
    expect(lines).toHaveLength(2);
  });

  test("ends with the last word of an instance that goes", async () => {
    const { clock, sent, reporter } = open();
    reporter.report({ ready: true });
    await reporter.finish({ ready: false, message: "shutting down" });
    reporter.report({ ready: true });
    await clock.advance(10 * REPEAT_MS);
    expect(sent).toEqual([{ ready: true }, { ready: false, message: "shutting down" }]);
    expect(clock.pending).toBe(0);
  });
});
