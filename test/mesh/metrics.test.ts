import { describe, expect, test } from "bun:test";
import { TYPE } from "../../src/lib/encoded.ts";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { describeResource } from "../../src/xds/describe.ts";
import { abilitiesOf } from "../../src/xds/envoy-version.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const telemetry = (name: string, metrics: object[], { at = "default", app = "" } = {}) =>
  JSON.stringify({
    apiVersion: "telemetry.istio.io/v1",
    kind: "Telemetry",
    metadata: { name, namespace: at },
    spec: { ...(app ? { selector: { matchLabels: { app } } } : {}), metrics },
  });
const config = (spec: string) => resource("MeshConfig", "mesh", spec, "namespace: weft-system");
const PROMETHEUS = { providers: [{ name: "prometheus" }] };
const only = (metric: string, mode?: string) => ({ match: { metric, ...(mode ? { mode } : {}) } });

function metricsOf(...documents: string[]) {
  return meshOf(workload("orders-1", "orders", "10.0.0.1"), ...documents).metrics.get("default/orders-1");
}

const names = (side: "client" | "server", ...documents: string[]) => metricsOf(...documents)?.[side]?.map(({ name }) => name);
const tagsOf = (name: string, ...documents: string[]) => metricsOf(...documents)?.server?.find((one) => one.name === name)?.tags;

describe("The metrics of a workload", () => {
  test("are none where nobody asks for them, and Istio's all where a provider is named", () => {
    expect(metricsOf()).toBeUndefined();
    expect(metricsOf(telemetry("a", [{}]))).toBeUndefined();
    expect(names("client", telemetry("a", [PROMETHEUS]))).toHaveLength(8);
  });

  test("are counted without a Telemetry where MeshConfig has a default provider", () => {
    expect(names("server", config("{defaultProviders: {metrics: [prometheus]}}"))).toHaveLength(8);
    expect(names("server", config("{defaultProviders: {metrics: [stackdriver]}}"))).toBeUndefined();
    const own = "{extensionProviders: [{name: mine, prometheus: {}}], defaultProviders: {metrics: [Mine]}}";
    expect(names("server", config(own))).toHaveLength(8);
  });

  test("are turned off for a side, or one by one", () => {
    const off = telemetry("a", [{ ...PROMETHEUS, overrides: [{ match: { mode: "CLIENT" }, disabled: true }] }]);
    expect(names("client", off)).toBeUndefined();
    expect(names("server", off)).toHaveLength(8);
    const one = telemetry("a", [{ ...PROMETHEUS, overrides: [{ ...only("REQUEST_COUNT", "SERVER"), disabled: true }] }]);
    expect(names("server", one)).not.toContain("REQUEST_COUNT");
    expect(names("client", one)).toContain("REQUEST_COUNT");
  });

  test("that a wide scope turns off are on again with any override of a narrower one", () => {
    const off = telemetry("root", [{ ...PROMETHEUS, overrides: [{ disabled: true }] }], { at: "weft-system" });
    expect(metricsOf(off)).toBeUndefined();
    expect(names("server", off, telemetry("ns", [{ overrides: [{ ...only("REQUEST_SIZE"), disabled: false }] }]))).toHaveLength(8);
    const single = telemetry("root", [{ ...PROMETHEUS, overrides: [{ ...only("REQUEST_SIZE"), disabled: true }] }], { at: "weft-system" });
    const tagged = telemetry("ns", [{ overrides: [{ tagOverrides: { a: { value: "'b'" } } }] }]);
    expect(names("server", single, tagged)).not.toContain("REQUEST_SIZE");
  });

  test("have the tags of all scopes, the narrowest having the last word", () => {
    const root = telemetry("root", [{ ...PROMETHEUS, overrides: [{ tagOverrides: { a: { value: "'root'" }, b: { value: "'root'" } } }] }], {
      at: "weft-system",
    });
    const own = telemetry(
      "own",
      [{ overrides: [{ ...only("REQUEST_COUNT"), tagOverrides: { a: { value: "request.host" }, b: { operation: "REMOVE" } } }] }],
      { app: "orders" },
    );
    expect(tagsOf("REQUEST_COUNT", root, own)).toEqual([
      ["a", "%CEL(request . host)%"],
      ["b", undefined],
    ]);
    expect(tagsOf("REQUEST_SIZE", root, own)).toEqual([
      ["a", "root"],
      ["b", "root"],
    ]);
  });

  test("go by Istio's other names in customMetric", () => {
    const off = telemetry("a", [{ ...PROMETHEUS, overrides: [{ match: { customMetric: "requests_total" }, disabled: true }] }]);
    expect(names("server", off)).not.toContain("REQUEST_COUNT");
  });

  test("that go nowhere are told of", () => {
    const told = (name: string) => {
      const resources = resourcesOf(
        config("{extensionProviders: [{name: log, envoyFileAccessLog: {}}]}"),
        telemetry("a", [{ providers: [{ name }] }]),
      );
      return analyze(resources, buildMesh(resources, OPTIONS)).map(({ message }) => message);
    };
    expect(told("log")).toEqual(["spec.metrics[0].providers[0].name: the provider log takes no metrics"]);
    expect(told("nowhere")).toEqual(["spec.metrics[0].providers[0].name: MeshConfig's extensionProviders have no nowhere"]);
    expect(told("prometheus")).toEqual([]);
  });

  test("of requests change no TCP listener, so that an edit of them ends no TCP connection", () => {
    const service = resource(
      "ServiceEntry",
      "orders",
      "{hosts: [orders], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: orders}}, ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: tcp, protocol: TCP}]}",
    );
    const versions = (...overrides: object[]) => {
      const mesh = meshOf(service, workload("orders-1", "orders", "10.0.0.1"), telemetry("a", [{ ...PROMETHEUS, overrides }]));
      return new Map(
        [...(buildSnapshot(mesh, "default/orders-1", [])?.resources.get(TYPE.listener) ?? [])].map(([name, { version }]) => [
          name,
          version,
        ]),
      );
    };
    const before = versions();
    const after = versions({ ...only("REQUEST_COUNT"), tagOverrides: { host: { value: "request.host" } } });
    const changed = [...before].flatMap(([name, version]) => (after.get(name) === version ? [] : [name]));
    expect(changed).toEqual(["127.0.0.1_15001", "inbound|80||10.0.0.1"]);
    expect([...before.keys()]).toContain("inbound|81||10.0.0.1");
  });

  test("make no second line of a TCP connection in an access log", () => {
    const service = resource(
      "ServiceEntry",
      "orders",
      "{hosts: [orders], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: orders}}, ports: [{number: 81, name: tcp, protocol: TCP}]}",
    );
    const logs = (...documents: string[]) => {
      const mesh = meshOf(config("{accessLogFile: /dev/stdout}"), service, workload("orders-1", "orders", "10.0.0.1"), ...documents);
      const listener = buildSnapshot(mesh, "default/orders-1", [])?.resources.get(TYPE.listener)?.get("inbound|81||10.0.0.1");
      const text = listener ? JSON.stringify(describeResource(listener)) : "";
      return [
        ...text.matchAll(/"name":"envoy.access_loggers.file"(?:,"filter":(\{"logTypeFilter":\{"types":\["TcpConnectionEnd"\]\}\}))?/g),
      ].map(([, filter]) => filter !== undefined);
    };
    expect(new Set(logs())).toEqual(new Set([false]));
    expect(new Set(logs(telemetry("a", [PROMETHEUS])))).toEqual(new Set([true]));
  });

  test("have their names begin as the Envoy's version is told it, since 1.39 by a scope", () => {
    const mesh = meshOf(httpService("orders"), workload("orders-1", "orders", "10.0.0.1"), telemetry("a", [PROMETHEUS]));
    const listeners = (envoy: string) => {
      const shot = buildSnapshot(mesh, "default/orders-1", [], abilitiesOf(envoy));
      return JSON.stringify([...(shot?.resources.get(TYPE.listener)?.values() ?? [])].map(describeResource));
    };
    for (const [envoy, said, unsaid] of [
      ["1.38.3", '"statPrefix":"istio"', '"statsScope"'],
      ["1.39.0", '"statsScope":{"prefix":"istio"}', '"statPrefix":"istio"'],
    ] as const) {
      expect(listeners(envoy)).toContain(said);
      expect(listeners(envoy)).not.toContain(unsaid);
    }
  });

  test("change nothing for an Envoy that is too old to count but what is known of destinations", () => {
    const around = [httpService("orders"), workload("orders-1", "orders", "10.0.0.1")];
    const versions = (documents: string[], envoy: string) => {
      const shot = buildSnapshot(meshOf(...around, ...documents), "default/orders-1", [], abilitiesOf(envoy));
      return [...(shot?.resources ?? [])].map(([type, byName]) => [type, [...byName.values()].map(({ version }) => version)]);
    };
    const asked = [telemetry("a", [PROMETHEUS])];
    const changed = (envoy: string) => {
      const before = versions([], envoy);
      return versions(asked, envoy).flatMap(([type], at) =>
        Bun.deepEquals(versions(asked, envoy)[at], before[at]) ? [] : [String(type).split(".").at(-1)],
      );
    };
    expect(changed("1.36.4")).toEqual(["Cluster", "ClusterLoadAssignment"]);
    expect(changed("1.37.0")).toEqual(["Cluster", "ClusterLoadAssignment", "Listener"]);
    expect(changed("")).toEqual(changed("1.36.4"));
  });
});
