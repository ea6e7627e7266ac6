import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { VirtualHostSchema } from "../../src/gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { type EncodedResource, TYPE } from "../../src/lib/encoded.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { ALL_ABILITIES, abilitiesOf } from "../../src/xds/envoy-version.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, OPTIONS, resource, resourcesOf, workload } from "../mesh/harness.ts";

const CALLER = "default/web-1";
const DISCOVERS = abilitiesOf("1.40.0", "delta");
const BASE = [httpService("orders"), httpService("users"), workload("web-1", "web", "10.0.0.2")];
const virtualService = (timeout: string) =>
  resource("VirtualService", "orders", `{hosts: [orders], http: [{timeout: ${timeout}, route: [{destination: {host: orders}}]}]}`);

function of(mesh: Mesh, abilities = DISCOVERS) {
  const found = buildSnapshot(mesh, CALLER, [], abilities)?.resources;
  const route = found?.get(TYPE.route)?.get("http_proxy");
  if (!found || !route) throw new Error("no routes");
  return { route, routes: found.get(TYPE.route), hosts: found.get(TYPE.virtualHost) ?? new Map<string, EncodedResource>() };
}

const meshOf = (...documents: string[]) => buildMesh(resourcesOf(...documents), OPTIONS);
const bytes = ({ any }: EncodedResource) => fromBinary(AnySchema, any).value;
const hostOf = (encoded: EncodedResource) => fromBinary(VirtualHostSchema, bytes(encoded));
const tableOf = (encoded: EncodedResource) => fromBinary(RouteConfigurationSchema, bytes(encoded));

const patch = (applyTo: string, operation: string, value: object, match: object = {}) =>
  JSON.stringify({
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "patch", namespace: "default" },
    spec: { configPatches: [{ applyTo, match: { context: "SIDECAR_OUTBOUND", ...match }, patch: { operation, value } }] },
  });

describe("An Envoy that discovers virtual hosts", () => {
  test("is 1.37 and later, over delta; any other gets the route table whole", () => {
    const able = (version: string, protocol?: "delta" | "sotw") => abilitiesOf(version, protocol).virtualHosts;
    expect(["1.37.0", "1.40.0", "2.0.0"].map((version) => able(version, "delta"))).toEqual([true, true, true]);
    expect([able("1.36.4", "delta"), able("", "delta"), able("1.40.0", "sotw"), able("1.40.0")]).toEqual([false, false, false, false]);
    const { route, hosts } = of(meshOf(...BASE), ALL_ABILITIES);
    expect(hosts.size).toBe(0);
    expect(tableOf(route).virtualHosts).toHaveLength(2);
  });

  test("gets each virtual host of the table as a resource, and is told to ask for them over the same stream", () => {
    const mesh = meshOf(...BASE, virtualService("3s"));
    const { route, hosts } = of(mesh);
    expect(tableOf(route)).toMatchObject({
      name: "http_proxy",
      virtualHosts: [],
      vhds: { configSource: { configSourceSpecifier: { case: "ads" } } },
    });
    expect([...hosts.keys()]).toEqual(["http_proxy/orders.default.mesh.local:80", "http_proxy/users.default.mesh.local:80"]);
    // Envoy takes one away by its own name.
    for (const [name, host] of hosts) expect(hostOf(host).name).toBe(name);
    const whole = tableOf(of(mesh, ALL_ABILITIES).route).virtualHosts.map((host) => ({ ...host, name: `http_proxy/${host.name}` }));
    expect([...hosts.values()].map(hostOf)).toEqual(whole);
  });

  test("sees of one VirtualService that changes one virtual host that changed, with its lines", () => {
    const documents = resourcesOf(...BASE, virtualService("3s"));
    const mesh = buildMesh(documents, OPTIONS);
    const before = of(mesh);
    const changed = [...documents.slice(0, -1), ...resourcesOf(virtualService("4s"))];
    const after = of(buildMesh(changed, { ...OPTIONS, revision: 2 }, mesh));
    expect(after.routes).toBe(before.routes);
    const different = [...after.hosts.values()].filter((host) => host !== before.hosts.get(host.name));
    expect(different.map(({ name, sources }) => [name, sources.map(({ kind }) => kind)])).toEqual([
      ["http_proxy/orders.default.mesh.local:80", ["VirtualService", "ServiceEntry"]],
    ]);
  });

  test("gets one that knows no path where there is none, since its listener would wait for the first for ever", () => {
    const { hosts } = of(meshOf(workload("web-1", "web", "10.0.0.2")));
    expect([...hosts.values()].map(hostOf)).toMatchObject([{ name: "http_proxy/none", domains: ["*"], routes: [] }]);
  });
});

describe("An EnvoyFilter on virtual hosts that are discovered", () => {
  const header = { response_headers_to_add: [{ header: { key: "x", value: "y" } }] };
  const plain = meshOf(...BASE);

  test("changes the one that it matches, and is among the sources of no other", () => {
    const vhost = { routeConfiguration: { vhost: { name: "orders.default.mesh.local:80" } } };
    const { route, hosts } = of(meshOf(...BASE, patch("VIRTUAL_HOST", "MERGE", header, vhost)));
    const [orders, users] = [...hosts.values()];
    expect(orders && hostOf(orders).responseHeadersToAdd).toHaveLength(1);
    expect(orders?.sources.map(({ kind }) => kind)).toEqual(["EnvoyFilter", "ServiceEntry"]);
    expect(users?.version).toBe(of(plain).hosts.get("http_proxy/users.default.mesh.local:80")?.version ?? "");
    expect(users?.sources.map(({ kind }) => kind)).toEqual(["ServiceEntry"]);
    expect([route.version, route.sources]).toEqual([of(plain).route.version, []]);
  });

  test("changes the table itself, and no virtual host", () => {
    const { route, hosts } = of(meshOf(...BASE, patch("ROUTE_CONFIGURATION", "MERGE", header)));
    expect(tableOf(route).responseHeadersToAdd).toHaveLength(1);
    expect(route.sources.map(({ kind }) => kind)).toEqual(["EnvoyFilter"]);
    expect([...hosts.values()].map(({ version }) => version)).toEqual([...of(plain).hosts.values()].map(({ version }) => version));
  });

  test("adds one, also with the name of another, as a table may have two of one name", () => {
    const added = { name: "users.default.mesh.local:80", domains: ["added.example"] };
    const { hosts } = of(meshOf(...BASE, patch("VIRTUAL_HOST", "ADD", added)));
    expect([...hosts.keys()]).toEqual([...of(plain).hosts.keys(), "http_proxy/users.default.mesh.local:80#2"]);
    expect(hosts.get("http_proxy/users.default.mesh.local:80#2")?.sources.map(({ kind }) => kind)).toEqual(["EnvoyFilter"]);
  });
});
