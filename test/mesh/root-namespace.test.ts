import { describe, expect, test } from "bun:test";
import { httpService, meshOf, resource, routedTo, viewOf, workload } from "./harness.ts";

describe("Istio's root namespace, istio-system, is weft's", () => {
  const allowed = (source: string) => {
    const mesh = meshOf(
      workload("orders-1", "orders", "10.0.0.1"),
      resource("AuthorizationPolicy", "p", `{rules: [{from: [{source: ${source}}]}]}`),
    );
    return JSON.stringify(mesh.authorization.get("default/orders-1")?.allow);
  };
  const sources = (namespace: string) => [
    `{namespaces: [${namespace}]}`,
    `{notNamespaces: [${namespace}]}`,
    `{serviceAccounts: [${namespace}/gateway]}`,
    `{principals: [cluster.local/ns/${namespace}/sa/gateway]}`,
    `{principals: ["*/ns/${namespace}/sa/gateway"]}`,
  ];
  for (const [index, source] of sources("istio-system").entries()) {
    test(`${source} in a policy means workloads of weft-system`, () => {
      expect(allowed(source)).toBe(allowed(sources("weft-system")[index] ?? ""));
      expect(allowed(source)).toContain("weft-system");
      expect(allowed(source)).not.toContain("istio-system");
    });
  }

  test("and so does a service's host that names it", () => {
    const route = "{hosts: [shop.example.com], http: [{route: [{destination: {host: gate.istio-system.svc.cluster.local}}]}]}";
    const gate = httpService("gate", "namespace: istio-system");
    const mesh = meshOf(gate, workload("web-1", "web", "10.0.0.1"), resource("VirtualService", "shop", route));
    expect(routedTo(viewOf(mesh), "shop.example.com")).toEqual(["outbound|80||gate.weft-system.mesh.local"]);
  });
});
