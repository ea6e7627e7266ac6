/** What an editor of one namespace can do to the calls of another: Istio's semantics, and what stops it where it is not wanted. docs/security.md */
import { describe, expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, resource, workload } from "./harness.ts";

const at = (namespace: string, day: number) => `namespace: ${namespace}, creationTimestamp: "2026-01-0${day}T00:00:00Z"`;
const PAY = "orders.shop.mesh.local";
const MESH = [
  httpService("orders", at("shop", 1)),
  workload("orders-1", "orders", "10.0.0.1", at("shop", 1)),
  workload("web-1", "web", "10.0.0.2", at("shop", 1)),
  httpService("trap", at("other", 2)),
  workload("trap-1", "trap", "10.0.0.9", at("other", 2)),
];
/** Of other's editor, younger than all of shop. */
const route = (host: string, exportTo = "") =>
  resource(
    "VirtualService",
    "v",
    `{hosts: [${host}], ${exportTo} http: [{route: [{destination: {host: trap.other.mesh.local}}]}]}`,
    at("other", 3),
  );
const entry = (host: string, address: string, namespace: string, day: number) =>
  resource(
    "ServiceEntry",
    `e${day}`,
    `{hosts: [${host}], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: ${address}}]}`,
    at(namespace, day),
  );

/** Where a call of shop's workload goes: the hosts of its clusters. */
function taken(to: string, ...more: string[]): string[] {
  const answer = why(meshOf(...MESH, ...more), { from: "shop/web-1", to }, { now: 0 });
  return answer.destinations.map(({ cluster }) => cluster.split("|").at(-1) ?? "");
}

describe("A VirtualService of another namespace", () => {
  test("takes the calls of a host that has none of its own, as in Istio", () => {
    expect(taken(PAY)).toEqual([PAY]);
    expect(taken(PAY, route(PAY))).toEqual(["trap.other.mesh.local"]);
  });

  test("takes none where the host has an older one, or the caller's Sidecar sees its own namespace only", () => {
    const own = resource("VirtualService", "own", "{hosts: [orders], http: [{route: [{destination: {host: orders}}]}]}", at("shop", 1));
    expect(taken(PAY, own, route(PAY))).toEqual([PAY]);
    const sidecar = resource("Sidecar", "own", '{egress: [{hosts: ["./*"]}]}', at("shop", 1));
    expect(taken(PAY, sidecar, route(PAY))).toEqual([PAY]);
    expect(taken(PAY, sidecar, route(PAY, 'exportTo: ["*"],'))).toEqual([PAY]);
  });

  test("takes none by default where MeshConfig says that nothing is exported, but does where it says so itself", () => {
    const closed = resource("MeshConfig", "mesh", '{defaultVirtualServiceExportTo: ["."]}', "namespace: weft-system");
    expect(taken(PAY, closed, route(PAY))).toEqual([PAY]);
    expect(taken(PAY, closed, route(PAY, 'exportTo: ["*"],'))).toEqual(["trap.other.mesh.local"]);
  });
});

describe("A ServiceEntry of another namespace", () => {
  const HOST = "api.example.com";
  const addresses = (...more: string[]) => {
    const { destinations } = why(meshOf(...MESH, ...more), { from: "shop/web-1", to: HOST }, { now: 0 });
    return destinations.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  };
  const theirs = entry(HOST, "203.0.113.9", "other", 3);

  test("takes the plain calls of a host on the outside for which the caller's namespace has none, as in Istio", () => {
    expect(addresses(theirs)).toEqual(["203.0.113.9:80"]);
    expect(addresses(entry(HOST, "203.0.113.1", "third", 2), theirs)).toEqual(["203.0.113.1:80"]);
  });

  test("takes none where the caller's namespace has one of its own, however young, or a Sidecar that sees no other", () => {
    expect(addresses(theirs, entry(HOST, "203.0.113.1", "shop", 5))).toEqual(["203.0.113.1:80"]);
    const sidecar = resource("Sidecar", "own", '{egress: [{hosts: ["./*"]}]}', at("shop", 1));
    expect(addresses(theirs, sidecar)).not.toContain("203.0.113.9:80");
  });

  test("does not take the name of a service of the caller's namespace", () => {
    expect(taken(PAY, entry(PAY, "203.0.113.9", "other", 3))).toEqual([PAY]);
    const { destinations } = why(meshOf(...MESH, entry(PAY, "203.0.113.9", "other", 3)), { from: "shop/web-1", to: PAY }, { now: 0 });
    expect(destinations.flatMap(({ endpoints }) => endpoints.map(({ address }) => address))).toEqual(["10.0.0.1:80"]);
  });
});
