/** Whose identities a joined node gets, by whom, and through which outages: whole wefts, with clients of ADS in the place of their Envoys. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { TYPE } from "../../src/lib/encoded.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { eventually, TestMesh, type TestNode } from "./mesh.ts";

setDefaultTimeout(60_000);

let mesh = new TestMesh();
const clients: DeltaClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await mesh.close();
  mesh = new TestMesh();
});

const entry = (name: string, node: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, annotations: {weft.dev/node: ${node}}}
spec: {address: 10.0.0.1, labels: {app: ${name}}, serviceAccount: ${name}}
`;
const id = (name: string) => `spiffe://mesh.local/ns/default/sa/${name}`;

async function apply(node: TestNode, ...documents: string[]): Promise<number> {
  const { status, json } = await node.ask("POST", "/v1/apply", documents.join("---\n"));
  expect([status, json.detail]).toEqual([200, undefined]);
  return Number(json.revision);
}

/** A proxy of `workload`, connected to `node`; asked for its secrets. */
async function connect(node: TestNode, workload: string): Promise<DeltaClient> {
  const { token } = await made(async () => {
    const { status, json } = await node.ask("POST", "/v1/tokens", { workload: `default/${workload}` });
    expect(status).toBe(201);
    return { token: String(json.token) };
  });
  const [host = "", port = ""] = node.listening.ads.split(":");
  const client = new DeltaClient({ address: host, port: Number(port) }, { token, node: `sidecar~default/${workload}` });
  clients.push(client);
  client.send(TYPE.secret, { resourceNamesSubscribe: ["default", "ROOTCA"] });
  // As Envoy does.
  void (async () => {
    for (let index = 0; ; index++) {
      const response = await client.until(
        () => client.responses[index] ?? (client.ended === undefined ? undefined : null),
        "an answer",
        600_000,
      );
      if (!response) return;
      client.ack(response);
    }
  })();
  return client;
}

async function made<T>(make: () => Promise<T>): Promise<T> {
  let last: { readonly value: T } | undefined;
  await eventually(async () => {
    last = { value: await make() };
  });
  if (!last) throw new Error("it was not made");
  return last.value;
}

type Svids = Record<string, { expires: string; authority: string }>;
const svidsOf = async (node: TestNode): Promise<Svids> => (await node.ask("GET", "/v1/ca")).json.svids as Svids;
const authoritiesOf = async (node: TestNode) =>
  (await node.ask("GET", "/v1/ca")).json.x509 as { id: string; node: string; state: string }[];

describe("A joined node", () => {
  test("gets SVIDs of its workloads from the authority, and no others", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await apply(b, entry("web", "b"), entry("orders", "a"));
    await connect(b, "web");
    await connect(b, "orders");
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("web")]));
    const [authority] = await authoritiesOf(a);
    expect((await svidsOf(b))[id("web")]?.authority).toBe(authority?.id ?? "");
    await eventually(async () => {
      const { json } = await a.ask("GET", "/v1/audit");
      const refused = (json.records as { action: string; who: string; reason?: string }[]).filter(
        ({ action }) => action === "SignX509Svid",
      );
      expect(refused[0]).toMatchObject({
        who: "node b",
        reason: `${id("orders")} is no identity of a workload that is registered to node b`,
      });
    });
    expect(Object.keys(await svidsOf(b))).toEqual([id("web")]);
  });

  test("says of a proxy whose workload is not registered to it why it gets nothing, and serves it once it is", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    const orders = entry("orders", "b");
    await apply(b, orders.replace(", annotations: {weft.dev/node: b}", ""));
    const proxy = await connect(b, "orders");
    const told = async () => {
      const { json } = await b.ask("GET", "/v1/proxies");
      return (json.items as { uncertified?: string }[])[0]?.uncertified;
    };
    await eventually(async () =>
      expect(await told()).toBe(
        `authority a: ${id("orders")} is no identity of a workload that is registered to node b; give its WorkloadEntry the annotation weft.dev/node: b`,
      ),
    );
    expect(proxy.responses).toEqual([]);
    await apply(b, orders);
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("orders")]));
    expect(await told()).toBeUndefined();
  });

  test("keeps its SVIDs in files of its own, and starts with them while the authority is away", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await apply(b, entry("web", "b"));
    await connect(b, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("web")]));
    const kept = join(b.data, "svids");
    expect(readdirSync(kept).map((name) => statSync(join(kept, name)).mode & 0o777)).toEqual([0o600]);
    const before = await svidsOf(b);
    await a.stop();
    await b.stop();
    const again = await mesh.start(b.data);
    await connect(again, "web");
    await eventually(async () => expect(await svidsOf(again)).toEqual(before));
  });

  test("and its authority start while the store is away, and the one signs for the other", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await apply(b, entry("web", "b"), entry("orders", "b"));
    await connect(b, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("web")]));
    const [, port = ""] = (a.listening.cluster ?? "").split(":");
    await eventually(async () => expect((await a.ask("GET", "/v1/resources?kind=WorkloadEntry")).json.items).toHaveLength(2));
    await a.stop();
    await b.stop();
    mesh.engine.away = true;
    const again = { b: await mesh.start(b.data), a: await mesh.start(a.data, { cluster: { host: "127.0.0.1", port: Number(port) } }) };
    await connect(again.b, "orders");
    await eventually(async () => expect(Object.keys(await svidsOf(again.b))).toEqual([id("orders")]));
    mesh.engine.away = false;
  });

  test("that has no SVID yet starts, listeners with TLS too, while the authority is away", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await eventually(async () => expect((await b.ask("GET", "/v1/nodes")).json.items).toHaveLength(2));
    await b.stop();
    const [, port = ""] = (a.listening.cluster ?? "").split(":");
    await a.stop();
    const again = await mesh.start(b.data, { adsTls: { host: "127.0.0.1", port: 0 } });
    expect((await again.ask("GET", "/v1/nodes")).status).toBe(200);
    const { port: adsPort } = new URL(`tls://${again.listening.ads_tls}`);
    const greet = () =>
      new Promise<boolean>((resolve) => {
        const socket = connectTls({ host: "127.0.0.1", port: Number(adsPort), rejectUnauthorized: false, ALPNProtocols: ["h2"] });
        socket.once("secureConnect", () => resolve(true)).once("error", () => resolve(false));
        socket.once("close", () => resolve(false)).once("secureConnect", () => socket.destroy());
      });
    expect(await greet()).toBe(false);
    await mesh.start(a.data, { cluster: { host: "127.0.0.1", port: Number(port) } });
    await eventually(async () => expect(await greet()).toBe(true), 40_000);
  });

  test("has its SVIDs issued again after a forced rotation at the authority", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await apply(b, entry("web", "b"));
    await connect(b, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("web")]));
    const before = (await svidsOf(b))[id("web")]?.authority;
    expect((await a.ask("POST", "/v1/ca/rotate", { authority: "x509" })).status).toBe(200);
    await eventually(async () => expect((await svidsOf(b))[id("web")]?.authority).not.toBe(before), 40_000);
    const active = (await authoritiesOf(a)).find(({ state }) => state === "active");
    expect((await svidsOf(b))[id("web")]?.authority).toBe(active?.id ?? "");
  });
});

describe("A further authority", () => {
  test("publishes its root before it signs, and then signs for its own workloads and for others'", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b", { isAuthority: true });
    await apply(b, entry("web", "b"));
    await connect(b, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("web")]));
    const [ofA] = (await authoritiesOf(a)).filter(({ node }) => node === "a");
    expect((await svidsOf(b))[id("web")]?.authority).toBe(ofA?.id ?? "");
    await eventually(async () => {
      const nodes = (await authoritiesOf(a)).map(({ node }) => node);
      expect(nodes.sort()).toEqual(["a", "b"]);
    });
    const [bundleOfA, bundleOfB] = await Promise.all(
      [a, b].map(async (node) => (await node.ask("GET", "/v1/bundle")).json.keys as { x5c?: string[] }[]),
    );
    const roots = (keys: { x5c?: string[] }[] = []) => keys.flatMap(({ x5c = [] }) => x5c).sort();
    expect(roots(bundleOfA)).toEqual(roots(bundleOfB));
    expect(roots(bundleOfA)).toHaveLength(2);
    // A third node, with the first authority gone.
    await eventually(async () => {
      const { token } = (await b.ask("POST", "/v1/nodes/tokens", {})).json;
      expect(token).toBeString();
    });
    const c = await mesh.join(b, "c");
    await a.stop();
    await apply(c, entry("pay", "c"));
    await connect(c, "pay");
    await eventually(async () => expect(Object.keys(await svidsOf(c))).toEqual([id("pay")]));
    const ofB = (await authoritiesOf(b)).find(({ node }) => node === "b");
    expect((await svidsOf(c))[id("pay")]?.authority).toBe(ofB?.id ?? "");
  });
});

describe("A mesh that lost its only authority", () => {
  test("goes on with a node that takes over: it signs, and lets others in", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    const c = await mesh.join(a, "c");
    await apply(c, entry("web", "c"));
    await connect(c, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(c))).toEqual([id("web")]));
    const first = (await svidsOf(c))[id("web")]?.authority;
    await a.stop();
    await b.stop();
    const rpc = { host: "127.0.0.1", port: 0 };
    const heir = await mesh.start(b.data, { cluster: rpc, takeOver: true });
    await eventually(async () => expect((await svidsOf(c))[id("web")]?.authority).not.toBe(first), 30_000);
    await mesh.join(heir, "d");
    await heir.stop();
    const again = await mesh.start(b.data, { cluster: rpc });
    const { json } = await again.ask("GET", "/v1/nodes");
    expect(json.items).toMatchObject([{ name: "a" }, { name: "b", roles: ["authority"], state: "here" }, { name: "c" }, { name: "d" }]);
    await expect(mesh.start(a.data)).rejects.toThrow("it would make a second root");
  });
});

describe("A node that is removed", () => {
  test("is refused from then on, ends its streams, and comes back with a new token only", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await apply(b, entry("web", "b"));
    const client = await connect(b, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(b))).toEqual([id("web")]));
    const ended = client.end();
    expect((await a.ask("DELETE", "/v1/nodes/b")).json).toMatchObject({ name: "b", state: "removed" });
    await eventually(async () => {
      const change = { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "late" }, spec: {} };
      const { status, json } = await b.ask("POST", "/v1/apply", change);
      expect([status, json.detail]).toEqual([403, expect.stringContaining("was removed from the mesh")]);
    });
    await ended;
    await eventually(async () => expect((await b.ask("GET", "/healthz")).status).toBe(503));
    const { message } = await b.removed;
    expect(message).toMatch(/^this node, b, was removed from the mesh by .+ at \d{4}-.+Z: it serves nobody any more$/);
    expect(readdirSync(join(b.data, "svids"))).toEqual([]);
    await b.stop();
    await expect(mesh.start(b.data)).rejects.toThrow(message);
    mesh.engine.away = true;
    await expect(mesh.start(b.data)).rejects.toThrow(message);
    mesh.engine.away = false;
    expect(existsSync(join(b.data, "weft.db"))).toBe(true);
    const back = await mesh.join(a, "b");
    await connect(back, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(back))).toEqual([id("web")]));
  });

  test("and was an authority has what it signed issued again by the others at once", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b", { isAuthority: true });
    const c = await mesh.join(a, "c");
    await apply(c, entry("web", "c"));
    await made(async () => expect((await b.ask("POST", "/v1/nodes/tokens", {})).status).toBe(201));
    await connect(c, "web");
    await eventually(async () => expect(Object.keys(await svidsOf(c))).toEqual([id("web")]));
    const first = (await svidsOf(c))[id("web")]?.authority;
    const gone = (await authoritiesOf(a)).find(({ id: one }) => one === first)?.node ?? "";
    const [removed, left] = gone === "a" ? ([a, b] as const) : ([b, a] as const);
    expect((await left.ask("DELETE", `/v1/nodes/${gone}`)).status).toBe(200);
    await eventually(async () => expect((await svidsOf(c))[id("web")]?.authority).not.toBe(first), 30_000);
    expect((await authoritiesOf(c)).map(({ node }) => node)).toEqual([gone === "a" ? "b" : "a"]);
    await eventually(async () => expect((await removed.ask("GET", "/healthz")).status).toBe(503));
  });

  test("is not the last authority, nor one that nobody knows", async () => {
    const a = await mesh.found();
    expect(await a.ask("DELETE", "/v1/nodes/a")).toMatchObject({
      status: 409,
      json: { detail: expect.stringContaining("the only authority") },
    });
    expect((await a.ask("DELETE", "/v1/nodes/z")).status).toBe(404);
  });
});
