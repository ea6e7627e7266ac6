import { describe, expect, test } from "bun:test";
import { httpService, meshOf, resource, routedTo, viewOf, workload } from "./harness.ts";

const caller = workload("caller", "caller", "10.0.0.9");

function to(host: string, more = ""): string {
  return `[{${more} route: [{destination: {host: ${host}}}]}]`;
}

function virtualService(name: string, hosts: string, http: string, metadata = ""): string {
  return resource("VirtualService", name, `{hosts: ${hosts}, http: ${http}}`, metadata);
}

function route(domain: string, ...yaml: string[]): string[] | undefined {
  return routedTo(viewOf(meshOf(caller, ...yaml)), domain);
}

const A = "outbound|80||a.default.mesh.local";
const B = "outbound|80||b.default.mesh.local";
const services = [httpService("orders"), httpService("a"), httpService("b")];

describe("A request to a service", () => {
  test("goes to the service itself where no VirtualService speaks of it", () => {
    expect(route("orders", ...services)).toEqual(["outbound|80||orders.default.mesh.local"]);
  });

  test("is known by every form of the name, whichever port it names", () => {
    const ports =
      "[{number: 8080, name: http, protocol: HTTP}, {number: 9090, name: admin, protocol: HTTP}, {number: 5432, name: db, protocol: TCP}]";
    const entry = httpService("orders", "", ports);
    for (const form of [
      "orders",
      "orders.default",
      "orders.default.svc",
      "orders.default.svc.cluster.local",
      "orders.default.mesh.local",
    ]) {
      // Without a port: port 80, or else the lowest.
      expect(route(form, entry)).toEqual(["outbound|8080||orders.default.mesh.local"]);
      expect(route(`${form}:9090`, entry)).toEqual(["outbound|9090||orders.default.mesh.local"]);
    }
    expect(route("orders:5432", entry)).toBeUndefined();
  });

  test("of another namespace needs the namespace in its name", () => {
    const entry = httpService("orders", "namespace: shop");
    expect(route("orders", entry)).toBeUndefined();
    expect(route("orders.shop", entry)).toEqual(["outbound|80||orders.shop.mesh.local"]);
  });

  test("whose real host is another service's short form belongs to the real host", () => {
    const real = resource(
      "ServiceEntry",
      "real",
      "{hosts: [orders.default], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}",
    );
    expect(route("orders.default", ...services, real)).toEqual(["outbound|80||orders.default"]);
    expect(route("orders.default.svc", ...services, real)).toEqual(["outbound|80||orders.default.mesh.local"]);
  });
});

describe("The VirtualService of a host", () => {
  test("is the oldest of several, whole", () => {
    const younger = virtualService("a", "[orders]", to("a"), 'creationTimestamp: "2024-02-01T00:00:00Z"');
    const older = virtualService("z", "[orders]", to("b"), 'creationTimestamp: "2024-01-01T00:00:00Z"');
    expect(route("orders", ...services, younger, older)).toEqual([B]);
  });

  test("is the one that names it before any wildcard, and of wildcards the longest", () => {
    const wide = virtualService("a", '["*.mesh.local"]', to("a"), 'creationTimestamp: "2024-01-01T00:00:00Z"');
    const narrow = virtualService("b", '["*.default.mesh.local"]', to("b"), 'creationTimestamp: "2024-02-01T00:00:00Z"');
    const exact = virtualService("c", "[orders]", to("orders"), 'creationTimestamp: "2024-03-01T00:00:00Z"');
    expect(route("orders", ...services, wide)).toEqual([A]);
    expect(route("orders", ...services, wide, narrow)).toEqual([B]);
    expect(route("orders", ...services, wide, narrow, exact)).toEqual(["outbound|80||orders.default.mesh.local"]);
  });

  test("has no say at a port at which none of its routes holds: the next is asked", () => {
    const elsewhere = virtualService("a", "[orders]", to("a", "match: [{port: 81}],"), 'creationTimestamp: "2024-01-01T00:00:00Z"');
    const here = virtualService("b", "[orders]", to("b"), 'creationTimestamp: "2024-02-01T00:00:00Z"');
    expect(route("orders", ...services, elsewhere)).toEqual(["outbound|80||orders.default.mesh.local"]);
    expect(route("orders", ...services, elsewhere, here)).toEqual([B]);
  });

  test("holds for sidecars where its gateways are none or mesh", () => {
    const of = (gateways: string) => resource("VirtualService", "v", `{hosts: [orders], gateways: ${gateways}, http: ${to("a")}}`);
    expect(route("orders", ...services, of("[mesh]"))).toEqual([A]);
  });

  test("resolves short names in its own namespace", () => {
    const foreign = virtualService("v", "[orders.default.svc.cluster.local]", to("a"), "namespace: shop");
    expect(route("orders", ...services, foreign)).toEqual(["outbound|80||a.shop.mesh.local"]);
  });

  test("holds in every namespace", () => {
    const mesh = meshOf(
      workload("caller", "caller", "10.0.0.9", "namespace: other"),
      ...services,
      virtualService("v", "[orders]", to("a")),
    );
    expect(routedTo(viewOf(mesh, "other"), "orders.default")).toEqual([A]);
  });

  test("does not take a VirtualService's wildcard for a host of its own where a service's wildcard covers it", () => {
    const wide = resource(
      "ServiceEntry",
      "wide",
      "{hosts: ['*.example.com'], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 10.0.0.5}]}",
    );
    const narrow = virtualService("narrow", "['*.eu.example.com']", to("a"));
    expect(route("*.eu.example.com", ...services, wide, narrow)).toBeUndefined();
    expect(route("*.eu.example.com", ...services, narrow)).toEqual([A]);
  });

  test("reaches a host that no ServiceEntry knows at port 80, and at the ports of its other hosts where it has such", () => {
    expect(route("shop.example.com", ...services, virtualService("v", "[shop.example.com]", to("a")))).toEqual([A]);
    const db = httpService("db", "", "[{number: 8080, name: http, protocol: HTTP}]");
    const both = virtualService("v", "[shop.example.com, db]", to("db"));
    expect(route("shop.example.com:8080", ...services, db, both)).toEqual(["outbound|8080||db.default.mesh.local"]);
    expect(route("shop.example.com", ...services, db, both)).toBeUndefined();
  });
});

describe("A destination without a port", () => {
  const two = httpService("two", "", "[{number: 80, name: http, protocol: HTTP}, {number: 8080, name: other, protocol: HTTP}]");
  const one = httpService("one", "", "[{number: 7070, name: http, protocol: HTTP}]");

  test("means the port that was called, even where the service has another one only: then there is no such cluster", () => {
    expect(route("two:8080", two, one, virtualService("v", "[two]", to("two")))).toEqual(["outbound|8080||two.default.mesh.local"]);
    expect(route("two:8080", two, one, virtualService("v", "[two]", to("one")))).toEqual(["outbound|8080||one.default.mesh.local"]);
    expect(route("two:8080", two, one, virtualService("v", "[two]", to("nowhere")))).toEqual(["outbound|8080||nowhere.default.mesh.local"]);
  });

  test("of a tcp route means the service's only port, else the port that was called", () => {
    const db = resource("ServiceEntry", "db", "{hosts: [db], resolution: STATIC, ports: [{number: 5432, name: tcp, protocol: TCP}]}");
    const targets = (host: string) => {
      const tcp = resource("VirtualService", "v", `{hosts: [db], tcp: ${to(host)}}`);
      return viewOf(meshOf(caller, db, two, one, tcp)).ports.flatMap((port) =>
        (port.tcp ?? []).flatMap(({ targets }) => targets.map(({ cluster }) => cluster)),
      );
    };
    expect(targets("one")).toEqual(["outbound|7070||one.default.mesh.local"]);
    expect(targets("two")).toEqual(["outbound|5432||two.default.mesh.local"]);
  });
});

describe("TCP connections to a service", () => {
  const db = resource(
    "ServiceEntry",
    "db",
    "{hosts: [db], addresses: [127.0.9.1], resolution: STATIC, ports: [{number: 5432, name: tcp, protocol: TCP}, {number: 443, name: tls, protocol: TLS}]}",
  );
  const targets = (...yaml: string[]) =>
    viewOf(meshOf(caller, db, ...yaml)).ports.map(({ port, tcp }) => [
      port.number,
      tcp?.flatMap(({ targets }) => targets.map(({ cluster, weight }) => `${cluster}=${weight}`)),
    ]);

  test("go to the service itself where no tcp route holds", () => {
    const http = virtualService("v", "[db]", to("a"));
    expect(targets(http)).toEqual([
      [443, ["outbound|443||db.default.mesh.local=0"]],
      [5432, ["outbound|5432||db.default.mesh.local=0"]],
    ]);
  });

  test("are split by weight by the first tcp route whose port matches, but not where the port carries TLS", () => {
    const tcp = resource(
      "VirtualService",
      "v",
      "{hosts: [db], tcp: [{match: [{port: 1}], route: [{destination: {host: x}}]}, {route: [{destination: {host: db, subset: a}, weight: 25}, {destination: {host: db, subset: b}, weight: 75}, {destination: {host: db, subset: c}, weight: 0}]}]}",
    );
    expect(targets(tcp)).toEqual([
      [443, ["outbound|443||db.default.mesh.local=0"]],
      [5432, ["outbound|5432|a|db.default.mesh.local=25", "outbound|5432|b|db.default.mesh.local=75"]],
    ]);
  });
});
