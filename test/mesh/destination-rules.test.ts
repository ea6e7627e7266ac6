import { describe, expect, test } from "bun:test";
import { clusterOf, httpService, meshOf, resource, viewOf, workload } from "./harness.ts";

const ORDERS = "outbound|80||orders.shop.mesh.local";
const shop = httpService("orders", "namespace: shop");
const callers = ["shop", "other", "weft-system"].map((namespace) => workload("caller", "caller", "10.0.0.1", `namespace: ${namespace}`));

function rule(name: string, namespace: string, host: string, simple: string, created = "2024-01-01T00:00:00Z"): string {
  return resource(
    "DestinationRule",
    name,
    `{host: "${host}", trafficPolicy: {loadBalancer: {simple: ${simple}}}}`,
    `namespace: ${namespace}, creationTimestamp: "${created}"`,
  );
}

function policyFor(namespace: string, ...rules: string[]): string | undefined {
  return clusterOf(viewOf(meshOf(shop, ...callers, ...rules), namespace), ORDERS).policy.loadBalancer?.simple;
}

describe("The DestinationRule that a caller meets", () => {
  test("is its own namespace's, then the service's, then the root namespace's", () => {
    const root = rule("r", "weft-system", "orders.shop.mesh.local", "RANDOM");
    const service = rule("s", "shop", "orders", "ROUND_ROBIN");
    const own = rule("o", "other", "orders.shop.svc.cluster.local", "LEAST_REQUEST");
    expect(policyFor("other", root)).toBe("RANDOM");
    expect(policyFor("other", root, service)).toBe("ROUND_ROBIN");
    expect(policyFor("other", root, service, own)).toBe("LEAST_REQUEST");
    expect(policyFor("shop", root, service, own)).toBe("ROUND_ROBIN");
  });

  test("is the service's for callers in the root namespace, whose rules are meant for all", () => {
    expect(policyFor("weft-system", rule("r", "weft-system", "*.mesh.local", "RANDOM"), rule("s", "shop", "orders", "ROUND_ROBIN"))).toBe(
      "ROUND_ROBIN",
    );
  });

  test("is the one with the most specific host, even an older wildcard notwithstanding", () => {
    const wide = rule("a", "shop", "*.mesh.local", "RANDOM", "2023-01-01T00:00:00Z");
    const narrow = rule("b", "shop", "*.shop.mesh.local", "ROUND_ROBIN");
    expect(policyFor("shop", wide, narrow)).toBe("ROUND_ROBIN");
    expect(policyFor("shop", wide, narrow, rule("c", "shop", "orders", "LEAST_REQUEST"))).toBe("LEAST_REQUEST");
  });

  test("of its own namespace hides the others' even where it covers the host by a wildcard only", () => {
    expect(policyFor("other", rule("w", "other", "*.mesh.local", "RANDOM"), rule("s", "shop", "orders", "ROUND_ROBIN"))).toBe("RANDOM");
  });

  test("is the oldest of several for one host, with the subsets of all", () => {
    const mesh = meshOf(
      shop,
      ...callers,
      resource(
        "DestinationRule",
        "b",
        "{host: orders, subsets: [{name: one, labels: {v: first}}]}",
        'namespace: shop, creationTimestamp: "2024-01-01T00:00:00Z"',
      ),
      resource(
        "DestinationRule",
        "a",
        "{host: orders, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: one, labels: {v: second}}, {name: two}]}",
        'namespace: shop, creationTimestamp: "2024-02-01T00:00:00Z"',
      ),
    );
    const view = viewOf(mesh, "shop");
    expect(view.clusters.map(({ name }) => name)).toEqual([
      "outbound|80|one|orders.shop.mesh.local",
      "outbound|80|two|orders.shop.mesh.local",
      ORDERS,
    ]);
    // The first has no policy of its own: the first that has one gives it.
    expect(clusterOf(view, ORDERS).policy.loadBalancer?.simple).toBe("RANDOM");
    expect(clusterOf(view, "outbound|80|one|orders.shop.mesh.local").sources[0]?.name).toBe("b");
  });
});

describe("A subset's traffic policy", () => {
  const spec = `{host: orders,
    trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 1}, http: {maxRetries: 5}},
      portLevelSettings: [{port: {number: 81}, outlierDetection: {consecutive5xxErrors: 3}}]},
    subsets: [{name: bare}, {name: own, trafficPolicy: {connectionPool: {http: {maxRetries: 9}}}},
      {name: ported, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]}}]}`;
  const ports = "[{number: 80, name: http, protocol: HTTP}, {number: 81, name: other, protocol: HTTP}]";
  const view = viewOf(
    meshOf(httpService("orders", "", ports), workload("a", "orders", "10.0.0.1"), resource("DestinationRule", "r", spec)),
  );
  const policy = (port: number, subset = "") => clusterOf(view, `outbound|${port}|${subset}|orders.default.mesh.local`).policy;

  test("is the host's where the subset says nothing", () => {
    expect(policy(80, "bare")).toEqual(policy(80));
  });

  test("replaces the host's part by part, each part whole", () => {
    expect(policy(80, "own")).toEqual({ ...policy(80), connectionPool: { http: { maxRetries: 9 } } });
  });

  test("of a port replaces everything, for ports do not inherit", () => {
    expect(policy(80, "ported")).toEqual({
      loadBalancer: { simple: "ROUND_ROBIN" },
      connectionPool: undefined,
      outlierDetection: undefined,
      tls: undefined,
    });
    expect(policy(81)).toEqual({
      outlierDetection: { consecutive5xxErrors: 3 },
      loadBalancer: undefined,
      connectionPool: undefined,
      tls: undefined,
    });
  });

  test("without a port's own adds to the host's settings for that port", () => {
    expect(policy(81, "ported")).toEqual({ ...policy(81), tls: { mode: "DISABLE" } });
  });
});
