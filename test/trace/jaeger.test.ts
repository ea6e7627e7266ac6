/** One change in two nodes, and the requests of the mesh, as a real Jaeger shows them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpApp, startHttpApp } from "../../scripts/lib/lab/apps.ts";
import { call } from "../../scripts/lib/lab/call.ts";
import { openNetwork } from "../../scripts/lib/lab/network.ts";
import { openProcesses, type Processes } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { startWeft, type Weft } from "../../scripts/lib/lab/weft.ts";
import { choosePlace, type Place, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { serviceEntryYaml } from "../envoy/harness.ts";
import { describeWhere, envoyFor } from "../skip.ts";
import { installEtcd, startEtcd } from "../store/etcd-cluster.ts";
import { installRedis, RedisServer } from "../store/redis-server.ts";
import { installJaeger, type Jaeger, type JaegerSpan, startJaeger } from "./jaeger.ts";

const WEFT = process.env.WEFT_BINARY ?? join(import.meta.dir, "../../dist/weft");
const WEB = "spiffe://mesh.local/ns/default/sa/web";
const NAME = "the traces of a mesh of two nodes";
const OPEN_LIMIT_MS = 90_000;

const envoy = envoyFor(`"${NAME}"`);
const redis = envoy === undefined ? undefined : installRedis();
const etcd = redis && installEtcd();
const jaegerProgram = etcd && installJaeger();

interface Engine {
  readonly url: string;
  stop(): Promise<void>;
}

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  async Redis() {
    const server = await RedisServer.start(redis?.current ?? "");
    return { url: server.url({ prefix: "trace" }), stop: () => server.dispose() };
  },
  async etcd() {
    const cluster = await startEtcd({ binary: etcd ?? "" });
    return { url: cluster.url("/trace"), stop: () => cluster.stop() };
  },
};

const PEER_AUTHENTICATION = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
`;

const exportTo = (port: number) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: jaeger}
spec:
  hosts: [jaeger.example.com]
  resolution: STATIC
  ports: [{number: 4317, name: grpc, protocol: GRPC}]
  endpoints: [{address: 127.0.0.1, ports: {grpc: ${port}}}]
---
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: mesh, namespace: weft-system}
spec: {extensionProviders: [{name: jaeger, opentelemetry: {service: jaeger.example.com, port: 4317}}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: all, namespace: weft-system}
spec: {tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 100}]}
`;

for (const [engine, start] of Object.entries(ENGINES)) {
  describeWhere(jaegerProgram !== undefined, "an Envoy, a Redis, an etcd and a Jaeger", `${NAME}, on ${engine}`, () => traces(start));
}

function traces(startEngine: () => Promise<Engine>): void {
  const directory = mkdtempSync(join(tmpdir(), "weft-trace-"));
  const logs = join(directory, "logs");
  mkdirSync(logs);
  const processes: Processes = openProcesses(logs);
  const apps: HttpApp[] = [];
  let engine: Engine;
  let jaeger: Jaeger;
  let nodeA: Weft;
  let nodeB: Weft;
  let web: Place;

  beforeAll(async () => {
    const network = await openNetwork();
    engine = await startEngine();
    jaeger = await startJaeger(jaegerProgram ?? "", { processes, network });
    const node = (name: string, ...flags: readonly string[]) =>
      startWeft({
        binary: WEFT,
        data: join(directory, name),
        processes,
        runCommand: [WEFT, "run", "--store", engine.url, "--node", name, ...flags],
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpHttp, OTEL_BSP_SCHEDULE_DELAY: "100" },
      });
    const own = network.nextAddress();
    const cluster = `${own}:${await network.freePort(own)}`;
    const inMesh = ["--in-mesh", `${own}:${await network.freePort(own)}`, "--admin-principals", `${WEB}=editor:default`];
    nodeA = await node("a", "--cluster", cluster, ...inMesh);
    const token = await nodeA.cli(["node", "token"]);
    const joining = processes.start("join", [WEFT, "join", cluster, "--data", join(directory, "b"), "--node", "b"], {
      env: { WEFT_JOIN_TOKEN: /\S{40,}/.exec(token.stdout)?.[0] ?? "" },
    });
    if ((await joining.exited) !== 0) throw new Error(`node b could not join:\n${token.stdout}${token.stderr}${joining.tail()}`);
    nodeB = await node("b");

    const workload = async (name: string) => {
      const app = startHttpApp({ service: name, instance: `${name}-1` });
      apps.push(app);
      const place = await choosePlace(network, { name: `${name}-1`, ports: ["http"] });
      return { place, yaml: workloadEntryYaml({ place, labels: { app: name }, serviceAccount: name, apps: { http: app } }) };
    };
    const names = ["web", "orders", "pay"];
    const [one, two, three] = await Promise.all(names.map(workload));
    if (!one || !two || !three) throw new Error("three workloads were asked for");
    web = one.place;
    // An authority signs for a node's own workloads only.
    const ofB = three.yaml.replace('"annotations":{', '"annotations":{"weft.dev/node":"b",');
    await nodeA.apply(
      [exportTo(jaeger.otlpGrpc), ...names.map((name) => serviceEntryYaml({ name })), one.yaml, two.yaml, ofB].join("---\n"),
    );
    const revision = (weft: Weft) => weft.metric("weft_revision");
    await waitFor("node B to have what A has", async () => (await revision(nodeB)) === (await revision(nodeA)), Boolean);
    processes.start("proxy-weft", [WEFT, "proxy", "run", "weft-system/weft-a", "--data", nodeA.data, "--", "--concurrency", "1"], {
      env: { WEFT_ENVOY: envoy ?? "" },
    });
    const start = (weft: Weft, { place }: { place: Place }) => startSidecar({ weft, processes, envoy: envoy ?? "" }, place);
    await Promise.all([start(nodeA, one), start(nodeA, two), start(nodeB, three)].map((sidecar) => untilLive(sidecar)));
  }, OPEN_LIMIT_MS);

  afterAll(async () => {
    await processes.stopAll(0);
    await Promise.all(apps.map((app) => app.stop()));
    await engine.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test("A PeerAuthentication that is applied on one node is one trace, from the apply to the ACKs of the proxies of both.", async () => {
    await nodeA.apply(PEER_AUTHENTICATION);
    const proxies = ["default/orders-1", "default/pay-1", "default/web-1"];
    // Spans come when they have ended, from two processes.
    const isWhole = (spans: readonly JaegerSpan[]) =>
      proxies.every((proxy) => acks(spans).some((ack) => ack.tags["weft.proxy"] === proxy && wayUp(spans, ack).at(-1)?.name === "apply")) &&
      translatedOn(spans).length === 2;
    const traces = await waitFor(
      "the trace",
      () => jaeger.traces("weft", { "policy.type": "peerauthentication" }),
      ([spans = []]) => isWhole(spans),
    );
    expect(traces).toHaveLength(1);
    const [spans = []] = traces;
    const applies = spans.filter(({ name }) => name === "apply");
    expect(applies).toMatchObject([{ tags: { "policy.type": "peerauthentication" }, resource: { "service.instance.id": "a" } }]);

    for (const ack of acks(spans)) {
      expect(wayUp(spans, ack).map(({ name }) => name)).toEqual(["ack", "push", "apply"]);
      expect(ack.tags).toMatchObject({ "weft.xds.nack": false });
      expect(ack.resource).toMatchObject({ "service.instance.id": ack.tags["weft.proxy"] === "default/pay-1" ? "b" : "a" });
    }
    expect(translatedOn(spans)).toEqual(["a", "b"]);
    console.error(`Jaeger shows the change as one trace:\n${outline(spans)}`);
  });

  test("The Envoys of the mesh tell it of requests too, under the names of their workloads.", async () => {
    const services = await waitFor(
      "the Envoys' spans",
      async () => {
        await call({ to: web.outbound, host: "orders", path: "/traced" });
        return jaeger.services();
      },
      (names) => ["web-1.default", "orders-1.default"].every((name) => names.includes(name)),
    );
    expect(services).toContain("weft");
    const isOne = (spans: readonly JaegerSpan[]) =>
      spans.some(
        ({ id, service }) => service === "web-1.default" && spans.some((s) => s.parent === id && s.service === "orders-1.default"),
      );
    const traces = await waitFor(
      "a request's trace",
      () => jaeger.traces("orders-1.default"),
      (all) => all.some(isOne),
    );
    expect(traces.find(isOne)?.map(({ name }) => name)).toContain("orders.default.mesh.local:8080/*");
  });

  test("A change that a workload makes through weft's own sidecar is one trace from that workload's sidecar to the ACKs.", async () => {
    const said = await waitFor(
      "weft's own sidecar",
      () =>
        call({
          to: web.outbound,
          host: "weft.weft-system",
          method: "POST",
          path: "/v1/apply",
          body: PEER_AUTHENTICATION.replace("STRICT", "PERMISSIVE"),
          headers: { "content-type": "application/yaml" },
        }),
      ({ status }) => status !== 503,
    );
    expect([said.status, said.text]).toEqual([200, expect.stringContaining('"updated"')]);
    const acksOfB = (spans: readonly JaegerSpan[]) => acks(spans).filter(({ resource }) => resource["service.instance.id"] === "b");
    const traces = await waitFor(
      "the trace",
      () => jaeger.traces("weft-a.weft-system"),
      (all) => all.some((spans) => acksOfB(spans).some((ack) => wayUp(spans, ack).length === 5)),
    );
    const spans = traces.find((one) => acks(one).length > 0) ?? [];
    for (const ack of acksOfB(spans)) {
      expect(wayUp(spans, ack).map(({ service }) => service)).toEqual(["weft", "weft", "weft", "weft-a.weft-system", "web-1.default"]);
    }
  });
}

const translatedOn = (spans: readonly JaegerSpan[]) =>
  [...new Set(spans.filter(({ name }) => name === "translate").map(({ resource }) => resource["service.instance.id"]))].sort();

const acks = (spans: readonly JaegerSpan[]) => spans.filter(({ name }) => name === "ack");

/** A span, its parent, and so on to the first. */
function wayUp(spans: readonly JaegerSpan[], span: JaegerSpan): readonly JaegerSpan[] {
  const parent = spans.find(({ id }) => id === span.parent);
  return [span, ...(parent ? wayUp(spans, parent) : [])];
}

/** The tree of a trace, a line a span. */
function outline(spans: readonly JaegerSpan[]): string {
  const below = (parent: JaegerSpan | undefined, depth: number): string[] =>
    spans
      .filter((span) => (parent ? span.parent === parent.id : !spans.some(({ id }) => id === span.parent)))
      .flatMap((span) => {
        const { name, tags, resource } = span;
        const what = [tags["policy.type"], tags["weft.proxy"], tags["weft.xds.type"]].filter(Boolean).join(" ");
        return [`${"  ".repeat(depth)}${name} ${what} (node ${resource["service.instance.id"]})`, ...below(span, depth + 1)];
      });
  return below(undefined, 1).join("\n");
}
