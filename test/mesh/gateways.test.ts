import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { GatewayView } from "../../src/mesh/gateways.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, viewOf, workload } from "./harness.ts";

const FRONT = resource(
  "WorkloadEntry",
  "front-1",
  "{address: 10.0.0.1, serviceAccount: front}",
  "namespace: edge, labels: {istio: ingressgateway}, annotations: {weft.dev/type: gateway}",
);
const ORDERS = httpService("orders");
const TLS = "serverCertificate: /etc/cert.pem, privateKey: /etc/key.pem";

const http = (hosts: string, more = "", port = 80) => `{port: {number: ${port}, name: http, protocol: HTTP}, hosts: [${hosts}]${more}}`;
const https = (hosts: string, name = "https") =>
  `{port: {number: 443, name: ${name}, protocol: HTTPS}, hosts: [${hosts}], tls: {mode: SIMPLE, ${TLS}}}`;
const gateway = (name: string, servers: string, metadata = "namespace: edge", selector = "{istio: ingressgateway}") =>
  resource("Gateway", name, `{selector: ${selector}, servers: [${servers}]}`, metadata);
const routes = (name: string, hosts: string, rules: string, metadata = "", gateways = "edge/front") =>
  resource("VirtualService", name, `{hosts: [${hosts}], gateways: [${gateways}], ${rules}}`, metadata);
const TO_ORDERS = "http: [{route: [{destination: {host: orders.default.mesh.local}}]}]";

function served(...yaml: string[]): GatewayView {
  const view = meshOf(FRONT, ORDERS, ...yaml).gateways.get("edge/front-1");
  if (!view) throw new Error("edge/front-1 is no gateway");
  return view;
}

/** "host -> names of its routes" of a table. */
function hostsOf({ tables }: GatewayView, name: string): Record<string, string[]> {
  const table = tables.find((candidate) => candidate.name === name);
  if (!table) throw new Error(`no table ${name}, but ${tables.map((known) => known.name).join(" ")}`);
  return Object.fromEntries(
    table.virtualHosts.flatMap(({ domains, routes: all }) =>
      domains.map((domain) => [domain, all.map((route) => route.name || (route.targets[0]?.cluster ?? "redirect"))]),
    ),
  );
}

const findings = (...yaml: string[]) => {
  const resources = resourcesOf(FRONT, ORDERS, ...yaml);
  return analyze(resources, buildMesh(resources, OPTIONS)).map(({ message }) => message);
};

const CLUSTER = "outbound|80||orders.default.mesh.local";

describe("The hosts of a gateway", () => {
  test.each([
    ["a.example.com", "a.example.com", ["a.example.com"]],
    ["'*.example.com'", "a.example.com", ["a.example.com"]],
    ["a.example.com", "'*.example.com'", ["a.example.com"]],
    ["'*'", "'*.example.com'", ["*.example.com"]],
    ["'*.b.example.com'", "'*.example.com'", ["*.b.example.com"]],
    ["A.example.com", "a.EXAMPLE.com", ["a.example.com"]],
    ["a.example.com", "b.example.com", ["*"]],
    ["default/a.example.com", "a.example.com", ["a.example.com"]],
    ["./a.example.com", "a.example.com", ["*"]],
    ["'*/a.example.com'", "a.example.com", ["a.example.com"]],
    ["other/a.example.com", "a.example.com", ["*"]],
    ["orders.default.svc.cluster.local", "orders", ["orders.default.mesh.local", "orders.default.svc.cluster.local"]],
  ])("a server's %s and a VirtualService's %s meet at %p", (own, host, expected) => {
    const view = served(gateway("front", http(own)), routes("shop", host, TO_ORDERS));
    expect(Object.keys(hostsOf(view, "http.80"))).toEqual(expected);
  });

  test("a gateway without a VirtualService answers everything with 404", () => {
    expect(hostsOf(served(gateway("front", http("a.example.com"))), "http.80")).toEqual({ "*": [] });
  });

  test("routes of several VirtualServices for one host stand together, the oldest first, and those that take everything last", () => {
    const rule = (name: string, match = "") =>
      `http: [{name: ${name}, ${match} route: [{destination: {host: orders.default.mesh.local}}]}]`;
    const view = served(
      gateway("front", http("a.example.com")),
      routes("all", "a.example.com", rule("all"), "creationTimestamp: '2024-01-01T00:00:00Z'"),
      routes("late", "a.example.com", rule("late", "match: [{uri: {prefix: /v}}],"), "creationTimestamp: '2024-03-01T00:00:00Z'"),
      routes("early", "a.example.com", rule("early", "match: [{uri: {prefix: /v2}}],"), "creationTimestamp: '2024-02-01T00:00:00Z'"),
    );
    expect(hostsOf(view, "http.80")).toEqual({ "a.example.com": ["early", "late", "all"] });
  });
});

describe("Which routes hold at a gateway", () => {
  const SERVED = gateway("front", http("a.example.com"));
  const names = (...yaml: string[]) => hostsOf(served(SERVED, ...yaml), "http.80")["a.example.com"] ?? [];
  const rule = (match: string) => `http: [{name: sample, match: [${match}], route: [{destination: {host: orders.default.mesh.local}}]}]`;

  test.each(["edge/front", "front.edge.svc.cluster.local"])("a VirtualService may name its gateway %s", (name) => {
    expect(names(routes("shop", "a.example.com", TO_ORDERS, "", name))).toEqual([CLUSTER]);
  });

  test("a gateway without a namespace is of the VirtualService's own", () => {
    expect(names(routes("shop", "a.example.com", TO_ORDERS, "namespace: edge", "front"))).toEqual([CLUSTER]);
    expect(names(routes("shop", "a.example.com", TO_ORDERS, "", "front"))).toEqual([]);
  });

  test("a VirtualService without gateways is for sidecars alone", () => {
    expect(names(resource("VirtualService", "shop", `{hosts: [a.example.com], ${TO_ORDERS}}`))).toEqual([]);
  });

  test("a VirtualService for gateways alone is not for sidecars", () => {
    const mesh = meshOf(FRONT, ORDERS, SERVED, workload("web-1", "web", "10.0.0.9"), routes("shop", "a.example.com", TO_ORDERS));
    const hosts = viewOf(mesh).routes.get("http_proxy")?.virtualHosts ?? [];
    expect(hosts.flatMap(({ domains }) => domains)).not.toContain("a.example.com");
  });

  test("match.gateways picks the gateways, and then labels and namespace are not asked", () => {
    expect(names(routes("s", "a.example.com", rule("{gateways: [edge/front], sourceLabels: {no: label}}")))).toEqual(["sample"]);
    expect(names(routes("s", "a.example.com", rule("{gateways: [edge/other]}")))).toEqual([]);
    expect(names(routes("s", "a.example.com", rule("{gateways: [mesh]}"), "", "edge/front, mesh"))).toEqual([]);
  });

  test("without match.gateways the gateway's own labels and namespace count", () => {
    expect(names(routes("s", "a.example.com", rule("{sourceLabels: {istio: ingressgateway}, sourceNamespace: edge}")))).toEqual(["sample"]);
    expect(names(routes("s", "a.example.com", rule("{sourceLabels: {istio: other}}")))).toEqual([]);
    expect(names(routes("s", "a.example.com", rule("{sourceNamespace: default}")))).toEqual([]);
  });

  test("a VirtualService that is not exported to the gateway's namespace does not hold", () => {
    const own = resource("VirtualService", "s", `{hosts: [a.example.com], gateways: [edge/front], exportTo: ["."], ${TO_ORDERS}}`);
    expect(names(own)).toEqual([]);
  });

  test("a destination without a port means the service's only one, not the gateway's", () => {
    const view = served(gateway("front", http("a.example.com", "", 8080)), routes("shop", "a.example.com", TO_ORDERS));
    expect(hostsOf(view, "http.8080")).toEqual({ "a.example.com": [CLUSTER] });
  });
});

describe("Gateways that meet at one proxy", () => {
  const places = ({ listeners }: GatewayView) => listeners.map(({ address, port, chains }) => `${address}:${port} ${chains.length}`);

  test("a Gateway selects proxies by label, in every namespace; without a selector all", () => {
    expect(served(gateway("front", http("'*'"), "namespace: default")).listeners).toHaveLength(1);
    expect(served(gateway("front", http("'*'"), "", "{istio: other}")).listeners).toEqual([]);
    expect(served(resource("Gateway", "front", `{servers: [${http("'*'")}]}`)).listeners).toHaveLength(1);
  });

  test("a workload that is not annotated as a gateway serves none", () => {
    const plain = resource("WorkloadEntry", "web-1", "{address: 10.0.0.2, serviceAccount: web}", "labels: {istio: ingressgateway}");
    const mesh = meshOf(FRONT, plain, gateway("front", http("'*'")));
    expect([...mesh.gateways.keys()]).toEqual(["edge/front-1"]);
    const only = resourcesOf(plain, gateway("front", http("'*'")));
    expect(analyze(only, buildMesh(only, OPTIONS)).map(({ message }) => message)).toContainEqual(
      expect.stringContaining("none of the 1 workloads with these labels is a gateway"),
    );
  });

  test("plain HTTP servers of several Gateways share a port, each with its own VirtualServices", () => {
    const view = served(
      gateway("front", http("a.example.com")),
      gateway("side", http("b.example.com")),
      routes("a", "a.example.com, b.example.com", TO_ORDERS),
      routes("b", "b.example.com", "http: [{redirect: {uri: /x}}]", "", "edge/side"),
    );
    expect(places(view)).toEqual(["10.0.0.1:80 1"]);
    expect(hostsOf(view, "http.80")).toEqual({ "a.example.com": [CLUSTER], "b.example.com": ["redirect"] });
  });

  test("HTTPS servers of one port are told apart by the name that TLS asks for, and have a table each", () => {
    const view = served(gateway("front", `${https("a.example.com", "a")}, ${https("'*.example.org'", "b")}`));
    expect(view.listeners[0]?.chains.map(({ serverNames, to }) => [serverNames, to])).toEqual([
      [["a.example.com"], { table: "https.443.a.front.edge" }],
      [["*.example.org"], { table: "https.443.b.front.edge" }],
    ]);
  });

  test("of two TLS servers for one host the older Gateway's holds, whole, and the other is told of", () => {
    const old = gateway("zz", https("a.example.com"), "namespace: edge, creationTimestamp: '2024-01-01T00:00:00Z'");
    const young = gateway("aa", https("b.example.com, a.example.com"), "namespace: edge, creationTimestamp: '2025-01-01T00:00:00Z'");
    expect(served(young, old).tables.map(({ name }) => name)).toEqual(["https.443.https.zz.edge"]);
    expect(findings(young, old)).toContainEqual(expect.stringContaining("has one of these hosts at port 443 too"));
  });

  test("TCP cannot share HTTP's port, but may have it at another address", () => {
    const tcp = (bind: string) => `{port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']${bind}}`;
    const rules = routes("tcp", "'*'", "tcp: [{route: [{destination: {host: orders.default.mesh.local}}]}]");
    expect(places(served(gateway("front", `${http("'*'")}, ${tcp("")}`), rules))).toEqual(["10.0.0.1:80 1"]);
    expect(findings(gateway("front", `${http("'*'")}, ${tcp("")}`), rules)).toContainEqual(
      expect.stringContaining("has HTTP at port 80 of the same proxy"),
    );
    expect(places(served(gateway("front", `${http("'*'")}, ${tcp(", bind: 127.0.0.1")}`), rules))).toEqual([
      "10.0.0.1:80 1",
      "127.0.0.1:80 1",
    ]);
  });

  test("a service that selects the proxy says on which port a server really listens", () => {
    const service = resource(
      "ServiceEntry",
      "front",
      "{hosts: [front], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, targetPort: 8080, name: http, protocol: HTTP}], workloadSelector: {labels: {istio: ingressgateway}}}",
      "namespace: edge",
    );
    const view = served(service, gateway("front", http("'*'")));
    expect(places(view)).toEqual(["10.0.0.1:8080 1"]);
    expect(view.tables.map(({ name }) => name)).toEqual(["http.8080"]);
  });

  test("nobody takes a gateway for a sidecar: auto mTLS leaves it in plaintext", () => {
    const service = resource(
      "ServiceEntry",
      "front",
      "{hosts: [front], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {istio: ingressgateway}}}",
      "namespace: edge",
    );
    const [endpoint] = meshOf(FRONT, service).endpoints.get("front.edge.mesh.local") ?? [];
    expect(endpoint).toMatchObject({ workload: "edge/front-1", mtlsPorts: new Set() });
  });
});

describe("Connections through a gateway", () => {
  const PASS = (port: number, hosts = "'*.example.com'") =>
    `{port: {number: ${port}, name: tls-${port}, protocol: TLS}, hosts: [${hosts}], tls: {mode: PASSTHROUGH}}`;
  const rule = (sni: string, more = "") =>
    `{match: [{sniHosts: [${sni}]${more}}], route: [{destination: {host: orders.default.mesh.local}}]}`;

  test("each match of a tls rule has its names, and of two for one name the first holds", () => {
    const view = served(
      gateway("front", PASS(443)),
      routes("tls", "a.example.com, b.example.com", `tls: [${rule("a.example.com")}, ${rule("a.example.com, b.example.com")}]`),
    );
    expect(view.listeners[0]?.chains.map(({ serverNames, tls }) => [serverNames, tls])).toEqual([[["a.example.com"], undefined]]);
  });

  test("a match may name the server's port and its gateway", () => {
    const view = served(
      gateway("front", `${PASS(443)}, ${PASS(444)}`),
      routes(
        "tls",
        "a.example.com",
        `tls: [${rule("a.example.com", ", port: 444")}, ${rule("a.example.com", ", gateways: [edge/other]")}]`,
      ),
    );
    expect(view.listeners.map(({ port }) => port)).toEqual([444]);
  });

  test("a server without a route is not listened for", () => {
    expect(served(gateway("front", PASS(443))).listeners).toEqual([]);
    expect(served(gateway("front", "{port: {number: 90, name: tcp, protocol: TCP}, hosts: ['*']}")).listeners).toEqual([]);
  });

  test("TLS that ends at the gateway goes by the tcp rules", () => {
    const server = `{port: {number: 443, name: tls, protocol: TLS}, hosts: [a.example.com], tls: {mode: SIMPLE, ${TLS}}}`;
    const view = served(
      gateway("front", server),
      routes("tcp", "a.example.com", "tcp: [{match: [{port: 443}], route: [{destination: {host: orders.default.mesh.local}}]}]"),
    );
    expect(view.listeners[0]?.chains[0]).toMatchObject({ serverNames: ["a.example.com"], tls: { mode: "SIMPLE" }, to: { route: {} } });
  });
});
