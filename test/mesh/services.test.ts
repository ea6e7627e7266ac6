import { describe, expect, test } from "bun:test";
import type { Endpoint, Mesh } from "../../src/mesh/types.ts";
import { httpService, meshOf, resource, viewOf, workload } from "./harness.ts";

const HOST = "orders.default.mesh.local";

function endpoints(mesh: Mesh, host = HOST): readonly Endpoint[] {
  return mesh.endpoints.get(host) ?? [];
}

describe("A service", () => {
  test("of several ServiceEntries in one namespace has the ports of all, and the oldest one's protocol", () => {
    const mesh = meshOf(
      httpService(
        "orders",
        'creationTimestamp: "2024-02-01T00:00:00Z"',
        "[{number: 80, name: tcp, protocol: TCP}, {number: 81, name: grpc, protocol: GRPC}]",
      ),
      resource(
        "ServiceEntry",
        "older",
        "{hosts: [orders], resolution: STATIC, workloadSelector: {labels: {app: orders}}, ports: [{number: 80, name: http, protocol: HTTP}]}",
        'creationTimestamp: "2024-01-01T00:00:00Z"',
      ),
    );
    const service = mesh.services.get(HOST);
    expect(service?.ports.map(({ number, protocol }) => [number, protocol])).toEqual([
      [80, "HTTP"],
      [81, "GRPC"],
    ]);
    expect(service?.source.name).toBe("older");
    expect(service?.otherSources.map(({ name }) => name)).toEqual(["orders"]);
  });

  test("has no ports of a younger ServiceEntry that has another selector, resolution or label", () => {
    const ports = (younger: string, metadata = "") => {
      const spec = `{hosts: [orders], ${younger}, ports: [{number: 81, name: more, protocol: HTTP}]}`;
      const entry = resource("ServiceEntry", "younger", spec, `creationTimestamp: "2024-03-01T00:00:00Z"${metadata}`);
      return meshOf(httpService("orders"), entry)
        .services.get(HOST)
        ?.ports.map(({ number }) => number);
    };
    const alike = "resolution: STATIC, workloadSelector: {labels: {app: orders}}";
    expect(ports(alike)).toEqual([80, 81]);
    expect(ports("resolution: STATIC, workloadSelector: {labels: {app: other}}")).toEqual([80]);
    expect(ports("resolution: STATIC, endpoints: [{address: 10.0.0.2}]")).toEqual([80]);
    expect(ports("resolution: DNS, workloadSelector: {labels: {app: orders}}")).toEqual([80]);
    expect(ports(alike, ", labels: {team: other}")).toEqual([80]);
  });

  test("has a younger ServiceEntry's instances at the ports that both call by the same name", () => {
    const entry = (name: string, ports: string, address: string, month: number) =>
      resource(
        "ServiceEntry",
        name,
        `{hosts: [orders], resolution: STATIC, ports: ${ports}, endpoints: [{address: ${address}}]}`,
        `creationTimestamp: "2024-0${month}-01T00:00:00Z"`,
      );
    const mesh = meshOf(
      entry("a", "[{number: 80, name: http, protocol: HTTP}, {number: 81, name: admin, protocol: HTTP}]", "10.0.0.1", 1),
      entry("b", "[{number: 80, name: admin, protocol: HTTP}, {number: 81, name: other, protocol: HTTP}]", "10.0.0.2", 2),
      entry("c", "[{number: 80, name: nothing, protocol: HTTP}]", "10.0.0.3", 3),
    );
    expect(mesh.endpoints.get(HOST)?.map(({ address, ports }) => [address, [...ports]])).toEqual([
      [
        "10.0.0.1",
        [
          [80, 80],
          [81, 81],
        ],
      ],
      ["10.0.0.2", [[81, 80]]],
    ]);
  });

  test("that several namespaces define is the caller's own, else the oldest", () => {
    const entry = (namespace: string, created: string, address: string) =>
      resource(
        "ServiceEntry",
        "api",
        `{hosts: [api.example.com], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: ${address}}]}`,
        `namespace: ${namespace}, creationTimestamp: "${created}"`,
      );
    const mesh = meshOf(
      entry("a", "2024-02-01T00:00:00Z", "192.0.2.1"),
      entry("b", "2024-01-01T00:00:00Z", "192.0.2.2"),
      workload("w", "w", "10.0.0.1", "namespace: a"),
      workload("w", "w", "10.0.0.2", "namespace: c"),
    );
    const called = (namespace: string) =>
      viewOf(mesh, namespace).assignments.flatMap((assignment) => assignment.endpoints.map(({ address }) => address));
    expect(called("a")).toEqual(["192.0.2.1"]);
    expect(called("c")).toEqual(["192.0.2.2"]);
    expect(endpoints(mesh, "api.example.com").map(({ address }) => address)).toEqual(["192.0.2.2"]);
  });

  test("without a resolution is at its addresses, else at its name, at the port that its clients mean", () => {
    const passed = (more: string) => `{hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 81}]${more}}`;
    const at = (more: string) => {
      const mesh = meshOf(resource("ServiceEntry", "api", passed(more)), workload("w", "w", "10.0.0.9"));
      const found = endpoints(mesh, "api.example.com").map(({ address, ports }) => `${address}:${ports.get(80)}`);
      return [mesh.services.get("api.example.com")?.resolution, ...found];
    };
    expect(at("")).toEqual(["DNS", "api.example.com:80"]);
    expect(at(", resolution: NONE, addresses: [10.9.0.2, 10.9.0.1]")).toEqual(["STATIC", "10.9.0.1:80", "10.9.0.2:80"]);
    // What lies within a block only the client knows: it resolves the name.
    expect(at(", resolution: NONE, addresses: [10.9.0.0/16]")).toEqual(["DNS", "api.example.com:80"]);
    expect(at(", workloadSelector: {labels: {app: w}}")).toEqual(["DNS", "api.example.com:80"]);
  });

  test("is outside the mesh unless it says MESH_INTERNAL, as in Istio", () => {
    const mesh = meshOf(
      resource("ServiceEntry", "orders", "{hosts: [orders], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}]}"),
    );
    expect(mesh.services.get(HOST)?.location).toBe("MESH_EXTERNAL");
  });
});

describe("An endpoint", () => {
  test("has its region, zone, subzone and network as labels, by which subsets and failoverPriority find it", () => {
    const mesh = meshOf(
      httpService("orders"),
      workload("far", "orders", "10.0.0.1", "", ", locality: eu/north/a, network: blue"),
      workload("near", "orders", "10.0.0.2", "labels: {topology.istio.io/network: green}", ", locality: us, network: blue"),
    );
    expect(endpoints(mesh).map(({ labels }) => labels)).toEqual([
      {
        app: "orders",
        "topology.kubernetes.io/region": "eu",
        "topology.kubernetes.io/zone": "north",
        "topology.istio.io/subzone": "a",
        "topology.istio.io/network": "blue",
      },
      { app: "orders", "topology.kubernetes.io/region": "us", "topology.istio.io/network": "green" },
    ]);
  });

  test("takes its port from the WorkloadEntry, else from targetPort, else from the service", () => {
    const ports = "[{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 81, name: other, protocol: HTTP}]";
    const mesh = meshOf(
      httpService("orders", "", ports),
      workload("a", "orders", "10.0.0.1"),
      workload("b", "orders", "10.0.0.2", "", ", ports: {http: 9090}"),
    );
    expect(endpoints(mesh).map((endpoint) => [...endpoint.ports.values()])).toEqual([
      [8080, 81],
      [9090, 81],
    ]);
  });

  test("is selected in the ServiceEntry's namespace only, by all labels, those of metadata before those of spec", () => {
    const mesh = meshOf(
      httpService("orders"),
      workload("a", "orders", "10.0.0.1"),
      workload("elsewhere", "orders", "10.0.0.2", "namespace: other"),
      workload("relabelled", "orders", "10.0.0.3", "labels: {app: users}"),
      workload("labelled", "users", "10.0.0.4", "labels: {app: orders}"),
    );
    expect(endpoints(mesh).map(({ workload: key }) => key)).toEqual(["default/a", "default/labelled"]);
  });

  test("weighs 1 where no weight, or 0, is given", () => {
    const mesh = meshOf(
      httpService("orders"),
      workload("a", "orders", "10.0.0.1", "", ", weight: 0"),
      workload("b", "orders", "10.0.0.2", "", ", weight: 7"),
    );
    expect(endpoints(mesh).map(({ weight }) => weight)).toEqual([1, 7]);
  });

  test("accepts mutual TLS where it has a service account and its PeerAuthentication is not DISABLE at the port", () => {
    const disable = resource(
      "PeerAuthentication",
      "p",
      "{selector: {matchLabels: {app: orders}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}",
    );
    const ports = "[{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 81, name: other, protocol: HTTP}]";
    const plain = resource(
      "WorkloadEntry",
      "plain",
      "{address: 10.0.0.9, labels: {app: orders}}",
      'annotations: {weft.dev/app: "http=127.0.0.1:9001"}',
    );
    const mesh = meshOf(httpService("orders", "", ports), workload("a", "orders", "10.0.0.1"), plain, disable);
    expect(endpoints(mesh).map(({ mtlsPorts }) => [...mtlsPorts])).toEqual([[81], []]);
    expect(endpoints(mesh).map(({ spiffeId }) => spiffeId)).toEqual(["spiffe://mesh.local/ns/default/sa/orders", undefined]);
  });

  test("says by the label security.istio.io/tlsMode that it has no sidecar after all", () => {
    const mesh = meshOf(httpService("orders"), workload("a", "orders", "10.0.0.1", "labels: {security.istio.io/tlsMode: disabled}"));
    expect(endpoints(mesh).map(({ mtlsPorts }) => [...mtlsPorts])).toEqual([[]]);
  });

  test("of a DNS service without endpoints is the service's own host", () => {
    const mesh = meshOf(
      resource(
        "ServiceEntry",
        "api",
        "{hosts: [api.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]}",
      ),
    );
    expect(endpoints(mesh, "api.example.com").map(({ address, ports }) => [address, ports.get(443)])).toEqual([["api.example.com", 8443]]);
  });
});

describe("A workload", () => {
  test("takes calls at the ports of the services that select it, the oldest giving the protocol", () => {
    const mesh = meshOf(
      httpService("orders", 'creationTimestamp: "2024-02-01T00:00:00Z"'),
      resource(
        "ServiceEntry",
        "admin",
        "{hosts: [admin], resolution: STATIC, ports: [{number: 9000, targetPort: 80, name: tcp-admin, protocol: TCP}, {number: 22, name: ssh, protocol: TCP}], workloadSelector: {labels: {app: orders}}}",
        'creationTimestamp: "2024-01-01T00:00:00Z"',
      ),
      workload("a", "orders", "10.0.0.1"),
    );
    const inbound = mesh.workloads
      .get("default/a")
      ?.inbound.map(({ number, protocol, service, app }) => [number, protocol, service, app.port]);
    expect(inbound).toEqual([
      [22, "TCP", "admin.default.mesh.local", 22],
      [80, "TCP", "admin.default.mesh.local", 80],
    ]);
  });

  test("forwards to the application that weft.dev/app names, and calls out where weft.dev/outbound says", () => {
    const wired = resource(
      "WorkloadEntry",
      "a",
      "{address: 10.0.0.1, labels: {app: orders}}",
      'annotations: {weft.dev/app: "http=127.0.0.1:9001", weft.dev/outbound: "127.0.0.1:15101", weft.dev/listen: "db:5432=127.0.0.1:15432"}',
    );
    const found = meshOf(httpService("orders"), wired).workloads.get("default/a");
    expect(found?.inbound[0]?.app).toEqual({ address: "127.0.0.1", port: 9001 });
    expect(found?.outbound).toEqual({ address: "127.0.0.1", port: 15101 });
    expect(found?.listen).toEqual([{ host: "db.default.mesh.local", port: 5432, address: "127.0.0.1", localPort: 15432 }]);
    expect(found?.spiffeId).toBeUndefined();
  });
});
