/** What a Sidecar makes of a workload's view of the mesh, and of the ports on which it takes calls. */
import { describe, expect, test } from "bun:test";
import { httpService, meshOf, resource, routedTo, viewOf, workload } from "./harness.ts";

const web = workload("web-1", "web", "10.0.0.1");
const batch = workload("batch-1", "batch", "10.0.0.2");
const shop = workload("shop-1", "shop", "10.0.0.3", "namespace: shop");
const services = [httpService("orders"), httpService("next"), httpService("cart", "namespace: shop")];
const all = [...services, web, batch, shop];
const sidecar = (name: string, spec: string, metadata = "") => resource("Sidecar", name, spec, metadata);
const egress = (...hosts: string[]) => `egress: [{hosts: ${JSON.stringify(hosts)}}]`;
const age = (second: number) => `creationTimestamp: "2024-01-01T00:00:0${second}Z"`;

function clustersOf(caller: string, ...yaml: string[]): string[] {
  return viewOf(meshOf(...all, ...yaml), caller).clusters.map(({ name }) => name.replace("outbound|80||", "").replace(".mesh.local", ""));
}

describe("The hosts of a Sidecar's egress", () => {
  const seen = (...hosts: string[]) => clustersOf("default/web-1", sidecar("x", `{${egress(...hosts)}}`));

  test("are services of a namespace, of its own with '.', of any with '*'", () => {
    expect(seen("shop/*")).toEqual(["cart.shop"]);
    expect(seen("./*")).toEqual(["next.default", "orders.default"]);
    expect(seen("*/*")).toEqual(["cart.shop", "next.default", "orders.default"]);
    expect(seen("*/*.default.mesh.local")).toEqual(["next.default", "orders.default"]);
    expect(seen("*/*.default.svc.cluster.local")).toEqual(["next.default", "orders.default"]);
    expect(seen("./orders.default.svc.cluster.local", "shop/cart.shop.svc.cluster.local")).toEqual(["cart.shop", "orders.default"]);
    expect(seen("shop/orders.default.mesh.local")).toEqual([]);
  });

  test("are taken away again by '~'", () => {
    expect(seen("*/*", "~shop/*")).toEqual(["next.default", "orders.default"]);
    expect(seen("*/*", "~./orders.default.mesh.local")).toEqual(["cart.shop", "next.default"]);
    expect(seen("~/*")).toEqual([]);
  });

  test("cannot show what is not exported to the namespace", () => {
    const hidden = httpService("hidden", "namespace: shop").replace("spec: {", 'spec: {exportTo: ["."], ');
    expect(clustersOf("default/web-1", hidden, sidecar("x", `{${egress("shop/*")}}`))).toEqual(["cart.shop"]);
  });

  test("choose VirtualServices too, whose destinations are reached without being named", () => {
    const route = "http: [{route: [{destination: {host: cart.shop.mesh.local, port: {number: 80}}}]}]";
    const routes = resource("VirtualService", "orders", `{hosts: [orders], ${route}}`);
    const view = viewOf(meshOf(...all, routes, sidecar("x", `{${egress("./orders.default.mesh.local")}}`)), "default/web-1");
    expect(routedTo(view, "orders.default.mesh.local")).toEqual(["outbound|80||cart.shop.mesh.local"]);
    expect(view.clusters.map(({ name }) => name)).toEqual(["outbound|80||cart.shop.mesh.local", "outbound|80||orders.default.mesh.local"]);
    expect(routedTo(view, "cart.shop.mesh.local")).toBeUndefined();
    expect(view.ports.map(({ service }) => service.host)).toEqual(["orders.default.mesh.local"]);
  });

  test("leave out VirtualServices of namespaces that are not imported", () => {
    const routes = resource(
      "VirtualService",
      "orders",
      "{hosts: [orders.default.mesh.local], http: [{route: [{destination: {host: cart}}]}]}",
      "namespace: shop",
    );
    const routed = (...hosts: string[]) =>
      routedTo(viewOf(meshOf(...all, routes, sidecar("x", `{${egress(...hosts)}}`)), "default/web-1"), "orders.default.mesh.local");
    expect(routed("./*")).toEqual(["outbound|80||orders.default.mesh.local"]);
    expect(routed("*/*")).toEqual(["outbound|80||cart.shop.mesh.local"]);
  });

  test("give a VirtualService's destination only the ports that its routes name", () => {
    const two = httpService("two", "namespace: shop", "[{number: 80, name: http, protocol: HTTP}, {number: 81, name: b, protocol: HTTP}]");
    const routes = (port: string) =>
      resource("VirtualService", "orders", `{hosts: [orders], http: [{route: [{destination: {host: two.shop.mesh.local${port}}}]}]}`);
    const seenWith = (port: string) =>
      clustersOf("default/web-1", two, routes(port), sidecar("x", `{${egress("./orders.default.mesh.local")}}`));
    expect(seenWith(", port: {number: 80}")).toEqual(["orders.default", "two.shop"]);
    expect(seenWith("")).toEqual(["orders.default", "two.shop", "outbound|81||two.shop"]);
  });
});

describe("Which Sidecar holds", () => {
  const only = (host: string) => egress(`*/${host}.mesh.local`);
  const root = "namespace: weft-system";
  const selecting = "workloadSelector: {labels: {app: web}}";

  test("is the one whose workloadSelector fits, else the namespace's without one, else the root namespace's", () => {
    const yaml = [
      sidecar("root", `{${only("cart.shop")}}`, root),
      sidecar("own", `{${only("next.default")}}`),
      sidecar("web", `{${selecting}, ${only("orders.default")}}`, age(9)),
    ];
    expect(clustersOf("default/web-1", ...yaml)).toEqual(["orders.default"]);
    expect(clustersOf("default/batch-1", ...yaml)).toEqual(["next.default"]);
    expect(clustersOf("shop/shop-1", ...yaml)).toEqual(["cart.shop"]);
  });

  test("is the oldest of several", () => {
    const yaml = [sidecar("a", `{${only("next.default")}}`, age(2)), sidecar("b", `{${only("orders.default")}}`, age(1))];
    expect(clustersOf("default/web-1", ...yaml)).toEqual(["orders.default"]);
  });

  test("is none of the root namespace that has a workloadSelector", () => {
    expect(clustersOf("default/web-1", sidecar("root", `{${selecting}, ${egress("~/*")}}`, root))).toHaveLength(3);
  });

  test("takes '.' of the root namespace's as the namespace of the workload", () => {
    expect(clustersOf("shop/shop-1", sidecar("root", `{${egress("./*")}}`, root))).toEqual(["cart.shop"]);
  });

  test("is none for a gateway", () => {
    const gateway = workload("edge", "web", "10.0.0.8").replace("annotations: {", "annotations: {weft.dev/type: gateway, ");
    expect(clustersOf("default/edge", gateway, sidecar("x", `{${egress("~/*")}}`))).toHaveLength(3);
  });

  test("splits the view of its workloads from the others', and no further", () => {
    const mesh = meshOf(...all, workload("web-2", "web", "10.0.0.9"), sidecar("web", `{${selecting}, ${only("orders.default")}}`));
    expect(mesh.outbound.get("default/web-1")).toBe(mesh.outbound.get("default/web-2"));
    expect(mesh.outbound.get("default/web-1")).not.toBe(mesh.outbound.get("default/batch-1"));
    const inboundOnly = meshOf(...all, sidecar("web", `{${selecting}, inboundConnectionPool: {tcp: {maxConnections: 3}}}`));
    expect(inboundOnly.outbound.get("default/web-1")).toBe(inboundOnly.outbound.get("default/batch-1"));
  });
});

describe("A Sidecar's ingress", () => {
  const instance = workload("orders-1", "orders", "10.0.0.5");
  const ingress = (...listeners: string[]) => sidecar("x", `{workloadSelector: {labels: {app: orders}}, ingress: [${listeners.join()}]}`);
  const portsOf = (key: string, ...yaml: string[]) =>
    meshOf(...all, instance, ...yaml)
      .workloads.get(key)
      ?.inbound.map(({ number, protocol, app }) => [number, protocol, app.address, app.port]);

  test("stands in place of the services' ports", () => {
    expect(portsOf("default/orders-1")).toEqual([[80, "HTTP", "127.0.0.1", 9001]]);
    const listeners = ["{port: {number: 80, protocol: GRPC}}", '{port: {number: 81, protocol: TCP}, defaultEndpoint: "127.0.0.1:7"}'];
    expect(portsOf("default/orders-1", ingress(...listeners))).toEqual([
      [80, "GRPC", "127.0.0.1", 9001],
      [81, "TCP", "127.0.0.1", 7],
    ]);
  });

  test("says where the application listens: on loopback, at the workload's address, or on a Unix socket", () => {
    const place = (written: string) =>
      portsOf("default/orders-1", ingress(`{port: {number: 80, protocol: HTTP}, defaultEndpoint: "${written}"}`));
    expect(place("[::1]:7")).toEqual([[80, "HTTP", "::1", 7]]);
    expect(place("0.0.0.0:7")).toEqual([[80, "HTTP", "10.0.0.5", 7]]);
    expect(place("unix:///run/x")).toEqual([[80, "HTTP", "/run/x", 0]]);
  });

  test("opens nothing for a workload that is an instance of no service", () => {
    expect(portsOf("default/batch-1", sidecar("x", "{ingress: [{port: {number: 80, protocol: HTTP}}]}"))).toEqual([]);
  });

  test("has its pool before the Sidecar's, and that before a DestinationRule's, whole", () => {
    const rule = resource(
      "DestinationRule",
      "orders",
      "{host: orders, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {maxRetries: 1}}}}",
    );
    const pool = (spec: string) =>
      meshOf(...all, instance, rule, sidecar("x", `{${spec}}`))
        .inbound.get("default/orders-1")
        ?.get(80)?.connectionPool;
    const listener = (more: string) => `ingress: [{port: {number: 80, protocol: HTTP}${more}}]`;
    expect(pool(listener(""))).toEqual({ tcp: { maxConnections: 1 }, http: { maxRetries: 1 } });
    expect(pool("inboundConnectionPool: {tcp: {maxConnections: 2}}")).toEqual({ tcp: { maxConnections: 2 } });
    const both = `${listener(", connectionPool: {tcp: {maxConnections: 3}}")}, inboundConnectionPool: {tcp: {maxConnections: 2}}`;
    expect(pool(both)).toEqual({ tcp: { maxConnections: 3 } });
  });
});
