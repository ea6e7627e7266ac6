import { describe, expect, test } from "bun:test";
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { describeResource } from "../../src/xds/describe.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, OPTIONS, resourcesOf, workload } from "../mesh/harness.ts";

type Json = Readonly<Record<string, unknown>>;

const MANAGER = "envoy.filters.network.http_connection_manager";
const BASE = [httpService("orders"), workload("orders-1", "orders", "10.0.0.1"), workload("web-1", "web", "10.0.0.2")];

function filter(
  name: string,
  configPatches: readonly Json[],
  { namespace = "default", created = "2024-01-01T00:00:00Z", ...spec } = {},
): string {
  return JSON.stringify({
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name, namespace, creationTimestamp: created },
    spec: { ...spec, configPatches },
  });
}

const meshWith = (...filters: string[]) => buildMesh(resourcesOf(...BASE, ...filters), OPTIONS);

function mapOf(type: TypeUrl, filters: readonly string[], key = "default/web-1") {
  return buildSnapshot(meshWith(...filters), key, [])?.resources.get(type) ?? new Map<string, never>();
}

/** The resource as JSON text, where a proxy has it. */
function shown(type: TypeUrl, name: string, ...filters: string[]): string | undefined {
  const resource = mapOf(type, filters).get(name);
  return resource && JSON.stringify(describeResource(resource));
}

const CLUSTER = "outbound|80||orders.default.mesh.local";
const cluster = (operation: string, value?: Json, match?: Json) => ({ applyTo: "CLUSTER", match, patch: { operation, value } });
const timeoutOf = (...filters: string[]) => /"connectTimeout":"([^"]+)"/.exec(shown(TYPE.cluster, CLUSTER, ...filters) ?? "")?.[1];

describe("The order of EnvoyFilters", () => {
  const wait = (connect_timeout: string) => [cluster("MERGE", { connect_timeout })];

  test("is the root namespace's first, so that a namespace's own has the last word", () => {
    const root = filter("a", wait("1s"), { namespace: "weft-system", created: "2025-01-01T00:00:00Z" });
    expect(timeoutOf(root, filter("b", wait("2s")))).toBe("2s");
  });
  test("is by priority before all else", () => {
    const root = JSON.parse(filter("a", wait("1s"), { namespace: "weft-system" }));
    root.spec.priority = 1;
    expect(timeoutOf(JSON.stringify(root), filter("b", wait("2s")))).toBe("1s");
  });
  test("is by age, and of one age by name", () => {
    expect(timeoutOf(filter("a", wait("1s"), { created: "2025-01-01T00:00:00Z" }), filter("b", wait("2s")))).toBe("1s");
    expect(timeoutOf(filter("b", wait("2s")), filter("a", wait("1s")))).toBe("2s");
  });
  test("does not depend on the order in which they are applied", () => {
    const [one, two] = [filter("a", wait("1s")), filter("b", wait("2s"))];
    expect(timeoutOf(one, two)).toBe(timeoutOf(two, one));
  });
});

describe("A proxy that no EnvoyFilter selects", () => {
  test("shares the objects that it would have without any", () => {
    const selected = JSON.parse(filter("a", [cluster("MERGE", { connect_timeout: "1s" })]));
    selected.spec.workloadSelector = { labels: { app: "orders" } };
    const resources = resourcesOf(...BASE);
    const before = buildMesh(resources, OPTIONS);
    const after = buildMesh([...resources, ...resourcesOf(JSON.stringify(selected))], OPTIONS, before);
    const secrets: [] = [];
    const of = (mesh: typeof before, key: string) => buildSnapshot(mesh, key, secrets)?.resources;
    for (const [type, byName] of of(after, "default/web-1") ?? []) expect(byName === of(before, "default/web-1")?.get(type)).toBe(true);
    const [was, is] = [of(before, "default/orders-1"), of(after, "default/orders-1")];
    expect(is?.get(TYPE.cluster)).not.toBe(was?.get(TYPE.cluster) as never);
    // What the patch does not touch is shared with it too.
    expect(is?.get(TYPE.listener) === was?.get(TYPE.listener)).toBe(true);
    expect(is?.get(TYPE.route) === was?.get(TYPE.route)).toBe(true);
  });
});

describe("A patch of clusters", () => {
  test("MERGE appends to lists, MERGE_AND_REPLACE_LIST replaces them", () => {
    const value = { circuit_breakers: { thresholds: [{ priority: "HIGH", max_connections: 7 }] } };
    const merged = shown(TYPE.cluster, CLUSTER, filter("a", [cluster("MERGE", value)])) ?? "";
    expect(merged).toContain("4294967295");
    expect(merged).toContain('"maxConnections":7');
    const replaced = shown(TYPE.cluster, CLUSTER, filter("a", [cluster("MERGE_AND_REPLACE_LIST", value)])) ?? "";
    expect(replaced).not.toContain("4294967295");
    expect(replaced).toContain('"maxConnections":7');
  });
  test("a duration replaces, though protobuf would merge its seconds with the patch's nanoseconds", () => {
    expect(timeoutOf(filter("a", [cluster("MERGE", { connect_timeout: "0.250s" })]))).toBe("0.250s");
  });
  test("REMOVE takes the one away that the match names in Istio's words", () => {
    const match = { cluster: { service: "orders.default.svc.cluster.local", portNumber: 80 } };
    expect(shown(TYPE.cluster, CLUSTER, filter("a", [cluster("REMOVE", undefined, match)]))).toBeUndefined();
    expect(shown(TYPE.cluster, CLUSTER, filter("a", [cluster("REMOVE", undefined, { cluster: { subset: "v1" } })]))).toBeDefined();
  });
  test("ADD adds one, once, and never in the place of one of weft's own", () => {
    const added = filter("a", [cluster("ADD", { name: "mine", connect_timeout: "1s" }), cluster("ADD", { name: CLUSTER })]);
    expect(shown(TYPE.cluster, "mine", added)).toContain('"connectTimeout":"1s"');
    expect(mapOf(TYPE.cluster, [added]).get(CLUSTER)).toBeDefined();
    expect(timeoutOf(added)).toBe("10s");
  });
  test("a transport socket is merged into the one of its name among those that the cluster chooses from", () => {
    const typed_config = { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", sni: "patched" };
    const patch = cluster("MERGE", { transport_socket: { name: "envoy.transport_sockets.tls", typed_config } });
    const text = shown(TYPE.cluster, CLUSTER, filter("a", [patch])) ?? "";
    expect(text).toContain('"sni":"patched"');
    expect(text).toContain("tlsCertificateSdsSecretConfigs");
    expect(text).not.toContain('"transportSocket":{"name":"envoy.transport_sockets.tls"},');
  });
});

describe("A patch of a chain's filters", () => {
  const http = (operation: string, subFilter?: string, value?: Json) => ({
    applyTo: "HTTP_FILTER",
    match: {
      context: "SIDECAR_OUTBOUND",
      listener: { filterChain: { filter: { name: MANAGER, ...(subFilter ? { subFilter: { name: subFilter } } : {}) } } },
    },
    patch: { operation, value },
  });
  const named = (name: string) => ({
    name,
    typed_config: { "@type": "type.googleapis.com/udpa.type.v1.TypedStruct", type_url: "type.googleapis.com/acme.Filter", value: { a: 1 } },
  });
  const order = (...patches: Json[]) => {
    const text = shown(TYPE.listener, "127.0.0.1_15001", filter("a", patches)) ?? "";
    return [...text.matchAll(/"name":"(?:envoy\.filters\.http\.)?(cors|fault|router|mine)"/g)].map(([, name]) => name);
  };

  const CORS = "envoy.filters.http.cors";
  const cases: [string, Json, string[]][] = [
    ["INSERT_BEFORE puts it before the named one", http("INSERT_BEFORE", CORS, named("mine")), ["fault", "mine", "cors", "router"]],
    ["INSERT_AFTER puts it after the named one", http("INSERT_AFTER", CORS, named("mine")), ["fault", "cors", "mine", "router"]],
    ["INSERT_BEFORE without a name puts it first", http("INSERT_BEFORE", undefined, named("mine")), ["mine", "fault", "cors", "router"]],
    ["INSERT_AFTER without a name puts it last", http("INSERT_AFTER", undefined, named("mine")), ["fault", "cors", "router", "mine"]],
    ["INSERT_BEFORE one that is not there does nothing", http("INSERT_BEFORE", "x", named("mine")), ["fault", "cors", "router"]],
    [
      "INSERT_FIRST puts it first, whatever the match names",
      http("INSERT_FIRST", CORS, named("mine")),
      ["mine", "fault", "cors", "router"],
    ],
    ["ADD puts it last", http("ADD", undefined, named("mine")), ["fault", "cors", "router", "mine"]],
    ["REPLACE puts it in the named one's place", http("REPLACE", CORS, named("mine")), ["fault", "mine", "router"]],
    ["REPLACE without a name does nothing", http("REPLACE", undefined, named("mine")), ["fault", "cors", "router"]],
    ["REMOVE takes the named one", http("REMOVE", CORS), ["fault", "router"]],
    ["REMOVE without a name does nothing", http("REMOVE"), ["fault", "cors", "router"]],
    ["MERGE gives the named one another name", http("MERGE", CORS, { name: "mine" }), ["fault", "mine", "router"]],
  ];
  for (const [name, patch, expected] of cases) test(name, () => expect(order(patch)).toEqual(expected));

  test("MERGE of the HTTP connection manager changes what the patch names and keeps the rest", () => {
    const typed_config = {
      "@type": `type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      server_name: "mine",
    };
    const match = { context: "SIDECAR_OUTBOUND", listener: { filterChain: { filter: { name: MANAGER } } } };
    const text = shown(
      TYPE.listener,
      "127.0.0.1_15001",
      filter("a", [{ applyTo: "NETWORK_FILTER", match, patch: { operation: "MERGE", value: { typed_config } } }]),
    );
    expect(text).toContain('"serverName":"mine"');
    expect(text).toContain('"routeConfigName":"http_proxy"');
  });

  test("Istio's name of a filter means those of weft's that get their configuration over ECDS", () => {
    const match = {
      context: "SIDECAR_INBOUND",
      listener: {
        name: "virtualInbound",
        filterChain: { destinationPort: 80, filter: { name: MANAGER, subFilter: { name: "envoy.filters.http.jwt_authn" } } },
      },
    };
    const patch = { applyTo: "HTTP_FILTER", match, patch: { operation: "INSERT_AFTER", value: named("mine") } };
    const resource = mapOf(TYPE.listener, [filter("a", [patch])], "default/orders-1").get("inbound|80||10.0.0.1");
    expect(JSON.stringify(resource && describeResource(resource))).toMatch(/authn\|http\|jwt.*?"name":"mine".*?authz\|http\|audit/);
  });
});

describe("A patch of routes", () => {
  const TABLE = "http_proxy";
  const patched = (applyTo: string, operation: string, routeConfiguration?: Json, value?: Json) =>
    shown(
      TYPE.route,
      TABLE,
      filter("a", [{ applyTo, match: { context: "SIDECAR_OUTBOUND", routeConfiguration }, patch: { operation, value } }]),
    ) ?? "";
  const header = { response_headers_to_add: [{ header: { key: "x", value: "y" } }] };

  test("by port means the virtual hosts of that port, where one table serves all ports", () => {
    expect(patched("VIRTUAL_HOST", "MERGE", { portNumber: 80 }, header)).toContain('"key":"x"');
    expect(patched("VIRTUAL_HOST", "MERGE", { portNumber: 81 }, header)).not.toContain('"key":"x"');
    expect(patched("ROUTE_CONFIGURATION", "MERGE", { portNumber: 80 }, header)).not.toContain('"key":"x"');
    expect(patched("ROUTE_CONFIGURATION", "MERGE", undefined, header)).toContain('"key":"x"');
  });
  test("finds a virtual host by Istio's name of it, and by a domain", () => {
    expect(patched("VIRTUAL_HOST", "MERGE", { vhost: { name: "orders.default.svc.cluster.local:80" } }, header)).toContain('"key":"x"');
    expect(patched("VIRTUAL_HOST", "MERGE", { vhost: { domainName: "orders" } }, header)).toContain('"key":"x"');
    expect(patched("VIRTUAL_HOST", "MERGE", { vhost: { domainName: "users" } }, header)).not.toContain('"key":"x"');
  });
  test("removes and adds virtual hosts", () => {
    expect(patched("VIRTUAL_HOST", "REMOVE", { vhost: { domainName: "orders" } })).not.toContain("orders.default.mesh.local:80");
    expect(patched("VIRTUAL_HOST", "ADD", { portNumber: 80 }, { name: "mine", domains: ["mine.example"] })).toContain('"mine.example"');
    expect(patched("VIRTUAL_HOST", "ADD", { portNumber: 81 }, { name: "mine", domains: ["mine.example"] })).not.toContain("mine.example");
  });
  test("puts a route first, and with INSERT_FIRST only where the named one is", () => {
    const route = { name: "mine", match: { path: "/mine" }, direct_response: { status: 418 } };
    const text = patched("HTTP_ROUTE", "INSERT_FIRST", undefined, route);
    expect(text.indexOf('"path":"/mine"')).toBeLessThan(text.indexOf('"cluster":'));
    expect(text).toContain('"path":"/mine"');
    expect(patched("HTTP_ROUTE", "INSERT_FIRST", { vhost: { route: { name: "x" } } }, route)).not.toContain("/mine");
  });
  test("tells routes by their action", () => {
    const timeout = { route: { timeout: "7s" } };
    expect(patched("HTTP_ROUTE", "MERGE", { vhost: { route: { action: "ROUTE" } } }, timeout)).toContain('"timeout":"7s"');
    expect(patched("HTTP_ROUTE", "MERGE", { vhost: { route: { action: "REDIRECT" } } }, timeout)).not.toContain('"timeout":"7s"');
  });
  test("reaches the table inside an inbound listener", () => {
    const patch = {
      applyTo: "HTTP_ROUTE",
      match: { context: "SIDECAR_INBOUND" },
      patch: { operation: "MERGE", value: { route: { timeout: "7s" } } },
    };
    const resource = mapOf(TYPE.listener, [filter("a", [patch])], "default/orders-1").get("inbound|80||10.0.0.1");
    expect(JSON.stringify(resource && describeResource(resource))).toContain('"timeout":"7s"');
  });
});

describe("What an EnvoyFilter changed", () => {
  test("names the line of each patch that changed it, and of no other", () => {
    const patches = [
      cluster("MERGE", { connect_timeout: "1s" }),
      cluster("MERGE", { connect_timeout: "2s" }, { cluster: { service: "users" } }),
    ];
    const sources = mapOf(TYPE.cluster, [filter("a", patches)]).get(CLUSTER)?.sources;
    expect(sources?.map(({ kind, name }) => `${kind}/${name}`)).toEqual(["EnvoyFilter/a", "ServiceEntry/orders"]);
  });
  test("is the resource as it was where the patch says what holds anyway", () => {
    const same = mapOf(TYPE.cluster, [filter("a", [cluster("MERGE", { connect_timeout: "10s" })])]).get(CLUSTER);
    expect(same?.sources.map(({ kind }) => kind)).toEqual(["ServiceEntry"]);
  });
  test("an extension's configuration is added for those who ask for its name", () => {
    const typed_config = { "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua" };
    const added = filter("a", [{ applyTo: "EXTENSION_CONFIG", patch: { operation: "ADD", value: { name: "mine", typed_config } } }]);
    expect(shown(TYPE.extension, "mine", added)).toContain("lua");
  });
});
