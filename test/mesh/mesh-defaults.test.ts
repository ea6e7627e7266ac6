import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../src/lib/problem.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import { clusterOf, httpService, meshOf, resource, routedTo, viewOf, workload } from "./harness.ts";

const mesh = (spec: string) => resource("MeshConfig", "mesh", spec, "namespace: weft-system");
const web = workload("web-1", "web", "10.0.0.1");
const shop = workload("shop-1", "shop", "10.0.0.2", "namespace: shop");
const all = [web, shop, httpService("orders")];
const ORDERS = "outbound|80||orders.default.mesh.local";

describe("MeshConfig's default exportTo", () => {
  const seen = (...yaml: string[]) => viewOf(meshOf(...all, ...yaml), "shop").clusters.map(({ name }) => name);

  test("hides services that say nothing from other namespaces, and leaves those that do", () => {
    expect(seen()).toEqual([ORDERS]);
    expect(seen(mesh("{defaultServiceExportTo: ['.']}"))).toEqual([]);
    expect(viewOf(meshOf(...all, mesh("{defaultServiceExportTo: ['.']}")), "default").clusters.length).toBe(1);
    const open = httpService("open").replace("spec: {", "spec: {exportTo: ['*'], ");
    expect(seen(mesh("{defaultServiceExportTo: ['.']}"), open)).toEqual(["outbound|80||open.default.mesh.local"]);
    expect(seen(mesh("{defaultServiceExportTo: [shop]}"))).toEqual([ORDERS]);
  });

  test("holds for VirtualServices and DestinationRules by themselves", () => {
    const routes = resource("VirtualService", "r", "{hosts: [orders.default.mesh.local], http: [{redirect: {uri: /x}}]}");
    const rule = resource("DestinationRule", "d", "{host: orders, trafficPolicy: {loadBalancer: {simple: RANDOM}}}");
    const found = (defaults: string) => {
      const view = viewOf(meshOf(...all, routes, rule, mesh(defaults)), "shop");
      return [routedTo(view, "orders.default.mesh.local"), clusterOf(view, ORDERS).policy.loadBalancer?.simple];
    };
    expect(found("{}")).toEqual([[], "RANDOM"]);
    expect(found("{defaultVirtualServiceExportTo: ['.']}")).toEqual([[ORDERS], "RANDOM"]);
    expect(found("{defaultDestinationRuleExportTo: ['.']}")).toEqual([[], undefined]);
  });
});

describe("MeshConfig's traffic policy", () => {
  const policy = (defaults: string, ...yaml: string[]) => clusterOf(viewOf(meshOf(...all, mesh(defaults), ...yaml)), ORDERS).policy;
  const DEFAULTS =
    "{defaultTrafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}, outlierDetection: {consecutive5xxErrors: 3}}, localityLbSetting: {failoverPriority: [app]}}";

  test("holds block by block where no DestinationRule says the block", () => {
    const own = { connectionPool: { tcp: { maxConnections: 7 } }, outlierDetection: { consecutive5xxErrors: 3 } };
    expect(policy(DEFAULTS)).toMatchObject({ ...own, loadBalancer: { localityLbSetting: { failoverPriority: ["app"] } } });
    const rule = resource(
      "DestinationRule",
      "d",
      "{host: orders, trafficPolicy: {connectionPool: {http: {maxRetries: 1}}, loadBalancer: {simple: RANDOM}}}",
    );
    expect(policy(DEFAULTS, rule)).toMatchObject({
      connectionPool: { http: { maxRetries: 1 } },
      outlierDetection: own.outlierDetection,
      loadBalancer: { simple: "RANDOM", localityLbSetting: { failoverPriority: ["app"] } },
    });
    expect(policy(DEFAULTS, rule).connectionPool?.tcp).toBeUndefined();
    const near = resource("DestinationRule", "d", "{host: orders, trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: false}}}}");
    expect(policy(DEFAULTS, near).loadBalancer?.localityLbSetting).toEqual({ enabled: false });
  });
});

describe("A MeshConfig", () => {
  const refused = (spec: string) =>
    parseDocuments(mesh(spec), "x")
      .problems.filter(({ severity }) => severity === "error")
      .map(formatProblem);
  test.each([
    ["{outboundTrafficPolicy: {mode: ALLOW_ANY, tls: {}}}", "unknown hosts are called in plaintext"],
    ["{accessLogEncoding: JSON, accessLogFormat: '%PROTOCOL%'}", "is no JSON object"],
    ["{defaultServiceExportTo: ['.', '*']}", "leaves nothing for other entries"],
    ["{meshMTLS: {ecdhCurves: [P-256]}}", "belongs into tlsDefaults"],
    ["{tcpKeepalive: {time: 0s}}", "at least"],
    ["{localityLbSetting: {failover: [{from: a, to: a}]}}", "different regions"],
  ])("%s is refused", (spec, words) => {
    const found = refused(spec);
    expect(found.length).toBe(1);
    expect(found[0]).toContain(words);
  });
  test("tells of cipher suites and curves that Envoy does not know, and leaves them out", () => {
    const { problems } = parseDocuments(mesh("{tlsDefaults: {cipherSuites: [X], ecdhCurves: [Y]}}"), "x");
    expect(problems.map(({ severity }) => severity)).toEqual(["warning", "warning"]);
    const tls = meshOf(...all, mesh("{tlsDefaults: {cipherSuites: [X, AES128-SHA], ecdhCurves: [Y]}}")).settings.defaults?.tls;
    expect(tls).toEqual({ min13: false, cipherSuites: ["AES128-SHA"], ecdhCurves: [] });
  });
});
