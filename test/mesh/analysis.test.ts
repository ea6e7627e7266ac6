import { describe, expect, test } from "bun:test";
import { affectedBy, analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { MESH_CODES } from "../../src/model/codes/mesh.ts";
import { CODES, type CodeName } from "../../src/model/codes.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import { groups } from "../conformance/cases.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const NAMES = new Map<string, string>(Object.entries(CODES).map(([name, { code }]) => [code, name]));

/** "codeName Kind/name: message" of each finding. */
function findings(...yaml: string[]): string[] {
  const resources = resourcesOf(...yaml);
  return analyze(resources, buildMesh(resources, OPTIONS)).map(
    ({ code, message, resource: of }) => `${NAMES.get(code)} ${of?.kind}/${of?.name} ${message}`,
  );
}

/** Exactly one finding, which begins so. */
function finds(name: CodeName, place: string, ...yaml: string[]): void {
  const found = findings(...yaml);
  expect(found.length === 1 ? found[0] : found).toStartWith(`${name} ${place}`);
}

const ORDERS = httpService("orders");
const AT_10_1 = workload("orders-1", "orders", "10.0.0.1", "labels: {version: v1}");
const route = (name: string, spec: string, metadata = "") => resource("VirtualService", name, spec, metadata);
const to = (more = "") => `route: [{destination: {host: orders${more}}}]`;
const policy = (spec: string, metadata = "") => resource("AuthorizationPolicy", "p", spec, metadata);
const strict = (spec = "{mtls: {mode: STRICT}}", metadata = "") => resource("PeerAuthentication", "strict", spec, metadata);

describe("WorkloadGroups", () => {
  const group = (spec: string, metadata = "") => resource("WorkloadGroup", "web", spec, metadata);
  const WEB = httpService("web");

  test("A group whose labels no service selects is told of, unless its instances may set the label themselves", () => {
    finds(
      "groupUnselected",
      "WorkloadGroup/web",
      WEB,
      AT_10_1,
      ORDERS,
      group("{template: {labels: {app: wbe}}}"),
      workload("web-1", "web", "10.0.0.2"),
    );
    expect(findings(WEB, group("{metadata: {labels: {app: web}}, template: {}}"))).toEqual([]);
    expect(findings(WEB, group("{template: {}}", "annotations: {weft.dev/instance-labels: app}"))).toEqual([]);
  });

  test("A service or policy whose instances are yet to register selects something", () => {
    const spec = "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}";
    expect(findings(WEB, group("{template: {labels: {app: web}}}"), strict(spec))).toEqual([]);
  });

  test("An entry that says of itself that it registered with a group which is not there will be removed", () => {
    const entry = resource("WorkloadEntry", "x", "{address: 10.0.0.3}", "annotations: {istio.io/autoRegistrationGroup: gone}");
    finds(
      "surprising",
      'WorkloadEntry/x metadata.annotations["istio.io/autoRegistrationGroup"]: there is no WorkloadGroup default/gone',
      entry,
    );
  });
});

describe("Policies about tokens and external authorization", () => {
  const tokens = (spec: string) => resource("RequestAuthentication", "tokens", spec);
  const RULE = "jwtRules: [{issuer: 'https://issuer.example'}]";
  const CLAIM = "{rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}";

  test("A token that nobody looks at has no claims", () => {
    finds(
      "neverMatches",
      "AuthorizationPolicy/p spec.rules[0].when[0].values: no RequestAuthentication holds at default/orders-1",
      ORDERS,
      AT_10_1,
      policy(CLAIM),
    );
    const principal = "{action: DENY, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}";
    expect(findings(ORDERS, AT_10_1, policy(principal)).join("\n")).toContain(
      "spec.rules[0].from[0].source.requestPrincipals: no RequestAuthentication",
    );
    expect(findings(ORDERS, AT_10_1, policy(CLAIM), tokens(`{${RULE}}`))).toEqual([]);
    const elsewhere = tokens(`{selector: {matchLabels: {app: web}}, ${RULE}}`);
    expect(findings(ORDERS, AT_10_1, policy(CLAIM), elsewhere).join("\n")).toContain("neverMatches AuthorizationPolicy/p");
    // Who has no token is meant by it.
    expect(
      findings(
        ORDERS,
        AT_10_1,
        policy("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}], to: [{operation: {ports: ['80']}}]}]}"),
      ),
    ).toEqual([]);
  });

  test("A CUSTOM policy needs somebody to ask", () => {
    const custom = policy("{action: CUSTOM, provider: {name: authz}, rules: [{}]}");
    finds("unknownProvider", "AuthorizationPolicy/p spec.provider.name: MeshConfig's extensionProviders have no", ORDERS, AT_10_1, custom);
    const config = (service: string) =>
      resource(
        "MeshConfig",
        "mesh",
        `{extensionProviders: [{name: authz, envoyExtAuthzHttp: {service: ${service}, port: 8080}}]}`,
        "namespace: weft-system",
      );
    expect(findings(ORDERS, AT_10_1, custom, config("orders.default.mesh.local"))).toEqual([]);
    finds(
      "unknownProvider",
      'AuthorizationPolicy/p spec.provider.name: the provider "authz" cannot be asked: there is no service',
      ORDERS,
      AT_10_1,
      custom,
      config("x.default.mesh.local"),
    );
  });
});

describe("The analysis of documents together", () => {
  for (const [name, { code, example }] of Object.entries(MESH_CODES)) {
    const refused = parseDocuments(example, name).problems.filter(({ severity }) => severity === "error");
    if (refused.some((found) => found.code === CODES.notYet.code)) {
      test(`waits for the translation of what ${code} (${name}) is about`, () => {
        expect(refused.map((found) => found.code)).toEqual([CODES.notYet.code]);
      });
      continue;
    }
    test(`finds ${code} (${name}) in its example, and nothing else`, () => {
      expect([...new Set(findings(example).map((text) => text.split(" ")[0] ?? ""))]).toEqual([name]);
    });
  }

  test("finds nothing in a mesh that is well", () => {
    expect(findings(ORDERS, AT_10_1, strict(), route("a", `{hosts: [orders], http: [{${to()}}]}`))).toEqual([]);
  });

  test("tells file, line and column of the field", () => {
    const yaml = [
      ORDERS,
      AT_10_1,
      route("a", `\n  hosts: [orders]\n  http:\n    - route:\n        - destination:\n            host: order`),
    ].join("\n---\n");
    const [found] = analyze(resourcesOf(yaml), meshOf(yaml));
    expect(yaml.split("\n")[(found?.line ?? 0) - 1]).toContain("host: order");
    expect([found?.file, found?.severity]).toEqual(["test.yaml", "warning"]);
    expect(yaml.split("\n")[(found?.line ?? 0) - 1]?.slice((found?.column ?? 0) - 1)).toBe("order");
  });

  test("never refuses what Istio accepts: each group of the recorded verdicts gets warnings at most", async () => {
    const base = await Bun.file(`${import.meta.dir}/../conformance/base.yaml`).text();
    for (const { name, yaml } of groups) {
      const { resources } = parseDocuments(`${base}\n---\n${yaml}`, name);
      const severities = new Set(analyze(resources, buildMesh(resources, OPTIONS)).map(({ severity }) => severity));
      expect([...severities].filter((severity) => severity !== "warning")).toEqual([]);
    }
  });

  test("of an apply shows what it touches and what it causes elsewhere", () => {
    const before = [ORDERS, AT_10_1, route("a", `{hosts: [orders], http: [{${to()}}, {${to(", subset: v9")}, match: [{port: 1}]}]}`)];
    const after = [AT_10_1, ...before.slice(2)];
    const analyzed = (yaml: string[]) => analyze(resourcesOf(...yaml), meshOf(...yaml));
    const codes = affectedBy(analyzed(after), analyzed(before), new Set()).map(({ code }) => code);
    expect(codes).toContain(CODES.unknownHost.code);
    expect(affectedBy(analyzed(before), analyzed(before), new Set())).toEqual([]);
    const touched = new Set(["VirtualService/default/a"]);
    expect(affectedBy(analyzed(before), analyzed(before), touched).map(({ code }) => code)).toEqual([CODES.unknownSubset.code]);
  });
});

describe("References", () => {
  test("a mirror's host must be a service", () =>
    finds(
      "unknownHost",
      "VirtualService/a spec.http[0].mirror.host",
      ORDERS,
      AT_10_1,
      route("a", `{hosts: [orders], http: [{${to()}, mirror: {host: copy}}]}`),
    ));
  test("a short name means the own namespace, and the help says where the service is", () => {
    const yaml = [
      ORDERS,
      AT_10_1,
      workload("x", "x", "10.0.0.2", "namespace: ops"),
      route("a", `{hosts: [x.example.com], http: [{${to()}}]}`, "namespace: ops"),
    ];
    const resources = resourcesOf(...yaml);
    const [found] = analyze(resources, buildMesh(resources, OPTIONS));
    expect(found?.help).toContain("did you mean orders.default.mesh.local?");
  });
  test("a DestinationRule's host must be a service, and its ports the service's", () => {
    finds("unknownHost", "DestinationRule/r spec.host", ORDERS, AT_10_1, resource("DestinationRule", "r", "{host: order}"));
    const ports = "{host: orders, trafficPolicy: {portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]}}";
    finds(
      "unknownPort",
      "DestinationRule/r spec.trafficPolicy.portLevelSettings[0].port.number",
      ORDERS,
      AT_10_1,
      resource("DestinationRule", "r", ports),
    );
  });
  test("a host outside that only routes know is no mistake", () => {
    expect(findings(ORDERS, AT_10_1, route("a", `{hosts: [shop.example.com], http: [{${to()}}]}`))).toEqual([]);
  });
  test("a host of the mesh that no service has is one", () =>
    finds("unknownHost", "VirtualService/a spec.hosts[0]", ORDERS, AT_10_1, route("a", `{hosts: [order], http: [{${to()}}]}`)));
});

describe("Selections", () => {
  test("a service without workloads is told of", () => finds("selectsNothing", "ServiceEntry/orders spec.workloadSelector.labels", ORDERS));
  test("a policy of the root namespace reaches every namespace", () => {
    const spec = "{selector: {matchLabels: {app: orders}}, rules: [{}]}";
    expect(findings(ORDERS, AT_10_1, policy(spec, "namespace: weft-system"))).toEqual([]);
    finds("selectsNothing", "AuthorizationPolicy/p spec.selector.matchLabels", ORDERS, AT_10_1, policy(spec, "namespace: ops"));
  });
  test("a PeerAuthentication with a selector in the root namespace is ignored", () =>
    finds(
      "noEffect",
      "PeerAuthentication/strict spec.selector.matchLabels",
      ORDERS,
      AT_10_1,
      strict("{selector: {matchLabels: {app: orders}}, mtls: {mode: STRICT}}", "namespace: weft-system"),
    ));
});

describe("Dead routes", () => {
  const two = (first: string, second: string) =>
    findings(
      ORDERS,
      AT_10_1,
      route("a", `{hosts: [orders], http: [{match: [${first}], ${to()}}, {match: [${second}], timeout: 1s, ${to()}}]}`),
    ).map((text) => text.split(" ")[0] ?? "");
  const dead: [string, string][] = [
    ["{uri: {prefix: /a}}", "{uri: {exact: /a/b}}"],
    ["{uri: {prefix: /A}, ignoreUriCase: true}", "{uri: {exact: /a/b}}"],
    ["{uri: {prefix: /a}}", "{uri: {prefix: /a}, headers: {x: {exact: y}}}"],
    ["{headers: {x: {prefix: y}}}", "{headers: {x: {exact: yes}}, method: {exact: GET}}"],
    ["{method: {exact: GET}}", "{method: {exact: GET}, uri: {regex: /x.*}}"],
    ["{uri: {prefix: /}}", "{uri: {exact: /x}}"],
    ["{headers: {x: {}}}", "{headers: {x: {exact: a}}}"],
  ];
  for (const [wide, narrow] of dead)
    test(`${narrow} after ${wide} is never reached`, () => expect(two(wide, narrow)).toEqual(["unreachableRoute"]));
  const alive: [string, string][] = [
    ["{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"],
    ["{uri: {prefix: /A}}", "{uri: {exact: /a/b}, ignoreUriCase: true}"],
    ["{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /a}, port: 81}"],
    ["{uri: {prefix: /a}, headers: {x: {exact: y}}}", "{uri: {prefix: /a}}"],
    ["{uri: {regex: /a.*}}", "{uri: {exact: /ab}}"],
    ["{withoutHeaders: {x: {}}}", "{uri: {prefix: /a}}"],
  ];
  for (const [first, second] of alive) test(`${second} after ${first} is reached`, () => expect(two(first, second)).toEqual([]));
  test("one alternative of a route may be dead alone", () =>
    finds(
      "unreachableRoute",
      "VirtualService/a spec.http[1].match[0]",
      ORDERS,
      AT_10_1,
      route(
        "a",
        `{hosts: [orders], http: [{match: [{uri: {prefix: /a}}], ${to()}}, {match: [{uri: {exact: /ab}}, {uri: {exact: /b}}], ${to()}}]}`,
      ),
    ));
});

describe("Hosts and scopes that two claim", () => {
  const http = `{hosts: [orders], http: [{${to()}}]}`;
  test("http and tcp routes of one host may stand in two VirtualServices", () => {
    expect(findings(ORDERS, AT_10_1, route("a", http), route("b", `{hosts: [orders], tcp: [{${to()}}]}`))).toEqual([]);
  });
  test("two that no namespace sees together do not meet", () => {
    const own = (name: string, namespace: string) =>
      route(
        name,
        `{hosts: [orders.default.mesh.local], exportTo: ["."], http: [{route: [{destination: {host: orders.default.mesh.local}}]}]}`,
        `namespace: ${namespace}`,
      );
    expect(findings(ORDERS, AT_10_1, own("a", "default"), own("b", "ops"))).toEqual([]);
    finds(
      "conflictingHost",
      "VirtualService/b spec.hosts[0]",
      ORDERS,
      AT_10_1,
      own("a", "default"),
      own("b", "ops").replace('["."]', '["*"]'),
    );
  });
  test("the oldest of several PeerAuthentications of a scope holds", () =>
    finds(
      "ignoredPolicy",
      "PeerAuthentication/younger spec",
      ORDERS,
      AT_10_1,
      strict(undefined, "creationTimestamp: '2020-01-01T00:00:00Z'"),
      resource("PeerAuthentication", "younger", "{mtls: {mode: DISABLE}}", "creationTimestamp: '2021-01-01T00:00:00Z'"),
    ));
  test("the second traffic policy for a host is not in force", () => {
    const rule = (name: string) => resource("DestinationRule", name, "{host: orders, trafficPolicy: {loadBalancer: {simple: RANDOM}}}");
    finds("ignoredPolicy", "DestinationRule/b spec.trafficPolicy", ORDERS, AT_10_1, rule("a"), rule("b"));
  });
  test("a service of the same host in another namespace stands back", () =>
    finds(
      "conflictingHost",
      "ServiceEntry/b spec.hosts[0]",
      httpService("orders", "creationTimestamp: '2020-01-01T00:00:00Z'"),
      AT_10_1,
      resource(
        "ServiceEntry",
        "b",
        "{hosts: [orders.default.mesh.local], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 10.3.0.1, serviceAccount: b}]}",
        "namespace: ops, creationTimestamp: '2021-01-01T00:00:00Z'",
      ),
    ));
});

describe("Mutual TLS", () => {
  test("endpoints without a service account stay plaintext in a STRICT namespace", () =>
    finds(
      "strictWithoutIdentity",
      "ServiceEntry/db spec.endpoints[0]",
      strict(),
      resource(
        "ServiceEntry",
        "db",
        "{hosts: [db], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 5432, name: tcp, protocol: TCP}], endpoints: [{address: 10.3.0.1}]}",
      ),
    ));
  test("ISTIO_MUTUAL towards a workload that takes plaintext only is told of", () =>
    finds(
      "mtlsTurnedOff",
      "DestinationRule/r spec.trafficPolicy.tls.mode",
      ORDERS,
      AT_10_1,
      strict("{mtls: {mode: DISABLE}}"),
      resource("DestinationRule", "r", "{host: orders, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"),
    ));
  test("a port's own tls does not hide what the other ports' does", () =>
    finds(
      "mtlsTurnedOff",
      "DestinationRule/r spec.trafficPolicy.portLevelSettings[0].tls.mode",
      ORDERS,
      AT_10_1,
      strict(),
      resource(
        "DestinationRule",
        "r",
        "{host: orders, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}}",
      ),
    ));
});

describe("Listeners", () => {
  const web = (name: string, address: string, annotations = "") =>
    resource("WorkloadEntry", name, `{address: ${address}, serviceAccount: web}`, annotations);
  test("two sidecars on loopback addresses are on one machine, and cannot both have the outbound port", () =>
    finds(
      "portConflict",
      "WorkloadEntry/b spec.address: the sidecar's outbound listener 127.0.0.1:15001",
      web("a", "127.0.0.2"),
      web("b", "127.0.0.3"),
    ));
  test("on two machines they can", () => expect(findings(web("a", "10.0.0.2"), web("b", "10.0.0.3"))).toEqual([]));
  test("with an outbound port of its own each is well", () =>
    expect(findings(web("a", "127.0.0.2"), web("b", "127.0.0.3", 'annotations: {weft.dev/outbound: "127.0.0.1:15101"}'))).toEqual([]));
  test("a gateway has no outbound port, and takes it from nobody", () =>
    expect(findings(web("a", "127.0.0.2"), web("b", "127.0.0.3", "annotations: {weft.dev/type: gateway}"))).toEqual([]));
  test("two workloads cannot take calls at one address and port", () => {
    const other = workload("orders-2", "orders", "10.0.0.1", "", "").replace(
      "weft.dev/app:",
      'weft.dev/outbound: "127.0.0.1:15101", weft.dev/app:',
    );
    finds("portConflict", "WorkloadEntry/orders-2 spec.address: 10.0.0.1 port 80", ORDERS, AT_10_1, other);
  });
  test("a sidecar that would forward to itself is told of when a service gives it the port", () =>
    finds(
      "portConflict",
      "WorkloadEntry/orders-1 spec.address: the sidecar would listen on 127.0.0.1:80",
      ORDERS,
      resource(
        "WorkloadEntry",
        "orders-1",
        "{address: 127.0.0.1, labels: {app: orders}, serviceAccount: orders, ports: {other: 81}}",
        'annotations: {weft.dev/app: "other=127.0.0.1:82"}',
      ),
    ));
});

describe("Policies that can never match", () => {
  const from = (principal: string) => policy(`{rules: [{from: [{source: {principals: ["${principal}"]}}]}]}`);
  test("a principal of a foreign trust domain", () =>
    finds(
      "neverMatches",
      "AuthorizationPolicy/p spec.rules[0].from[0].source.principals[0]: other.org/ns/default/sa/web is of another trust domain",
      ORDERS,
      AT_10_1,
      from("other.org/ns/default/sa/web"),
    ));
  test("a principal that no workload has", () =>
    finds(
      "neverMatches",
      "AuthorizationPolicy/p spec.rules[0].from[0].source.principals[0]: no workload has",
      ORDERS,
      AT_10_1,
      from("mesh.local/ns/default/sa/wbe"),
    ));
  test("cluster.local is a name of the mesh's own trust domain", () =>
    expect(findings(ORDERS, AT_10_1, from("cluster.local/ns/default/sa/orders"))).toEqual([]));
  test("identities where only plaintext is taken", () =>
    finds(
      "neverMatches",
      "AuthorizationPolicy/p spec.rules[0].from[0].source.namespaces",
      ORDERS,
      AT_10_1,
      strict("{mtls: {mode: DISABLE}}"),
      policy("{rules: [{from: [{source: {namespaces: [default]}}]}]}"),
    ));
  test("HTTP conditions of an ALLOW rule on TCP ports", () =>
    finds(
      "neverMatches",
      "AuthorizationPolicy/p spec.rules[0].to[0].operation.methods",
      httpService("orders", "", "[{number: 5432, name: tcp, protocol: TCP}]"),
      AT_10_1,
      policy("{rules: [{to: [{operation: {methods: [GET]}}]}]}"),
    ));
});

describe("Fields without effect", () => {
  const rule = (tls: string) => resource("DestinationRule", "r", `{host: orders, trafficPolicy: {tls: ${tls}}}`);
  const cases: [string, string, string][] = [
    [
      "certificates of a mode that is not MUTUAL",
      rule("{mode: SIMPLE, clientCertificate: /c, privateKey: /k}"),
      "DestinationRule/r spec.trafficPolicy.tls.clientCertificate",
    ],
    [
      "verification beside the mesh's own certificates",
      rule("{mode: ISTIO_MUTUAL, caCertificates: /c}"),
      "DestinationRule/r spec.trafficPolicy.tls.caCertificates",
    ],
    ["a name where TLS has no mode, which is DISABLE", rule("{sni: a}"), "DestinationRule/r spec.trafficPolicy.tls.sni: mode DISABLE"],
    [
      "the time of a redirect",
      route("a", "{hosts: [orders], http: [{redirect: {uri: /x}, timeout: 1s}]}"),
      "VirtualService/a spec.http[0].timeout: a redirect",
    ],
    [
      "a share without a mirror",
      route("a", `{hosts: [orders], http: [{${to()}, mirrorPercentage: {value: 5}}]}`),
      "VirtualService/a spec.http[0].mirrorPercentage",
    ],
    [
      "ignored case of an expression",
      route("a", `{hosts: [orders], http: [{match: [{uri: {regex: x}, ignoreUriCase: true}], ${to()}}]}`),
      "VirtualService/a spec.http[0].match[0].ignoreUriCase",
    ],
    [
      "the caller's labels beside gateways",
      route("a", `{hosts: [orders], http: [{match: [{gateways: [mesh], sourceLabels: {app: web}}], ${to()}}]}`),
      "VirtualService/a spec.http[0].match[0].sourceLabels",
    ],
    [
      "PASSTHROUGH to a service whose instances are known",
      resource("DestinationRule", "d", "{host: orders, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}"),
      "DestinationRule/d spec.trafficPolicy.loadBalancer.simple",
    ],
    [
      "an access log's format without a file",
      resource("MeshConfig", "mesh", "{accessLogFormat: x}", "namespace: weft-system"),
      "MeshConfig/mesh spec.accessLogFormat",
    ],
  ];
  for (const [what, yaml, place] of cases) {
    test(`${what} is told of`, () => expect(findings(ORDERS, AT_10_1, yaml)).toContainEqual(expect.stringContaining(`noEffect ${place}`)));
  }
});

describe("PASSTHROUGH", () => {
  test("is not told of where callers mean a place of their own", () => {
    const entry = resource("ServiceEntry", "any", '{hosts: ["*.example.com"], ports: [{number: 80, name: http, protocol: HTTP}]}');
    const rule = resource("DestinationRule", "d", '{host: "*.example.com", trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}');
    expect(findings(ORDERS, AT_10_1, entry, rule)).toEqual([]);
  });
});

describe("A route that is left to another VirtualService", () => {
  const root = route("root", "{hosts: [orders], http: [{delegate: {name: leaf, namespace: other}}]}");
  const leaf = (spec: string) => route("leaf", spec, "namespace: other");

  test("needs one that is there, has no hosts, and is exported", () => {
    const place = "VirtualService/root spec.http[0].delegate: ";
    finds("unknownDelegate", `${place}there is no VirtualService other/leaf`, ORDERS, AT_10_1, root);
    const withHosts = leaf(`{hosts: [orders.default.mesh.local], http: [{${to(".default.mesh.local")}}]}`);
    expect(findings(ORDERS, AT_10_1, root, withHosts).join("\n")).toContain(`unknownDelegate ${place}VirtualService other/leaf has hosts`);
    const hidden = leaf(`{exportTo: ["."], http: [{${to(".default.mesh.local")}}]}`);
    finds("unknownDelegate", `${place}VirtualService other/leaf is not exported to namespace default`, ORDERS, AT_10_1, root, hidden);
    expect(findings(ORDERS, AT_10_1, root, leaf(`{http: [{${to(".default.mesh.local")}}]}`))).toEqual([]);
  });
});
