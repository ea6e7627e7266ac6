import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect as connectHttp2, createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { choosePlace, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, type Member, serviceEntryYaml } from "./harness.ts";

/** Answers each gRPC call with its body, and a status in the trailers. */
function startGrpcEcho(): Promise<{ readonly server: Http2Server; readonly port: number }> {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc", "x-path": String(headers[":path"]) }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "well done" }));
      stream.end(Buffer.concat(parts));
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const bound = server.address();
      resolve({ server, port: bound !== null && typeof bound === "object" ? bound.port : 0 });
    });
  });
}

/** Speaks to WebSockets, and streams on /events. */
const stream = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  routes: {
    "/events": () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue("data: first\n\n");
          },
        }),
        { headers: { "content-type": "text/event-stream" } },
      ),
    "/size": async (request) => new Response(String((await request.arrayBuffer()).byteLength)),
  },
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no WebSocket", { status: 400 })),
  websocket: {
    message(socket, message) {
      socket.send(`echo ${message}`);
    },
  },
});

describeMesh("what goes through two sidecars", (lab) => {
  let web: Member;
  let grpc: Awaited<ReturnType<typeof startGrpcEcho>>;

  beforeAll(async () => {
    web = await lab().workload({ name: "web-1", service: "web" });
    grpc = await startGrpcEcho();
    await lab().join([{ name: "web" }], [web]);
    const place = await choosePlace(lab().network, { name: "live-1", ports: ["http", "grpc"] });
    const apps = { http: { address: "127.0.0.1", port: stream.port ?? 0 }, grpc: { address: "127.0.0.1", port: grpc.port } };
    const service = serviceEntryYaml({
      name: "live",
      ports: [
        { number: 8080, name: "http", protocol: "HTTP" },
        { number: 9000, name: "grpc", protocol: "GRPC" },
      ],
    });
    const workload = workloadEntryYaml({ place, labels: { app: "live" }, serviceAccount: "live", apps });
    await lab().weft.apply(`${service}---\n${workload}`);
    await untilLive(startSidecar({ weft: lab().weft, processes: lab().processes, envoy: lab().envoy }, place));
    await waitFor(
      "the first call",
      () => callFrom(web, "live", { path: "/size" }),
      ({ status }) => status === 200,
    );
  });

  afterAll(async () => {
    await stream.stop(true);
    grpc.server.close();
  });

  const outbound = () => `${web.place.outbound.address}:${web.place.outbound.port}`;

  test("gRPC keeps its trailers, over HTTP/2 all the way", async () => {
    const session = connectHttp2(`http://${outbound()}`);
    try {
      const call = session.request({
        ":method": "POST",
        ":path": "/echo.Echo/Say",
        ":authority": "live:9000",
        "content-type": "application/grpc",
        te: "trailers",
      });
      const seen: { headers?: Record<string, unknown>; trailers?: Record<string, unknown>; body: string; ended: boolean } = {
        body: "",
        ended: false,
      };
      call.on("response", (headers) => {
        seen.headers = { ...headers };
      });
      call.on("trailers", (trailers) => {
        seen.trailers = { ...trailers };
      });
      call.on("data", (part) => {
        seen.body += String(part);
      });
      call.on("end", () => {
        seen.ended = true;
      });
      call.end("five bytes and more");
      await waitFor(
        "the answer's trailers",
        () => seen,
        ({ ended, trailers }) => ended && trailers !== undefined,
      );
      expect(seen.headers).toMatchObject({ ":status": 200, "x-path": "/echo.Echo/Say" });
      expect(seen.body).toBe("five bytes and more");
      expect(seen.trailers).toMatchObject({ "grpc-status": "0", "grpc-message": "well done" });
    } finally {
      session.destroy();
    }
  });

  test("a WebSocket is opened, and carries messages both ways", async () => {
    const socket = new WebSocket(`ws://${outbound()}/socket`, { headers: { host: "live" } });
    const received: string[] = [];
    socket.addEventListener("open", () => socket.send("hello"));
    socket.addEventListener("message", ({ data }) => received.push(String(data)));
    await waitFor(
      "the echo",
      () => received,
      (all) => all.length > 0,
    );
    expect(received).toEqual(["echo hello"]);
    socket.close();
  });

  test("an event stream arrives event by event, and is not held back until its end", async () => {
    const abort = new AbortController();
    const response = await fetch(`http://${outbound()}/events`, { headers: { host: "live" }, signal: abort.signal, keepalive: false });
    const first = await response.body?.getReader().read();
    expect(new TextDecoder().decode(first?.value)).toBe("data: first\n\n");
    abort.abort();
  });

  test("a body of 20 MB passes", async () => {
    const body = new Uint8Array(20 * 1024 * 1024);
    const response = await fetch(`http://${outbound()}/size`, { method: "POST", body, headers: { host: "live" }, keepalive: false });
    expect([response.status, await response.text()]).toEqual([200, String(body.byteLength)]);
  });
});
