/** Who sees what: rules that look at the caller, and rules that are exported to some namespaces only. */
import { describe, expect, test } from "bun:test";
import { buildMesh } from "../../src/mesh/build.ts";
import { clusterOf, httpService, meshOf, OPTIONS, resource, resourcesOf, routedTo, viewOf, workload } from "./harness.ts";

const orders = httpService("orders");
const web = workload("web-1", "web", "10.0.0.1");
const canary = workload("web-2", "web", "10.0.0.2").replace("{app: web}", "{app: web, version: canary}");
const report = workload("report-1", "report", "10.0.0.3", "namespace: other");
const age = (second: number) => `creationTimestamp: "2024-01-01T00:00:0${second}Z"`;
const to = (host: string) => `route: [{destination: {host: ${host}}}]`;
const HOST = "orders.default.mesh.local";
const cluster = (host: string) => `outbound|80||${host}.default.mesh.local`;
const virtualService = (name: string, http: string, more = "", metadata = "") =>
  resource("VirtualService", name, `{hosts: [${HOST}], http: [${http}]${more}}`, metadata);

describe("A route with sourceLabels", () => {
  const routes = virtualService("orders", `{match: [{sourceLabels: {version: canary}}], ${to("next")}}, {${to("orders")}}`);

  test("holds for callers that have all of them", () => {
    const mesh = meshOf(orders, web, canary, routes);
    expect(routedTo(viewOf(mesh, "default/web-2"), HOST)).toEqual([cluster("next")]);
    expect(routedTo(viewOf(mesh, "default/web-1"), HOST)).toEqual([cluster("orders")]);
  });

  test("splits the view by the labels that it looks at, and no further", () => {
    const third = workload("third", "other", "10.0.0.9");
    const mesh = meshOf(orders, web, canary, third, routes);
    expect(mesh.outbound.get("default/web-1")).toBe(mesh.outbound.get("default/third"));
    expect(mesh.outbound.get("default/web-1")).not.toBe(mesh.outbound.get("default/web-2"));
    const [one, other] = [viewOf(mesh, "default/web-1"), viewOf(mesh, "default/web-2")];
    expect(one.clusters).toBe(other.clusters);
    expect(one.assignments).toBe(other.assignments);
  });

  test("is taken without a look at them where gateways are named", () => {
    const named = virtualService("orders", `{match: [{gateways: [mesh], sourceLabels: {version: canary}}], ${to("next")}}`);
    const mesh = meshOf(orders, web, canary, named);
    expect(routedTo(viewOf(mesh, "default/web-1"), HOST)).toEqual([cluster("next")]);
    expect(mesh.outbound.get("default/web-1")).toBe(mesh.outbound.get("default/web-2"));
  });
});

describe("A VirtualService", () => {
  test("whose matches are for gateways alone has no route for sidecars, and the service's own route holds", () => {
    const mesh = meshOf(orders, web, virtualService("orders", `{match: [{gateways: [edge]}], ${to("next")}}`));
    expect(routedTo(viewOf(mesh), HOST)).toEqual([cluster("orders")]);
  });

  test("without a route for this caller counts as absent: the next for the host decides", () => {
    const first = virtualService("a", `{match: [{sourceNamespace: other}], ${to("first")}}`, "", age(1));
    const second = virtualService("b", `{${to("second")}}`, "", age(2));
    const mesh = meshOf(orders, web, report, first, second);
    expect(routedTo(viewOf(mesh, "default"), HOST)).toEqual([cluster("second")]);
    expect(routedTo(viewOf(mesh, "other"), HOST)).toEqual(["outbound|80||first.default.mesh.local"]);
  });

  test("bound to gateways alone is not seen by sidecars", () => {
    const mesh = meshOf(orders, web, virtualService("orders", `{${to("next")}}`, ", gateways: [edge]"));
    expect(routedTo(viewOf(mesh), HOST)).toEqual([cluster("orders")]);
  });

  test("exported to its own namespace goes before an older one for all", () => {
    const old = virtualService("old", `{${to("old")}}`, "", age(1));
    const own = virtualService("own", `{${to("own")}}`, ", exportTo: [.]", `namespace: other, ${age(2)}`);
    const mesh = meshOf(orders, web, report, old, own);
    expect(routedTo(viewOf(mesh, "other"), HOST)).toEqual(["outbound|80||own.other.mesh.local"]);
    expect(routedTo(viewOf(mesh, "default"), HOST)).toEqual([cluster("old")]);
  });

  test("exported to another namespace by name is not seen in its own", () => {
    const mesh = meshOf(orders, web, report, virtualService("v", `{${to("next")}}`, ", exportTo: [other]"));
    expect(routedTo(viewOf(mesh, "default"), HOST)).toEqual([cluster("orders")]);
    expect(routedTo(viewOf(mesh, "other"), HOST)).toEqual([cluster("next")]);
  });
});

describe("A delegate", () => {
  const root = (match: string) => virtualService("root", `{match: [${match}], delegate: {name: leaf, namespace: team}}, {${to("rest")}}`);
  const leaf = (http: string, more = "") => resource("VirtualService", "leaf", `{http: [${http}]${more}}`, "namespace: team");
  const routes = (...yaml: string[]) => routedTo(viewOf(meshOf(orders, web, ...yaml)), HOST);

  test("takes the root's place, a short name in it being of its own namespace", () => {
    expect(routes(root("{uri: {prefix: /a}}"), leaf(`{${to("x")}}`))).toEqual(["outbound|80||x.team.mesh.local", cluster("rest")]);
  });

  test("loses a rule whose match goes beyond the root's", () => {
    const rules = `{match: [{uri: {prefix: /b}}], ${to("beyond")}}, {match: [{uri: {prefix: /a/b}}], ${to("within")}}`;
    expect(routes(root("{uri: {prefix: /a}}"), leaf(rules))).toEqual(["outbound|80||within.team.mesh.local", cluster("rest")]);
  });

  test("conflicts with a root that asks for a namespace where it does not", () => {
    expect(routes(root("{sourceNamespace: default}"), leaf(`{match: [{uri: {prefix: /a}}], ${to("x")}}`))).toEqual([cluster("rest")]);
  });

  test("conflicts with a root by any regex beside another condition", () => {
    expect(routes(root('{uri: {regex: "/a.*"}}'), leaf(`{match: [{uri: {prefix: /a/b}}], ${to("x")}}`))).toEqual([cluster("rest")]);
  });

  test("that is missing, or not exported to the root's namespace, loses that rule alone", () => {
    expect(routes(root("{uri: {prefix: /a}}"))).toEqual([cluster("rest")]);
    expect(routes(root("{uri: {prefix: /a}}"), leaf(`{${to("x")}}`, ", exportTo: [.]"))).toEqual([cluster("rest")]);
  });

  test("changes its root's routes when it changes", () => {
    const rest = resourcesOf(orders, web, root("{uri: {prefix: /a}}"));
    const before = buildMesh([...rest, ...resourcesOf(leaf(`{${to("x")}}`))], OPTIONS);
    const after = buildMesh([...rest, ...resourcesOf(leaf(`{${to("y")}}`))], OPTIONS, before);
    expect(routedTo(viewOf(after), HOST)).toEqual(["outbound|80||y.team.mesh.local", cluster("rest")]);
  });
});

describe("A DestinationRule", () => {
  const rule = (name: string, balancer: string, more = "", metadata = "") =>
    resource("DestinationRule", name, `{host: ${HOST}, trafficPolicy: {loadBalancer: {simple: ${balancer}}}${more}}`, metadata);
  const balancer = (caller: string, ...yaml: string[]) =>
    clusterOf(viewOf(meshOf(orders, web, canary, report, ...yaml), caller), cluster("orders")).policy.loadBalancer?.simple;

  test("exported to its own namespace alone is not met from others", () => {
    const own = rule("own", "RANDOM", ", exportTo: [.]");
    expect(balancer("default", own)).toBe("RANDOM");
    expect(balancer("other", own)).toBeUndefined();
  });

  test("exported to another namespace by name is met there and not at home", () => {
    const away = rule("away", "RANDOM", ", exportTo: [other]");
    expect(balancer("default", away)).toBeUndefined();
    expect(balancer("other", away)).toBe("RANDOM");
  });

  test("that is not exported to the caller lets the root namespace's through", () => {
    const own = rule("own", "RANDOM", ", exportTo: [.]");
    const root = rule("root", "ROUND_ROBIN", "", "namespace: weft-system");
    expect(balancer("other", own, root)).toBe("ROUND_ROBIN");
  });

  test("with a workloadSelector holds for the callers that it selects, in its own namespace only", () => {
    const selected = rule("selected", "RANDOM", ", workloadSelector: {matchLabels: {version: canary}}");
    const all = rule("all", "ROUND_ROBIN");
    expect(balancer("default/web-2", selected, all)).toBe("RANDOM");
    expect(balancer("default/web-1", selected, all)).toBe("ROUND_ROBIN");
    expect(balancer("other", selected, all)).toBe("ROUND_ROBIN");
  });
});

describe("A ServiceEntry", () => {
  const hidden = (exportTo: string) => httpService("hidden").replace("hosts:", `exportTo: ${exportTo}, hosts:`);
  const known = (caller: string, ...yaml: string[]) =>
    viewOf(meshOf(web, report, ...yaml), caller).clusters.map(({ service }) => service.host);

  test("is seen by the namespaces that it is exported to", () => {
    expect(known("default", hidden("[.]"))).toEqual(["hidden.default.mesh.local"]);
    expect(known("other", hidden("[.]"))).toEqual([]);
    expect(known("other", hidden("[other]"))).toEqual(["hidden.default.mesh.local"]);
    expect(known("default", hidden('["~"]'))).toEqual([]);
  });
});

describe("TLS and TCP rules", () => {
  const mail = (protocol: string) =>
    resource(
      "ServiceEntry",
      "mail",
      `{hosts: [mail.com], addresses: [127.0.9.1], resolution: STATIC, ports: [{number: 443, name: p, protocol: ${protocol}}]}`,
    );
  const routes = (protocol: string, spec: string) =>
    viewOf(meshOf(web, mail(protocol), resource("VirtualService", "v", `{hosts: [mail.com, b.com], ${spec}}`))).ports.flatMap(({ tcp }) =>
      (tcp ?? []).map(
        ({ match, targets }) => `${match?.sniHosts.join() ?? ""} ${match?.destinationSubnets.join() ?? ""} ${targets[0]?.host}`,
      ),
    );
  const tls = (sni: string, host: string) => `{match: [{sniHosts: ${sni}}], route: [{destination: {host: ${host}}}]}`;

  test("of two that name one server the first has it, so that Envoy takes the listener", () => {
    expect(routes("TLS", `tls: [${tls("[mail.com]", "one.com")}, ${tls("[mail.com, b.com]", "two.com")}]`)).toEqual([
      "mail.com  one.com",
      "b.com  two.com",
    ]);
  });

  test("leave nothing to the service where one names a server", () => {
    expect(routes("TLS", `tls: [${tls("[b.com]", "one.com")}]`)).toEqual(["b.com  one.com"]);
    expect(routes("TLS", `tcp: [{route: [{destination: {host: one.com}}]}]`)).toEqual(["  mail.com"]);
  });

  test("for some addresses leave the others to the service", () => {
    const rule = "{match: [{destinationSubnets: [10.0.0.0/8]}, {port: 80}], route: [{destination: {host: one.com}}]}";
    expect(routes("TCP", `tcp: [${rule}]`)).toEqual([" 10.0.0.0/8 one.com", "  mail.com"]);
  });
});
