import { describe, expect, test } from "bun:test";
import { type EncodedResource, type ProxySnapshot, TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { describeResource } from "../../src/xds/describe.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, workload } from "../mesh/harness.ts";

function snapshot(mesh: Mesh, key: string): ProxySnapshot {
  const found = buildSnapshot(mesh, key, []);
  if (!found) throw new Error(`no snapshot for ${key}`);
  return found;
}

function of(shot: ProxySnapshot, type: TypeUrl): ReadonlyMap<string, EncodedResource> {
  const found = shot.resources.get(type);
  if (!found) throw new Error(`no ${type}`);
  return found;
}

const listeners = (mesh: Mesh, key: string) => [...of(snapshot(mesh, key), TYPE.listener).keys()];

describe("A proxy's snapshot", () => {
  const base = [
    httpService("orders"),
    workload("a", "orders", "10.0.0.1"),
    workload("b", "orders", "10.0.0.2"),
    workload("c", "c", "10.0.0.3", "namespace: shop"),
  ];

  test("does not exist for a workload that is not in the mesh", () => {
    expect(buildSnapshot(meshOf(...base), "default/nobody", [])).toBeUndefined();
  });

  test("shares endpoints and routes, as they are, with its neighbours of the namespace", () => {
    const mesh = meshOf(...base);
    const [a, b] = [snapshot(mesh, "default/a"), snapshot(mesh, "default/b")];
    expect(of(a, TYPE.endpoint)).toBe(of(b, TYPE.endpoint));
    expect(of(a, TYPE.route)).toBe(of(b, TYPE.route));
  });

  test("shares clusters and endpoints with proxies of other namespaces that the same rules hold for", () => {
    const mesh = meshOf(...base);
    const name = "outbound|80||orders.default.mesh.local";
    for (const type of [TYPE.cluster, TYPE.endpoint]) {
      const shared = of(snapshot(mesh, "default/a"), type).get(name);
      expect(shared).toBeDefined();
      expect(of(snapshot(mesh, "shop/c"), type).get(name)).toBe(shared);
    }
  });

  test("names for each resource the lines that it comes from", () => {
    const route = resource("VirtualService", "v", "{hosts: [orders], http: [{route: [{destination: {host: orders, subset: v1}}]}]}");
    const rule = resource("DestinationRule", "d", "{host: orders, subsets: [{name: v1}]}");
    const shot = snapshot(meshOf(...base, route, rule), "default/a");
    const kinds = (type: TypeUrl, name: string) =>
      of(shot, type)
        .get(name)
        ?.sources.map(({ kind, name: id }) => `${kind}/${id}`);
    expect(kinds(TYPE.route, "http_proxy")).toEqual(["VirtualService/v", "ServiceEntry/orders"]);
    expect(kinds(TYPE.cluster, "outbound|80|v1|orders.default.mesh.local")).toEqual([
      "DestinationRule/d",
      "DestinationRule/d",
      "ServiceEntry/orders",
    ]);
    expect(kinds(TYPE.endpoint, "outbound|80||orders.default.mesh.local")).toEqual([
      "ServiceEntry/orders",
      "WorkloadEntry/a",
      "WorkloadEntry/b",
    ]);
  });

  test("carries the secrets that it is given, and no others", () => {
    const secret: EncodedResource = { typeUrl: TYPE.secret, name: "default", version: "1", any: new Uint8Array(), sources: [] };
    const shot = buildSnapshot(meshOf(...base), "default/a", [secret]);
    expect([...(shot?.resources.get(TYPE.secret)?.values() ?? [])]).toEqual([secret]);
  });

  test("has routes for every table that a listener refers to, and endpoints for every EDS cluster", () => {
    const addressed = resource(
      "ServiceEntry",
      "x",
      "{hosts: [x], addresses: [127.0.9.1], resolution: STATIC, ports: [{number: 8080, name: http, protocol: HTTP}]}",
    );
    const shot = snapshot(meshOf(...base, addressed), "default/a");
    const text = JSON.stringify([...of(shot, TYPE.listener).values()].map(describeResource));
    const tables = [...text.matchAll(/"routeConfigName":"([^"]+)"/g)].map(([, name]) => name);
    expect(tables.sort()).toEqual(["8080", "http_proxy"]);
    for (const table of tables) expect(of(shot, TYPE.route).has(table ?? "")).toBe(true);
    const clusters = JSON.stringify([...of(shot, TYPE.cluster).values()].map(describeResource));
    for (const [, name] of clusters.matchAll(/"serviceName":"([^"]+)"/g)) expect(of(shot, TYPE.endpoint).has(name ?? "")).toBe(true);
  });

  test("of a workload without an identity waits for no secret: it calls in plaintext, and not at all where ISTIO_MUTUAL is demanded", () => {
    const rule = resource("DestinationRule", "d", "{host: orders, subsets: [{name: mutual, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]}");
    const mesh = meshOf(...base, rule, resource("WorkloadEntry", "anonymous", "{address: 10.0.0.7}"));
    const clusters = (key: string) => of(snapshot(mesh, key), TYPE.cluster);
    const mutual = "outbound|80|mutual|orders.default.mesh.local";
    expect([clusters("default/a").has(mutual), clusters("default/anonymous").has(mutual)]).toEqual([true, false]);
    expect(JSON.stringify([...clusters("default/a").values()].map(describeResource))).toContain("sdsConfig");
    expect(JSON.stringify([...clusters("default/anonymous").values()].map(describeResource))).not.toContain("sdsConfig");
  });

  test("keeps the maps of the types in which nothing changed", () => {
    const rest = resourcesOf(...base);
    const before = buildMesh([...rest, ...resourcesOf(workload("d", "orders", "10.0.0.4"))], OPTIONS);
    const after = buildMesh([...rest, ...resourcesOf(workload("d", "orders", "10.0.0.5"))], OPTIONS, before);
    const [was, is] = [snapshot(before, "default/a"), snapshot(after, "default/a")];
    const changed = [...is.resources].filter(([type, map]) => map.size > 0 && was.resources.get(type) !== map).map(([type]) => type);
    expect(changed).toEqual([TYPE.endpoint]);
  });
});

describe("The outbound listeners", () => {
  const db = (name: string, more: string) =>
    resource("ServiceEntry", name, `{hosts: [${name}], resolution: STATIC, ports: [{number: 5432, name: tcp, protocol: TCP}], ${more}}`);

  test("are one for HTTP, and one at each single address of a TCP service", () => {
    const mesh = meshOf(db("db", 'addresses: [127.0.9.1, 10.0.0.0/8, "127.0.9.2/32"]'), workload("a", "a", "10.0.0.1"));
    expect(listeners(mesh, "default/a")).toEqual(["127.0.0.1_15001", "127.0.9.1_5432", "127.0.9.2_5432"]);
  });

  test("are only those that weft.dev/listen names, where it is given", () => {
    const wired = resource(
      "WorkloadEntry",
      "a",
      "{address: 10.0.0.1}",
      'annotations: {weft.dev/outbound: "127.0.0.1:15101", weft.dev/listen: "db:5432=127.0.0.1:15432"}',
    );
    const mesh = meshOf(db("db", "addresses: [127.0.9.1]"), db("other", "addresses: [127.0.9.3]"), wired);
    expect(listeners(mesh, "default/a")).toEqual(["127.0.0.1_15101", "127.0.0.1_15432"]);
  });

  test("never stand where the workload itself takes calls", () => {
    const own = resource(
      "ServiceEntry",
      "db",
      "{hosts: [db], addresses: [10.0.0.1], resolution: STATIC, ports: [{number: 5432, name: tcp, protocol: TCP}], workloadSelector: {labels: {app: a}}}",
    );
    const mesh = meshOf(own, workload("a", "a", "10.0.0.1"), workload("b", "b", "10.0.0.2"));
    expect(listeners(mesh, "default/a").filter((name) => !name.startsWith("inbound"))).toEqual(["127.0.0.1_15001"]);
    expect(listeners(mesh, "default/b")).toEqual(["10.0.0.1_5432", "127.0.0.1_15001"]);
  });

  test("give a place that two services ask for to the first by host", () => {
    const mesh = meshOf(db("bb", "addresses: [127.0.9.1]"), db("aa", "addresses: [127.0.9.1]"), workload("a", "a", "10.0.0.1"));
    const [listener] = [...of(snapshot(mesh, "default/a"), TYPE.listener).values()].filter(({ name }) => name === "127.0.9.1_5432");
    expect(listener?.sources.map(({ name }) => name)).toEqual(["aa"]);
  });
});
