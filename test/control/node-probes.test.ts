import { afterEach, describe, expect, test } from "bun:test";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { createServer as createTcpServer, type Server } from "node:net";
import { NodeProbes } from "../../src/control/node-probes.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { WorkloadHealth } from "../../src/mesh/settings.ts";
import { parseDocuments } from "../../src/model/index.ts";
import type { Resource } from "../../src/model/resource.ts";
import { FakeClock } from "../fakes/clock.ts";
import { eventually } from "./weft.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Its application listens on 127.0.0.1:`app`, its sidecar would at `address`:8080. */
function entry(name: string, app: number, probe: string, { node = "here", address = "10.0.0.1" } = {}): Resource<"WorkloadEntry"> {
  const annotations = { "weft.dev/node": node, "weft.dev/app": `http=127.0.0.1:${app}`, "weft.dev/probe": probe };
  const { resources, problems } = parseDocuments(
    JSON.stringify({
      apiVersion: "networking.istio.io/v1",
      kind: "WorkloadEntry",
      metadata: { name, annotations },
      spec: { address, ports: { http: 8080 } },
    }),
    "mesh.yaml",
  );
  const [resource] = resources;
  if (resource?.kind !== "WorkloadEntry") throw new Error(JSON.stringify(problems));
  return resource;
}

/** A node named "here", with the addresses of its machine. */
function open(addresses: readonly string[] = [], clock: Clock = systemClock) {
  const said = new Map<string, WorkloadHealth>();
  const probes = new NodeProbes({
    node: "here",
    clock,
    health: { report: (key, health) => void said.set(key, health), forget: (key) => void said.delete(key) },
    addresses: () => addresses,
  });
  closers.push(() => probes.close());
  return { said, probes, of: (name: string) => said.get(`default/${name}`) };
}

function serveHttp(fetch: (request: Request) => Response): { readonly port: number; stop(): Promise<void> } {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  closers.push(() => server.stop(true));
  return { port: server.port ?? 0, stop: () => server.stop(true) };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

/** grpc.health.v1.Health that answers every service with the status. */
async function serveGrpc(state: { status: number }): Promise<number> {
  const server = createHttp2Server();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, state.status]));
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  closers.push(() => {
    for (const session of sessions) session.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

describe("A node asks its workloads' applications as their WorkloadEntries say", () => {
  test("over HTTP: 200 to 399 is ready, and what else there is, is told", async () => {
    let status = 200;
    const { port } = serveHttp(({ url }) => new Response(null, { status: new URL(url).pathname === "/healthz" ? status : 404 }));
    const weft = open();
    weft.probes.follow([entry("a", port, `{periodSeconds: 1, httpGet: {path: /healthz, port: ${port}}}`)]);
    await eventually(() => expect(weft.of("a")).toEqual({ ready: true }));
    status = 503;
    await eventually(() => expect(weft.of("a")).toEqual({ ready: false, message: `http://127.0.0.1:${port}/healthz answered 503` }));
    status = 301;
    await eventually(() => expect(weft.of("a")).toEqual({ ready: true }));
  });

  test("over TCP: somebody listens, or nobody does", async () => {
    const weft = open();
    const server = createTcpServer((socket) => socket.destroy());
    const port = await listening(server);
    weft.probes.follow([entry("a", port, `{periodSeconds: 1, tcpSocket: {port: ${port}}}`)]);
    await eventually(() => expect(weft.of("a")).toEqual({ ready: true }));
    await new Promise((resolve) => server.close(resolve));
    await eventually(() => expect(weft.of("a")).toEqual({ ready: false, message: `127.0.0.1:${port}: ECONNREFUSED` }));
  });

  test("over gRPC: SERVING is ready, NOT_SERVING is not", async () => {
    const state = { status: 2 };
    const port = await serveGrpc(state);
    const weft = open();
    weft.probes.follow([entry("a", port, `{periodSeconds: 1, grpc: {port: ${port}, service: orders}}`)]);
    await eventually(() => expect(weft.of("a")).toEqual({ ready: false, message: "it says NOT_SERVING" }));
    state.status = 1;
    await eventually(() => expect(weft.of("a")).toEqual({ ready: true }));
  });

  test("for as long as they are its own: another node's are not asked, and what was found of one that went is forgotten", async () => {
    let asked = 0;
    const { port } = serveHttp(() => {
      asked += 1;
      return new Response();
    });
    const clock = new FakeClock();
    const weft = open([], clock);
    const probe = `{periodSeconds: 1, httpGet: {port: ${port}}}`;
    weft.probes.follow([entry("other", port, probe, { node: "there" })]);
    weft.probes.follow([entry("other", port, probe, { node: "there" }), entry("own", port, probe)]);
    await eventually(() => expect(weft.of("own")).toEqual({ ready: true }));
    expect(weft.of("other")).toBeUndefined();
    weft.probes.follow([entry("other", port, probe, { node: "there" }), entry("own", port, probe, { node: "there" })]);
    expect(weft.said.size).toBe(0);
    expect(asked).toBe(1);
    await clock.advance(60_000);
    expect([asked, clock.pending]).toEqual([1, 0]);
  });

  test("anew where a WorkloadEntry asks for another probe, and on with the same one where it changes otherwise", async () => {
    const paths: string[] = [];
    const { port } = serveHttp(({ url }) => {
      paths.push(new URL(url).pathname);
      return new Response();
    });
    const weft = open();
    weft.probes.follow([entry("a", port, `{httpGet: {path: /one, port: ${port}}}`)]);
    await eventually(() => expect(paths).toEqual(["/one"]));
    weft.probes.follow([entry("a", port, `{httpGet: {path: /one, port: ${port}}} # ten seconds are not over`)]);
    weft.probes.follow([entry("a", port, `{httpGet: {path: /two, port: ${port}}}`)]);
    await eventually(() => expect(paths).toEqual(["/one", "/two"]));
  });
});

describe("Whoever writes WorkloadEntries leads a node nowhere", () => {
  test("a redirect is an answer, and is not followed", async () => {
    let asked = 0;
    const elsewhere = serveHttp(() => {
      asked += 1;
      return new Response(null, { status: 500 });
    });
    const { port } = serveHttp(() => Response.redirect(`http://127.0.0.1:${elsewhere.port}/`, 302));
    const weft = open();
    weft.probes.follow([entry("a", port, `{httpGet: {port: ${port}}}`)]);
    await eventually(() => expect(weft.of("a")).toEqual({ ready: true }));
    expect(asked).toBe(0);
  });

  test("an address that is not the node's own machine's is not asked", async () => {
    const probe = "{periodSeconds: 1, tcpSocket: {host: 192.0.2.7, port: 8080}}";
    const weft = open(["192.0.2.8"]);
    weft.probes.follow([entry("a", 1, probe, { address: "192.0.2.7" })]);
    const message = "192.0.2.7 is no address of node here, which asks nowhere else";
    await eventually(() => expect(weft.of("a")).toEqual({ ready: false, message }));
  });
});
