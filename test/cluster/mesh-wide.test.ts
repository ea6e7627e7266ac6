/** What one node says of the proxies of another: real wefts and real streams of ADS, whose client ACKs, refuses or withholds as the test says. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { NodesSchema } from "../../src/admin/nodes.ts";
import { ConvergenceSchema, MtlsReportSchema, ProxyListSchema } from "../../src/admin/schemas.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { weft } from "../cli/harness.ts";
import { DeltaClient, type Received } from "../feature/ads-client.ts";
import { eventually, TestMesh, type TestNode } from "./mesh.ts";

setDefaultTimeout(60_000);

let mesh = new TestMesh();
const clients: DeltaClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await mesh.close();
  mesh = new TestMesh();
});

const MESH = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: orders}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1, annotations: {weft.dev/node: b}}
spec: {address: 10.0.0.1, labels: {app: orders}, ports: {http: 8080}}
`;
const policy = (mode: string) => `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: ${mode}}}
`;

/** The proxy of orders-1 at a node: it answers each response at once, unless it is told to withhold or to refuse listeners. */
class OrdersProxy {
  answer: "ack" | "withhold" | "refuse" = "ack";
  readonly #client: DeltaClient;
  #withheld: Received[] = [];
  #types = new Set<string>();

  constructor(node: TestNode, token: string) {
    const [host = "", port = ""] = node.listening.ads.split(":");
    this.#client = new DeltaClient({ address: host, port: Number(port) }, { token, envoyVersion: "1.40.0" });
    clients.push(this.#client);
    for (const typeUrl of [TYPE.cluster, TYPE.listener]) this.#client.subscribe(typeUrl);
    void this.#follow();
  }

  get types(): number {
    return this.#types.size;
  }

  get withheld(): number {
    return this.#withheld.length;
  }

  ackAll(): void {
    this.answer = "ack";
    for (const response of this.#withheld.splice(0)) this.#client.ack(response);
  }

  close(): void {
    this.#client.close();
  }

  async #follow(): Promise<void> {
    for (let index = 0; ; index++) {
      const response = await this.#client.until(
        () => this.#client.responses[index] ?? (this.#client.ended === undefined ? undefined : null),
        "a response",
        600_000,
      );
      if (!response) return;
      this.#types.add(response.typeUrl);
      if (this.answer === "withhold") this.#withheld.push(response);
      else if (this.answer === "refuse" && response.typeUrl === TYPE.listener)
        this.#client.nack(response, `${"no such filter ".repeat(20)}END`);
      else this.#client.ack(response);
    }
  }
}

async function apply(node: TestNode, text: string): Promise<number> {
  const { status, json } = await node.ask("POST", "/v1/apply", text);
  expect(status).toBe(200);
  return Number(json.revision);
}

/** Nodes a and b, and the proxy of orders-1 at b, which has ACKed all that there is. */
async function start() {
  const a = await mesh.found("a");
  const b = await mesh.join(a, "b");
  const revision = await apply(a, MESH);
  const { json } = await b.ask("POST", "/v1/tokens", { workload: "default/orders-1" });
  await eventually(async () => expect((await b.ask("GET", "/v1/services")).text).toContain("orders-1"));
  const proxy = new OrdersProxy(b, String(json.token));
  await eventually(() => expect(proxy.types).toBe(2));
  const file = join(mesh.directory(), "policy.yaml");
  return {
    a,
    b,
    proxy,
    revision,
    convergence: async (of: number) => v.parse(ConvergenceSchema, (await a.ask("GET", `/v1/convergence?revision=${of}`)).json),
    detail: async () => v.parse(MtlsReportSchema, (await a.ask("GET", "/v1/services/orders/mtls")).json).details[0],
    applyAndWait(mode: string, limit: string) {
      writeFileSync(file, policy(mode));
      return weft(["apply", "-f", file, "--wait", limit, "--data", a.data]);
    },
  };
}

test("A change is in force once the proxies of every node have it, and --wait at one node waits for those of the others", async () => {
  const { a, proxy, convergence, detail, applyAndWait } = await start();
  await eventually(async () => expect(await detail()).toMatchObject({ in_force: true, proxy: "synced", on_node: "b" }));

  proxy.answer = "withhold";
  const late = await applyAndWait("STRICT", "2s");
  expect(late.code).toBe(1);
  expect(late.out).toContain("PENDING  node b: default/orders-1 (no answer within 2 s");
  expect(late.out).not.toContain("ACK ");
  expect(proxy.withheld).toBeGreaterThan(0);
  expect(await detail()).toMatchObject({
    in_force: false,
    proxy: "pending",
    on_node: "b",
    reason: expect.stringContaining("node b told of revision"),
  });
  const table = await weft(["mtls", "orders", "--data", a.data]);
  expect(table.out).toContain("no (pending: node b told of revision");

  proxy.ackAll();
  const { revision } = (await a.ask("GET", "/v1/services/orders/mtls")).json;
  await eventually(async () =>
    expect(await convergence(Number(revision))).toMatchObject({
      acked: ["default/orders-1"],
      pending: [],
      nodes: [{ name: "b", state: "in_force", pending: [] }],
    }),
  );
  expect(await detail()).toMatchObject({ in_force: true, proxy: "synced" });
  const done = await applyAndWait("PERMISSIVE", "20s");
  expect([done.code, done.out]).toEqual([0, expect.stringContaining("ACK      default/orders-1\n")]);
});

test("A refusal at one node is told at the others, with the node that has the rest of it", async () => {
  const { a, b, proxy, detail, applyAndWait } = await start();
  proxy.answer = "refuse";
  const refused = await applyAndWait("STRICT", "20s");
  expect(refused.code).toBe(1);
  expect(refused.out).toContain("NACK     default/orders-1 (node b) refused LDS of revision");
  expect(refused.out).toContain("no such filter no such filter");
  expect(refused.out).not.toContain("END");
  expect(refused.out).toContain("weft proxies default/orders-1, at node b");
  expect(await detail()).toMatchObject({ in_force: false, proxy: "nacked", on_node: "b" });
  expect((await weft(["check", "--data", a.data])).out).toContain("FAIL  proxy default/orders-1: default/orders-1 (node b) refused LDS");
  expect(v.parse(ProxyListSchema, (await a.ask("GET", "/v1/proxies")).json)).toMatchObject({
    items: [{ id: "default/orders-1", on_node: "b", status: "NACKED", types: [{ type: "LDS", nack: { resources: [] } }] }],
  });
  const { items } = v.parse(ProxyListSchema, (await b.ask("GET", "/v1/proxies")).json);
  expect(items).toMatchObject([{ id: "default/orders-1", status: "NACKED", protocol: "delta" }]);
  expect(JSON.stringify(items)).toContain("END");
});

test("A proxy that left its node, and a node that is away, are told from each other at the others", async () => {
  const { a, b, proxy, detail, applyAndWait } = await start();
  await eventually(async () => expect(await detail()).toMatchObject({ in_force: true }));
  const here = await weft(["proxies", "orders-1", "--data", a.data]);
  expect(here.out).toMatch(/^PROXY +NODE .*\ndefault\/orders-1 +b /);
  const config = await a.ask("GET", "/v1/proxies/default/orders-1/config");
  expect([config.status, config.text]).toEqual([404, expect.stringContaining("connected to node b")]);
  // Whether the proxy that the call would reach is connected: yes, no, and not known.
  const connected = async () =>
    /"connected":(\w+)/.exec((await a.ask("POST", "/v1/why", { from: "default/orders-1", to: "orders:8080" })).text)?.[1];
  expect(await connected()).toBe("true");
  proxy.close();
  await eventually(async () =>
    expect(await detail()).toMatchObject({ in_force: false, proxy: "disconnected", reason: "not connected to node b" }),
  );
  expect(await connected()).toBe("false");
  await b.stop();
  await eventually(async () =>
    expect(await detail()).toMatchObject({
      in_force: false,
      proxy: "away",
      on_node: "b",
      reason: expect.stringMatching(/^node b is away since 2/),
    }),
  );
  expect(await connected()).toBe("null");
  const { code, out } = await applyAndWait("STRICT", "20s");
  expect([code, out]).toEqual([
    0,
    expect.stringMatching(/note {5}node b is away since .*: what its proxies have is not known, and not waited for\n/),
  ]);
});

test("While the board cannot be read nothing that others told counts as true now, and it is said as of when it is known", async () => {
  const { a, detail, convergence, revision } = await start();
  await eventually(async () => expect(await convergence(revision)).toMatchObject({ acked: ["default/orders-1"], pending: [] }));
  const before = new Date().toISOString();
  mesh.board.setAway(true);
  await eventually(async () => expect((await a.ask("GET", "/v1/nodes")).json.stale).toBeDefined());
  const { stale, items } = v.parse(NodesSchema, (await a.ask("GET", "/v1/nodes")).json);
  const { as_of: asOf = "" } = stale ?? {};
  expect(stale?.reason).toContain("the board of the nodes cannot be read: nobody answers");
  expect(asOf >= before && asOf <= new Date().toISOString()).toBe(true);
  expect(items).toMatchObject([
    { name: "a", state: "here" },
    { name: "b", state: "connected", last_seen: asOf },
  ]);
  const time = asOf.slice(11, 19);
  const { out } = await weft(["nodes", "--data", a.data]);
  expect(out).toMatch(/\nb .* \d+s ago .*\n/);
  expect(out).toContain(`what is told of other nodes is as of ${time} UTC, the board of the nodes cannot be read: nobody answers`);
  expect(await detail()).toMatchObject({
    in_force: false,
    proxy: "unknown",
    on_node: "b",
    reason: expect.stringContaining(`synced as of ${asOf}`),
  });
  expect(await convergence(revision)).toMatchObject({
    acked: [],
    pending: ["default/orders-1"],
    nodes: [{ name: "b", state: "unknown" }],
    stale,
  });
  mesh.board.setAway(false);
  await eventually(async () => expect(await convergence(revision)).toMatchObject({ acked: ["default/orders-1"], pending: [] }), 30_000);
  expect((await a.ask("GET", "/v1/nodes")).json.stale).toBeUndefined();
});
