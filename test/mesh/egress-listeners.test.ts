/** A Sidecar's egress listeners with places of their own. */
import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, routedTo, viewOf, workload } from "./harness.ts";

const web = workload("web-1", "web", "10.0.0.1");
const PORTS =
  "[{number: 80, name: http, protocol: HTTP}, {number: 8080, name: http-admin, protocol: HTTP}, {number: 5432, name: tcp, protocol: TCP}]";
const all = [web, httpService("orders", "", PORTS), httpService("next"), httpService("cart", "namespace: shop", PORTS)];
const viewWith = (egress: string, ...more: string[]) =>
  viewOf(meshOf(...all, ...more, resource("Sidecar", "x", `{egress: ${egress}}`)), "default/web-1");
const clusters = (egress: string, ...more: string[]) =>
  viewWith(egress, ...more).clusters.map(({ name }) => name.replace("outbound|", "").replace(".mesh.local", ""));

describe("An egress listener with a port", () => {
  test("leads to this port of its hosts alone, and the last one without a port to everything that it names", () => {
    const own = "{port: {number: 8080, protocol: HTTP}, hosts: [./*, shop/*]}";
    expect(clusters(`[${own}]`)).toEqual(["8080||cart.shop", "8080||orders.default"]);
    const view = viewWith(`[${own}, {hosts: [./next.default.mesh.local]}]`);
    expect(view.clusters.map(({ service, port }) => `${service.name} ${port.number}`)).toEqual(["cart 8080", "orders 8080", "next 80"]);
    expect(routedTo(view, "orders.default.mesh.local", "8080")).toEqual(["outbound|8080||orders.default.mesh.local"]);
    expect(routedTo(view, "orders.default.mesh.local:8080")).toBeUndefined();
    expect(routedTo(view, "next.default.mesh.local")).toEqual(["outbound|80||next.default.mesh.local"]);
    expect(view.routes.get("8080")?.ignorePort).toBe(true);
    expect(view.listeners).toMatchObject([{ bind: { address: "127.0.0.1", port: 8080 }, table: "8080" }]);
  });

  test("is not there where none of its hosts has the port", () => {
    expect(viewWith("[{port: {number: 9999, protocol: HTTP}, hosts: ['*/*']}]").listeners).toEqual([]);
  });

  test("takes the VirtualServices that its own hosts import, and leads where they route, at its port", () => {
    const route = (namespace: string, to: string) =>
      resource(
        "VirtualService",
        "orders",
        `{hosts: [orders.default.mesh.local], http: [{route: [{destination: {host: ${to}.mesh.local, port: {number: 8080}}}]}]}`,
        `namespace: ${namespace}`,
      );
    const listener = "{port: {number: 8080, protocol: HTTP}, hosts: [./orders.default.mesh.local]}";
    const view = viewWith(`[${listener}]`, route("default", "cart.shop"));
    expect(routedTo(view, "orders.default.mesh.local", "8080")).toEqual(["outbound|8080||cart.shop.mesh.local"]);
    expect(view.clusters.map(({ name }) => name)).toEqual([
      "outbound|8080||cart.shop.mesh.local",
      "outbound|8080||orders.default.mesh.local",
    ]);
    const foreign = viewWith(`[${listener}]`, route("shop", "cart.shop"));
    expect(routedTo(foreign, "orders.default.mesh.local", "8080")).toEqual(["outbound|8080||orders.default.mesh.local"]);
  });

  test("routes by its own protocol: connections where it says TCP, whatever the service says", () => {
    const [listener] = viewWith("[{port: {number: 8080, protocol: TCP}, bind: 127.0.0.5, hosts: [./*]}]").listeners;
    expect(listener).toMatchObject({
      bind: { address: "127.0.0.5", port: 8080 },
      tcp: [{ targets: [{ cluster: "outbound|8080||orders.default.mesh.local" }] }],
    });
    expect(listener?.table).toBeUndefined();
  });

  test("gives connections to the first of several services, and to others what their tcp routes claim", () => {
    const tcp = resource(
      "VirtualService",
      "cart",
      "{hosts: [cart.shop.mesh.local], tcp: [{match: [{destinationSubnets: [10.9.0.0/16]}], route: [{destination: {host: cart.shop.mesh.local}}]}]}",
      "namespace: shop",
    );
    const [listener] = viewWith("[{port: {number: 5432, protocol: TCP}, hosts: ['*/*']}]", tcp).listeners;
    expect(listener?.tcp?.map(({ match, targets }) => [match?.destinationSubnets ?? [], targets[0]?.cluster])).toEqual([
      [["10.9.0.0/16"], "outbound|5432||cart.shop.mesh.local"],
      [[], "outbound|5432||cart.shop.mesh.local"],
    ]);
  });
});

describe("An egress listener without a port of its own", () => {
  test.each([
    ["an HTTP proxy", "{port: {number: 8888, protocol: HTTP_PROXY}, hosts: ['*/*']}", "8888"],
    ["a Unix socket", "{port: {number: 0, protocol: HTTP}, bind: 'unix:///run/out.sock', hosts: ['*/*']}", "unix:///run/out.sock"],
  ])("%s leads to every port of its hosts, which the Host header names", (_, listener, table) => {
    const view = viewWith(`[${listener}]`);
    expect(routedTo(view, "orders.default.mesh.local", table)).toEqual(["outbound|80||orders.default.mesh.local"]);
    expect(routedTo(view, "orders.default.mesh.local:8080", table)).toEqual(["outbound|8080||orders.default.mesh.local"]);
    expect(view.routes.get(table)?.ignorePort).toBe(false);
  });

  test("leads from a Unix socket of TCP to a service's only port", () => {
    const unix = (hosts: string) =>
      viewWith(`[{port: {number: 0, protocol: TCP}, bind: 'unix:///run/db.sock', hosts: [${hosts}]}]`).listeners;
    expect(unix("./next.default.mesh.local")).toMatchObject([
      { tcp: [{ targets: [{ cluster: "outbound|80||next.default.mesh.local" }] }] },
    ]);
    expect(unix("./orders.default.mesh.local")).toEqual([]);
  });
});

describe("Of egress listeners that are not opened a warning says why", () => {
  const findings = (egress: string) => {
    const resources = resourcesOf(...all, httpService("web"), resource("Sidecar", "x", `{egress: ${egress}}`));
    return analyze(resources, buildMesh(resources, OPTIONS)).flatMap(({ code, message, resource: about }) => {
      return about?.kind === "Sidecar" ? [`${code} ${message}`] : [];
    });
  };
  test.each([
    ["[{port: {number: 9999, protocol: HTTP}, hosts: ['*/*']}]", "WF0503 spec.egress[0].hosts: no service that they name has port 9999"],
    ["[{port: {number: 80, protocol: HTTP}, bind: 10.0.0.1, hosts: ['*/*']}]", "10.0.0.1:80 is an inbound port of default/web-1"],
    ["[{port: {number: 15001, protocol: HTTP_PROXY}, hosts: ['*/*']}]", "127.0.0.1:15001 is the outbound listener of default/web-1"],
  ])("%s", (egress, message) => {
    const found = findings(egress);
    expect(found.length).toBe(1);
    expect(found[0]).toContain(message);
  });
  test("and nothing of those that are", () => {
    expect(findings("[{port: {number: 8080, protocol: HTTP}, hosts: ['*/*']}, {hosts: ['*/*']}]")).toEqual([]);
  });
});
