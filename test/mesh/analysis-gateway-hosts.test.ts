import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { httpService, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const ORDERS = [httpService("orders"), workload("orders-1", "orders", "10.0.0.2")];
const PROXY = resource(
  "WorkloadEntry",
  "gate-1",
  "{address: 10.0.0.50, labels: {app: gate}, serviceAccount: gate}",
  "namespace: edge, annotations: {weft.dev/type: gateway}",
);

function findings(gatewayHosts: string, route: string): string[] {
  const servers = `[{port: {number: 80, name: http, protocol: HTTP}, hosts: ${gatewayHosts}}]`;
  const gateway = resource("Gateway", "front", `{selector: {app: gate}, servers: ${servers}}`, "namespace: edge");
  const spec = `{${route}, http: [{route: [{destination: {host: orders}}]}]}`;
  const resources = resourcesOf(...ORDERS, PROXY, gateway, resource("VirtualService", "shop", spec));
  return analyze(resources, buildMesh(resources, OPTIONS)).map(({ code, message }) => `${code} ${message.split(":")[0]}`);
}

describe("A VirtualService that is bound to a Gateway", () => {
  const bound = (hosts: string, gateways = "edge/front") => `hosts: ${hosts}, gateways: [${gateways}]`;

  test("is told of each host that no server takes", () => {
    expect(findings("[a.example.com]", bound("[a.example.com, b.example.com]"))).toEqual(["WF0402 spec.hosts[1]"]);
    expect(findings("['other/*']", bound("[a.example.com]"))).toEqual(["WF0402 spec.hosts[0]"]);
    expect(findings("['./*']", bound("[a.example.com]"))).toEqual(["WF0402 spec.hosts[0]"]);
  });

  test("shares hosts with a wildcard on either side", () => {
    expect(findings("['*.example.com']", bound("[a.example.com]"))).toEqual([]);
    expect(findings("[a.example.com]", bound("['*.example.com']"))).toEqual([]);
    expect(findings("['default/*']", bound("[a.example.com]"))).toEqual([]);
  });

  test("may have hosts of the mesh too, when it is for sidecars as well", () => {
    expect(findings("[a.example.com]", bound("[a.example.com, orders]", "edge/front, mesh"))).toEqual([]);
  });

  test("is told where the Gateway's proxies do not see it", () => {
    expect(findings("['*']", `${bound("[a.example.com]")}, exportTo: ['.']`)).toEqual(["WF0402 spec.exportTo"]);
    expect(findings("['*']", `${bound("[a.example.com]")}, exportTo: [edge]`)).toEqual([]);
  });
});
