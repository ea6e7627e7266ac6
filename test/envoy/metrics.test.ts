import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect as connectHttp2, createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { formatAddress, type SocketAddress } from "../../scripts/lib/lab/network.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { choosePlace, type Place, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { abilitiesOf } from "../../src/xds/envoy-version.ts";
import { versionOf } from "../skip.ts";
import { callFrom, describeMesh, expectStatus, type Member, serviceEntryYaml } from "./harness.ts";
import { type Sample, scrape } from "./prometheus.ts";

const telemetry = (metrics: object) => `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: all, namespace: default}
spec: ${JSON.stringify({ metrics: [{ providers: [{ name: "prometheus" }], ...metrics }] })}
`;

/** Answers each gRPC call with its body. */
async function startGrpcEcho(): Promise<{ readonly server: Http2Server; readonly port: number }> {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "5" }));
      stream.end(Buffer.concat(parts));
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const bound = server.address();
  return { server, port: bound !== null && typeof bound === "object" ? bound.port : 0 };
}

describeMesh("Istio's metrics", (lab) => {
  let web: Member;
  let orders: Place;
  let prometheus: SocketAddress;
  let grpc: Awaited<ReturnType<typeof startGrpcEcho>>;
  let able = true;

  beforeAll(async () => {
    able = abilitiesOf(versionOf(lab().envoy)).statsAccessLog;
    grpc = await startGrpcEcho();
    web = await lab().workload({ name: "web-1", service: "web", version: "v1", listenFor: { db: "orders.default.mesh.local:5432" } });
    const { app, tcp } = await lab().workload({ name: "unused", service: "orders" });
    await lab().join([{ name: "web" }], [web]);
    orders = await choosePlace(lab().network, { name: "orders-1", ports: ["http", "grpc", "tcp"] });
    prometheus = { address: orders.address, port: await lab().network.freePort(orders.address) };
    const entry = workloadEntryYaml({
      place: orders,
      labels: { app: "orders", version: "v2" },
      serviceAccount: "orders",
      apps: { http: app, grpc: { address: "127.0.0.1", port: grpc.port }, tcp },
    });
    const ports = [
      { number: 8080, name: "http", protocol: "HTTP" },
      { number: 9000, name: "grpc", protocol: "GRPC" },
      { number: 5432, name: "tcp", protocol: "TCP" },
    ];
    const service = serviceEntryYaml({ name: "orders", ports });
    const scraped = entry.replace('"annotations":{', `"annotations":{"weft.dev/prometheus":"${formatAddress(prometheus)}",`);
    await lab().weft.apply([service, scraped, telemetry({})].join("---\n"));
    await untilLive(startSidecar({ weft: lab().weft, processes: lab().processes, envoy: lab().envoy }, orders));
    await waitFor("a first call", get, ({ status }) => status === 200);
  });

  afterAll(() => {
    grpc.server.close();
  });

  const get = () => callFrom(web, "orders", { path: "/x" });

  /** Does `act` until the metric is as wanted. */
  const counted = (where: SocketAddress, name: string, wanted: (samples: readonly Sample[]) => boolean, act: () => Promise<unknown>) =>
    waitFor(
      `${name} at ${formatAddress(where)}`,
      async () => {
        await act();
        return (await scrape(where)).filter((sample) => sample.name === name);
      },
      wanted,
    );

  const some = (samples: readonly Sample[]) => samples.length > 0;

  test("count requests at client and server, with Istio's labels and, where Prometheus scrapes, by Istio's names", async () => {
    if (!able) {
      // An Envoy that cannot count goes on as if nobody had asked.
      expect((await lab().weft.cli(["check"])).stdout).toContain("counts none of Istio's metrics");
      expectStatus(await get(), 200);
      const names = (await scrape(web.place.envoyAdmin)).map(({ name }) => name);
      expect(names.filter((name) => /^(envoy_)?istio_/.test(name))).toEqual([]);
      return;
    }
    const [client] = await counted(web.place.envoyAdmin, "envoy_istio_requests_total", some, get);
    const [server] = await counted(prometheus, "istio_requests_total", some, get);
    const both = {
      source_workload_namespace: "default",
      source_principal: "spiffe://mesh.local/ns/default/sa/web",
      destination_workload: "orders-1",
      destination_workload_namespace: "default",
      destination_principal: "spiffe://mesh.local/ns/default/sa/orders",
      destination_app: "orders",
      destination_version: "v2",
      destination_canonical_service: "orders",
      destination_canonical_revision: "v2",
      destination_service: "orders.default.mesh.local",
      destination_service_name: "orders",
      destination_service_namespace: "default",
      request_protocol: "http",
      response_code: "200",
      response_flags: "-",
    };
    expect(client?.labels).toMatchObject({
      ...both,
      reporter: "source",
      source_workload: "web-1",
      source_app: "web",
      source_version: "v1",
      source_canonical_service: "web",
      source_canonical_revision: "v1",
      connection_security_policy: "unknown",
    });
    expect(server?.labels).toMatchObject({ ...both, reporter: "destination", connection_security_policy: "mutual_tls" });
    const histograms = await counted(prometheus, "istio_request_duration_milliseconds_count", some, get);
    expect(histograms[0]?.labels).toMatchObject({ reporter: "destination", response_code: "200" });
  });

  test("tell gRPC apart, with its status", async () => {
    if (!able) return;
    const call = () =>
      new Promise<void>((resolve) => {
        const session = connectHttp2(`http://${formatAddress(web.place.outbound)}`);
        const request = session.request({
          ":method": "POST",
          ":path": "/a.B/C",
          ":authority": "orders:9000",
          "content-type": "application/grpc",
          te: "trailers",
        });
        request.on("close", () => {
          session.destroy();
          resolve();
        });
        request.resume();
        request.end(Buffer.from([0, 0, 0, 0, 1, 42]));
      });
    for (const [where, prefix] of [
      [web.place.envoyAdmin, "envoy_istio"],
      [prometheus, "istio"],
    ] as const) {
      const isGrpc = (samples: readonly Sample[]) => samples.some(({ labels }) => labels.grpc_response_status === "5");
      const requests = await counted(where, `${prefix}_requests_total`, isGrpc, call);
      const labels = requests.find((one) => one.labels.grpc_response_status === "5")?.labels;
      expect(labels).toMatchObject({ request_protocol: "grpc", response_code: "200", destination_service_name: "orders" });
    }
  });

  test("count TCP connections when they open and when they close, and their bytes", async () => {
    if (!able) return;
    const socket = connect(web.place.listen.db ?? 0, web.place.address);
    let received = "";
    socket.on("data", (data) => {
      received += String(data);
    });
    socket.write("hello");
    await waitFor(
      "the echo",
      () => received,
      (text) => text.includes("hello"),
    );
    const nothing = async () => {};
    for (const [where, prefix] of [
      [web.place.envoyAdmin, "envoy_istio_tcp"],
      [prometheus, "istio_tcp"],
    ] as const) {
      const [opened] = await counted(where, `${prefix}_connections_opened_total`, some, nothing);
      expect(opened).toMatchObject({
        value: 1,
        labels: {
          request_protocol: "tcp",
          destination_workload: "orders-1",
          connection_security_policy: where === prometheus ? "mutual_tls" : "unknown",
        },
      });
      const closed = (await scrape(where)).filter(({ name }) => name === `${prefix}_connections_closed_total`);
      expect(closed).toEqual([]);
    }
    socket.destroy();
    for (const [where, prefix] of [
      [web.place.envoyAdmin, "envoy_istio_tcp"],
      [prometheus, "istio_tcp"],
    ] as const) {
      const [closed] = await counted(where, `${prefix}_connections_closed_total`, some, nothing);
      expect(closed?.value).toBe(1);
      const samples = await scrape(where);
      expect(samples.find(({ name }) => name === `${prefix}_received_bytes_total`)?.value).toBe(5);
      expect(samples.find(({ name }) => name === `${prefix}_sent_bytes_total`)?.value).toBe(received.length);
    }
  });

  test("have the tags that overrides add and change, and not those that they remove", async () => {
    if (!able) return;
    await lab().weft.apply(
      telemetry({
        overrides: [
          {
            match: { metric: "REQUEST_COUNT" },
            tagOverrides: { host: { value: "request.host" }, port: { value: "string(destination.port)" } },
          },
          { tagOverrides: { source_app: { operation: "UPSERT", value: "'100% ours'" }, response_flags: { operation: "REMOVE" } } },
        ],
      }),
    );
    const fresh = (samples: readonly Sample[]) => samples.some(({ labels }) => labels.host !== undefined);
    const samples = await counted(prometheus, "istio_requests_total", fresh, get);
    const labels = samples.find((sample) => sample.labels.host !== undefined)?.labels;
    expect(labels).toMatchObject({ host: "orders", port: String(orders.ports.http), source_app: "100% ours" });
    expect(labels?.response_flags).toBeUndefined();
    const sizes = await counted(
      prometheus,
      "istio_request_bytes_count",
      (all) => all.some((one) => one.labels.source_app === "100% ours"),
      get,
    );
    expect(sizes.every((one) => one.labels.host === undefined)).toBe(true);
  });

  test("are not counted where they are disabled", async () => {
    if (!able) return;
    await lab().weft.apply(
      telemetry({
        overrides: [
          { match: { metric: "REQUEST_COUNT", mode: "SERVER" }, disabled: true },
          { tagOverrides: { stage: { value: "'last'" } } },
        ],
      }),
    );
    const last = (samples: readonly Sample[]) => samples.some(({ labels }) => labels.stage === "last");
    await counted(web.place.envoyAdmin, "envoy_istio_requests_total", last, get);
    await counted(prometheus, "istio_response_bytes_count", last, get);
    const counts = (await scrape(prometheus)).filter(({ name, labels }) => name === "istio_requests_total" && labels.stage === "last");
    expect(counts).toEqual([]);
  });

  test("are all that the listener for Prometheus shows", async () => {
    const origin = `http://${formatAddress(prometheus)}`;
    expect((await fetch(`${origin}/config_dump`)).status).toBe(404);
    expect((await fetch(`${origin}/stats/prometheus`, { method: "POST" })).status).toBe(404);
  });
});
