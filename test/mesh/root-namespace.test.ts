import { describe, expect, test } from "bun:test";
import type { Mesh } from "../../src/mesh/types.ts";
import { why } from "../../src/why/index.ts";
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

  describe("where a spec names a namespace", () => {
    const WEB = workload("web-1", "web", "10.0.0.1");
    const OPS = workload("ops-1", "ops", "10.0.0.9", "namespace: istio-system");
    const ORDERS = [httpService("orders"), workload("orders-1", "orders", "10.0.0.2")];
    const answered = (mesh: Mesh, from: string, to = "orders.default.mesh.local") => why(mesh, { from, to }, { now: 0 }).status;

    test("weft why takes it for the caller's namespace", () => {
      expect(answered(meshOf(OPS, ...ORDERS), "istio-system/ops-1")).toBe(200);
    });

    test("exportTo makes a service visible there", () => {
      const hidden = resource(
        "ServiceEntry",
        "pay",
        "{hosts: [pay.example.com], exportTo: [istio-system], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.1}]}",
      );
      const mesh = meshOf(WEB, OPS, hidden);
      expect([answered(mesh, "weft-system/ops-1", "pay.example.com"), answered(mesh, "default/web-1", "pay.example.com")]).toEqual([
        200, 404,
      ]);
    });

    for (const [what, spec] of Object.entries({
      "exportTo gives a route to callers there": "{hosts: [orders], exportTo: [istio-system], http: [{directResponse: {status: 201}}]}",
      "sourceNamespace keeps a route for callers there":
        "{hosts: [orders], http: [{match: [{sourceNamespace: istio-system}], directResponse: {status: 201}}, {route: [{destination: {host: orders}}]}]}",
    })) {
      test(what, () => {
        const mesh = meshOf(WEB, OPS, ...ORDERS, resource("VirtualService", "v", spec));
        expect([answered(mesh, "weft-system/ops-1"), answered(mesh, "default/web-1")]).toEqual([201, 200]);
      });
    }

    test("a delegate is found there", () => {
      const root = resource("VirtualService", "v", "{hosts: [orders], http: [{delegate: {name: d, namespace: istio-system}}]}");
      const delegate = resource("VirtualService", "d", "{http: [{directResponse: {status: 201}}]}", "namespace: istio-system");
      expect(answered(meshOf(WEB, ...ORDERS, root, delegate), "default/web-1")).toBe(201);
    });

    const GATE = resource(
      "WorkloadEntry",
      "gate-1",
      "{address: 10.0.0.50, labels: {app: gate}, serviceAccount: gate}",
      "annotations: {weft.dev/type: gateway}",
    );
    const gateway = (hosts: string) =>
      resource(
        "Gateway",
        "front",
        `{selector: {app: gate}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["${hosts}"]}]}`,
        "namespace: istio-system",
      );
    for (const name of ["istio-system/front", "front.istio-system.svc.cluster.local"]) {
      test(`a VirtualService is bound to the gateway ${name}, and a match to it`, () => {
        const route = `{hosts: [shop.example.com], gateways: [${name}], http: [{match: [{gateways: [${name}]}], directResponse: {status: 201}}]}`;
        const mesh = meshOf(GATE, gateway("*"), resource("VirtualService", "v", route));
        expect(answered(mesh, "default/gate-1", "shop.example.com")).toBe(201);
      });
    }

    test("a Gateway's server takes VirtualServices of there only", () => {
      const bound = (namespace: string) =>
        resource(
          "VirtualService",
          "v",
          "{hosts: [shop.example.com], gateways: [weft-system/front], http: [{directResponse: {status: 201}}]}",
          `namespace: ${namespace}`,
        );
      const status = (namespace: string) =>
        answered(meshOf(GATE, gateway("istio-system/*"), bound(namespace)), "default/gate-1", "shop.example.com");
      expect([status("istio-system"), status("other")]).toEqual([201, 404]);
    });

    test("a Sidecar imports services of there, and callers may call them by Istio's names", () => {
      const gate = httpService("gate", "namespace: istio-system");
      const sidecar = resource("Sidecar", "s", '{egress: [{hosts: ["istio-system/*"]}]}');
      const mesh = meshOf(WEB, ...ORDERS, gate, workload("gate-1", "gate", "10.0.0.3", "namespace: istio-system"), sidecar);
      for (const name of ["gate.istio-system", "gate.istio-system.svc.cluster.local", "gate.weft-system"]) {
        expect([name, answered(mesh, "default/web-1", name)]).toEqual([name, 200]);
      }
      expect(answered(mesh, "default/web-1")).toBe(404);
    });
  });
});
