/** Workloads that belong to a node: who is away, or not ready by a probe of its node, gets no calls from other Envoys. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { createServer, type Server } from "node:net";
import type { Answer } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, untilLive } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

const NODE = { WEFT_NODE: "edge-1" };
const HOST = "orders.default.mesh.local";

/** A WorkloadEntry with more annotations. */
const annotated = (yaml: string, more: Readonly<Record<string, string>>) =>
  yaml.replace(/^metadata: (.*)$/m, (_, text: string) => {
    const metadata = JSON.parse(text) as { annotations: Record<string, string> };
    return `metadata: ${JSON.stringify({ ...metadata, annotations: { ...metadata.annotations, "weft.dev/node": NODE.WEFT_NODE, ...more } })}`;
  });

/** Who answers, of `count` calls, and those that failed. */
async function answers(client: Member, count = 24): Promise<{ readonly by: readonly string[]; readonly failed: readonly Answer[] }> {
  const all = await Promise.all(Array.from({ length: count }, () => callFrom(client, HOST)));
  const by = new Set(all.flatMap(({ echo }) => echo?.instance ?? []));
  return { by: [...by].sort(), failed: all.filter(({ status }) => status !== 200) };
}

const untilAnswering = (client: Member, ...wanted: readonly string[]) =>
  waitFor(
    `answers of ${wanted} alone`,
    () => answers(client),
    ({ by, failed }) => failed.length === 0 && Bun.deepEquals(by, wanted),
    { limitMs: 40_000, everyMs: 100 },
  );

describeMesh(
  "A workload whose sidecar is killed",
  (lab) => {
    let web: Member;
    let orders: readonly Member[];
    let sidecars: Sidecar[];
    beforeAll(async () => {
      const { workload, join } = lab();
      web = await workload({ name: "web-1", service: "web" });
      const members = await Promise.all(["orders-1", "orders-2"].map((name) => workload({ name, service: "orders" })));
      orders = members.map((member) => ({ ...member, yaml: annotated(member.yaml, {}) }));
      sidecars = await join([{ name: "web" }, { name: "orders" }], [web, ...orders]);
      await untilAnswering(web, "orders-1", "orders-2");
    });
    const services = async () => (await lab().weft.cli(["services"])).stdout;
    const why = async () => (await lab().weft.cli(["why", "--from", "web-1", "--to", "orders"])).stdout;
    const kill = (name: string) => sidecars.find(({ place }) => place.name === name)?.process.kill();
    const restart = async (name: string) => {
      const member = orders.find(({ place }) => place.name === name);
      if (!member) throw new Error(`there is no ${name}`);
      const sidecar = lab().startSidecar(member);
      sidecars = [...sidecars.filter(({ place }) => place.name !== name), sidecar];
      await untilLive(sidecar);
    };

    test("leaves the endpoints of its service after 10 s, and calls go on without an error that the kill does not explain", async () => {
      const failures: { readonly afterMs: number; readonly answer: Answer }[] = [];
      let calls = 0;
      let calling = true;
      let killedAt = Number.POSITIVE_INFINITY;
      const load = (async () => {
        while (calling) {
          const answer = await callFrom(web, HOST);
          calls += 1;
          if (answer.status !== 200) failures.push({ afterMs: performance.now() - killedAt, answer });
        }
      })();
      killedAt = performance.now();
      await kill("orders-1");
      const told = await waitFor("orders-1 to be told of", services, (text) => text.includes("not ready are"), { limitMs: 30_000 });
      const leftAfterMs = performance.now() - killedAt;
      expect(told).toMatch(/orders\.default\.mesh\.local: not ready are orders-1 \(its proxy on node edge-1 has been away for 1\d s\)/);
      expect(leftAfterMs).toBeGreaterThan(9_900);
      expect(leftAfterMs).toBeLessThan(20_000);
      expect(await why()).toMatch(/not ready: default\/orders-1 \(its proxy on node edge-1 has been away for \d+ s\)/);
      await waitFor(
        "the caller's Envoy to have one endpoint",
        () => sidecars[0]?.stat(`cluster.outbound|8080||${HOST}.membership_total`),
        (count) => count === 1,
      );
      const settled = failures.length;
      expect(await answers(web, 100)).toEqual({ by: ["orders-2"], failed: [] });
      calling = false;
      await load;
      expect(calls).toBeGreaterThan(100);
      expect(failures.length).toBe(settled);
      // A connection that dies under a request; connections that are refused are tried elsewhere.
      for (const { afterMs, answer } of failures) expect([answer.status, afterMs < leftAfterMs]).toEqual([503, true]);
      expect(failures.length).toBeLessThan(5);
      expect(await lab().weft.metric("weft_presence_changes_total", { change: "left" })).toBe(1);
      expect(await lab().weft.metric("weft_presence_workloads", { state: "away" })).toBe(1);
      expect(lab().weft.process().tail(200)).toContain(
        "default/orders-1 leaves the endpoints: its proxy on node edge-1 has been away for 10 s",
      );
    });

    test("is back as soon as its sidecar is", async () => {
      await restart("orders-1");
      await untilAnswering(web, "orders-1", "orders-2");
      expect(await services()).not.toContain("not ready");
      expect(await lab().weft.metric("weft_presence_changes_total", { change: "returned" })).toBe(1);
    });

    test("stays where its service would have no endpoint left, which weft says wherever it is asked", async () => {
      await Promise.all([kill("orders-1"), kill("orders-2")]);
      const kept = () => lab().weft.metric("weft_presence_workloads", { state: "kept" });
      // Their graces end one after the other.
      await waitFor("both to be kept", kept, (count) => count === 2, { limitMs: 30_000 });
      expect(await services()).toMatch(
        /may be gone, and kept because too few would be left, are orders-1 \(its proxy on node edge-1 has been away for/,
      );
      expect(await why()).toContain("may be gone, and kept because too few would be left: default/orders-1");
      expect((await lab().weft.cli(["check"])).stdout).toContain("2 workloads may be gone, and stay in the endpoints");
      expect((await lab().weft.api("GET", "/readyz?verbose")).text).toContain("presence ok, 2 workloads may be gone");
      expect((await lab().weft.api("GET", "/readyz")).status).toBe(200);
      expect(await sidecars[0]?.stat(`cluster.outbound|8080||${HOST}.membership_total`)).toBe(2);
      await Promise.all([restart("orders-1"), restart("orders-2")]);
      await untilAnswering(web, "orders-1", "orders-2");
      await waitFor("nobody to be in doubt", kept, (count) => count === 0);
    });

    test("keeps its place while its weft restarts", async () => {
      await lab().weft.process().kill();
      await lab().weft.start();
      await waitFor(
        "all proxies to be back",
        () => lab().weft.metric("weft_streams"),
        (count) => count === 3,
        { limitMs: 30_000 },
      );
      expect(await answers(web, 50)).toEqual({ by: ["orders-1", "orders-2"], failed: [] });
      expect(await lab().weft.metric("weft_presence_changes_total")).toBe(0);
    });
  },
  { env: NODE },
);

describeMesh(
  "A workload that its node asks whether it is ready",
  (lab) => {
    let web: Member;
    const closers: (() => unknown)[] = [];
    afterAll(async () => {
      for (const close of closers.splice(0)) await close();
    });
    let httpStatus = 200;
    let grpcStatus = 1;
    let tcp: Server;
    const ports = { http: 0, tcp: 0, grpc: 0 };
    const portOf = (server: { address(): ReturnType<Server["address"]> }) => {
      const address = server.address();
      return typeof address === "object" && address ? address.port : 0;
    };
    const listenTcp = async (port: number) => {
      tcp = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => tcp.listen(port, "127.0.0.1", resolve));
      ports.tcp = portOf(tcp);
    };

    beforeAll(async () => {
      const { workload, join, weft } = lab();
      const http = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(null, { status: httpStatus }) });
      ports.http = http.port ?? 0;
      await listenTcp(0);
      const grpc = createHttp2Server();
      grpc.on("stream", (stream: ServerHttp2Stream) => {
        stream.on("error", () => {});
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, grpcStatus]));
      });
      await new Promise<void>((resolve) => grpc.listen(0, "127.0.0.1", resolve));
      ports.grpc = portOf(grpc);
      closers.push(
        () => http.stop(true),
        () => tcp.close(),
        () => grpc.close(),
      );
      web = await workload({ name: "web-1", service: "web" });
      const probes = {
        "by-http": `{periodSeconds: 1, httpGet: {path: /healthz, port: ${ports.http}}}`,
        "by-tcp": `{periodSeconds: 1, tcpSocket: {port: ${ports.tcp}}}`,
        "by-grpc": `{periodSeconds: 1, grpc: {port: ${ports.grpc}}}`,
      };
      const asked = { "by-http": ports.http, "by-tcp": ports.tcp, "by-grpc": ports.grpc };
      const members = await Promise.all(
        (["by-http", "by-tcp", "by-grpc"] as const).map(async (name) => {
          const member = await workload({ name, service: "orders" });
          // Where it is asked is one of its application's places.
          const yaml = member.yaml.replace(/("weft\.dev\/app":"[^"]*)/, `$1,health=127.0.0.1:${asked[name]}`);
          return { ...member, yaml: annotated(yaml, { "weft.dev/probe": probes[name] }) };
        }),
      );
      await join([{ name: "web" }, { name: "orders" }], [web, ...members]);
      await untilAnswering(web, "by-grpc", "by-http", "by-tcp");
      expect(await weft.metric("weft_presence_changes_total", { change: "left" })).toBe(0);
    });
    const services = async () => (await lab().weft.cli(["services"])).stdout;

    test("over HTTP gets no calls while it answers 503, and makes no revision for it", async () => {
      const revision = await lab().weft.metric("weft_revision");
      httpStatus = 503;
      await untilAnswering(web, "by-grpc", "by-tcp");
      expect(await services()).toContain(`not ready are by-http (http://127.0.0.1:${ports.http}/healthz answered 503)`);
      httpStatus = 200;
      await untilAnswering(web, "by-grpc", "by-http", "by-tcp");
      expect(await lab().weft.metric("weft_revision")).toBe(revision);
    });

    test("over TCP gets no calls while nobody listens", async () => {
      await new Promise((resolve) => tcp.close(resolve));
      await untilAnswering(web, "by-grpc", "by-http");
      expect(await services()).toContain(`not ready are by-tcp (127.0.0.1:${ports.tcp}: ECONNREFUSED)`);
      await listenTcp(ports.tcp);
      await untilAnswering(web, "by-grpc", "by-http", "by-tcp");
    });

    test("over gRPC gets no calls while it says NOT_SERVING", async () => {
      grpcStatus = 2;
      await untilAnswering(web, "by-http", "by-tcp");
      expect(await services()).toContain("not ready are by-grpc (it says NOT_SERVING)");
      grpcStatus = 1;
      await untilAnswering(web, "by-grpc", "by-http", "by-tcp");
    });

    test("in every way, and is not ready in any, gets none: what an application says of itself is no doubt", async () => {
      httpStatus = 503;
      grpcStatus = 2;
      await new Promise((resolve) => tcp.close(resolve));
      await waitFor(
        "503 for every call",
        () => callFrom(web, HOST),
        ({ status }) => status === 503,
        { limitMs: 20_000 },
      );
      const why = await lab().weft.cli(["why", "--from", "web-1", "--to", "orders"]);
      expect(why.stdout).toContain("not ready: default/by-grpc (it says NOT_SERVING), default/by-http");
      httpStatus = 200;
      await untilAnswering(web, "by-http");
    });
  },
  { env: NODE },
);
