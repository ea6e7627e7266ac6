/** Two nodes of one mesh, with real Envoys beside each: mutual TLS between them by one authority's signatures, also while that is gone. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpApp, startHttpApp } from "../../scripts/lib/lab/apps.ts";
import { call } from "../../scripts/lib/lab/call.ts";
import { joinMesh } from "../../scripts/lib/lab/join.ts";
import { type Network, openNetwork } from "../../scripts/lib/lab/network.ts";
import { openProcesses, type Processes } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { startWeft, type Weft } from "../../scripts/lib/lab/weft.ts";
import { choosePlace, type Place, type Sidecar, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import type { CaAnswer } from "../../src/admin/ca-schemas.ts";
import { describeWhere, envoyFor } from "../skip.ts";
import { installRedis, RedisServer } from "../store/redis-server.ts";
import { serviceEntryYaml } from "./harness.ts";

const WEFT = process.env.WEFT_BINARY ?? join(import.meta.dir, "../../dist/weft");
const NAME = "a mesh of two nodes";
const STRICT =
  "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: weft-system}\nspec: {mtls: {mode: STRICT}}\n";

const envoy = envoyFor(`"${NAME}"`);
const redis = envoy === undefined ? undefined : installRedis();

interface Beside {
  readonly place: Place;
  readonly weft: () => Weft;
  sidecar: Sidecar;
}

describeWhere(redis !== undefined, "an Envoy and a Redis", NAME, () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-two-nodes-"));
  const logs = join(directory, "logs");
  mkdirSync(logs);
  const processes: Processes = openProcesses(logs);
  const apps: HttpApp[] = [];
  let server: RedisServer;
  let network: Network;
  let a: Weft;
  let b: Weft;
  let web: Beside;
  let orders: Beside;

  beforeAll(async () => {
    server = await RedisServer.start(redis?.current ?? "");
    network = await openNetwork();
    const store = ["--store", server.url({ prefix: "two-nodes" })];
    const start = async (name: string, ...flags: string[]) => {
      // An address that stays: Envoys come back to it.
      const address = network.nextAddress();
      const ads = { address, port: await network.freePort(address) };
      return await startWeft({ binary: WEFT, data: join(directory, name), processes, name, ads, flags: [...store, ...flags] });
    };
    const rpc = network.nextAddress();
    a = await start("a", "--node", "a", "--cluster", `${rpc}:${await network.freePort(rpc)}`);
    await joinMesh(a, { binary: WEFT, data: join(directory, "b"), node: "b" });
    b = await start("b");

    const workload = async (service: string, node: string) => {
      const name = `${service}-1`;
      const app = startHttpApp({ service, instance: name });
      apps.push(app);
      const place = await choosePlace(network, { name, ports: ["http"] });
      return { place, yaml: workloadEntryYaml({ place, node, labels: { app: service }, serviceAccount: service, apps: { http: app } }) };
    };
    const [first, second] = [await workload("web", "a"), await workload("orders", "b")];
    await a.apply([STRICT, ...["web", "orders"].map((name) => serviceEntryYaml({ name })), first.yaml, second.yaml].join("---\n"));
    const revision = (weft: Weft) => weft.metric("weft_revision");
    await waitFor("node b to have what a has", async () => (await revision(b)) === (await revision(a)), Boolean);
    const beside = (place: Place, weft: () => Weft): Beside => ({
      place,
      weft,
      sidecar: startSidecar({ weft: weft(), processes, envoy: envoy ?? "" }, place),
    });
    web = beside(first.place, () => a);
    orders = beside(second.place, () => b);
    await Promise.all([web, orders].map(({ sidecar }) => untilLive(sidecar)));
  }, 120_000);

  afterAll(async () => {
    await processes.stopAll(0);
    await Promise.all(apps.map((app) => app.stop()));
    await server.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  const callOf = (from: Beside, to: string) => call({ to: from.place.outbound, host: to });
  /** A call that arrives, with the caller's identity as the other side's Envoy verified it. */
  const untilCalled = (from: Beside, to: string, identity: string) =>
    waitFor(
      `a call of ${to} by ${identity}`,
      () => callOf(from, to),
      ({ status, echo }) =>
        status === 200 && (echo?.headers["x-forwarded-client-cert"] ?? "").includes(`URI=spiffe://mesh.local/ns/default/sa/${identity}`),
      { limitMs: 30_000 },
    );
  const ca = async (weft: Weft) => JSON.parse((await weft.api("GET", "/v1/ca")).text) as CaAnswer;

  test("Workloads of both nodes call each other with mutual TLS, by SVIDs that the one authority signed.", async () => {
    await untilCalled(web, "orders", "web");
    await untilCalled(orders, "web", "orders");
    const [ofA, ofB] = [await ca(a), await ca(b)];
    expect(ofB.svids["spiffe://mesh.local/ns/default/sa/orders"]?.authority).toBe(ofA.x509[0]?.id ?? "");
    expect(ofB.x509).toMatchObject([{ node: "a", state: "active" }]);
    const listed = await b.cli(["nodes"]);
    expect(listed.stdout).toMatch(/^a +authority +CONNECTED .*\nb +node +HERE /m);
  }, 60_000);

  test("With the authority killed, the other node's weft starts again and serves a new Envoy, whose calls go on.", async () => {
    a.process().signal("SIGKILL");
    await a.process().exited;
    const before = (await ca(b)).svids;
    await b.process().stop();
    await b.start();
    await orders.sidecar.process.stop();
    orders.sidecar = startSidecar({ weft: b, processes, envoy: envoy ?? "" }, orders.place);
    await untilLive(orders.sidecar);
    await untilCalled(orders, "web", "orders");
    await untilCalled(web, "orders", "web");
    expect((await ca(b)).svids).toEqual(before);
  }, 120_000);

  test("With the authority back, a new workload of the other node gets its identity.", async () => {
    await a.start();
    const app = startHttpApp({ service: "pay", instance: "pay-1" });
    apps.push(app);
    const place = await choosePlace(network, { name: "pay-1", ports: ["http"] });
    await b.apply(
      [
        serviceEntryYaml({ name: "pay" }),
        workloadEntryYaml({ place, node: "b", labels: { app: "pay" }, serviceAccount: "pay", apps: { http: app } }),
      ].join("---\n"),
    );
    const pay: Beside = { place, weft: () => b, sidecar: startSidecar({ weft: b, processes, envoy: envoy ?? "" }, place) };
    await untilLive(pay.sidecar);
    await untilCalled(pay, "web", "pay");
    await untilCalled(web, "pay", "web");
  }, 120_000);

  test("A node that is removed leaves the endpoints with its workloads, and ends.", async () => {
    expect((await a.cli(["node", "remove", "b"])).stdout).toBe("node b removed\n");
    await waitFor(
      "orders to be gone for its callers",
      () => callOf(web, "orders"),
      ({ status }) => status === 503,
      { limitMs: 60_000 },
    );
    expect(await b.process().exited).toBe(3);
    expect((await a.cli(["nodes"])).stdout).toMatch(/^b +node +REMOVED/m);
  }, 120_000);
});
