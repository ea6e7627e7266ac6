/**
 * What Istio's validation takes and refuses (pkg/config/validation), where one might guess otherwise. Each line was put to Istio's own
 * validators; the words and the YAML are ours.
 */
import { describe } from "bun:test";
import { accepts, refuses } from "./support.ts";

const to = (host: string, more: object = {}) => ({ destination: { host, ...more } });
const vs = (rule: object) => ({ hosts: ["a"], http: [{ route: [to("a")], ...rule }] });
const dr = (policy: object) => ({ host: "a", trafficPolicy: policy });
const se = (more: object) => ({
  hosts: ["a.example.com"],
  resolution: "STATIC",
  ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  ...more,
});
const ap = (rule: object, more: object = {}) => ({ rules: [rule], ...more });

describe("A VirtualService, as Istio validates it", () => {
  accepts("VirtualService", {
    "an IP address as host": { hosts: ["10.0.0.1"], http: [{ route: [to("a")] }] },
    "a partial wildcard host": { hosts: ["*a.example.com"], http: [{ route: [to("a")] }] },
    "a weight of 0 beside another": vs({
      route: [
        { ...to("a"), weight: 0 },
        { ...to("b"), weight: 100 },
      ],
    }),
    "weights that do not add up to 100": vs({
      route: [
        { ...to("a"), weight: 1 },
        { ...to("b"), weight: 2 },
      ],
    }),
    "an empty match, which takes everything": vs({ match: [{}] }),
    "a header that only must be there": vs({ match: [{ headers: { "x-a": {} } }] }),
    "no retries": vs({ retries: { attempts: 0 } }),
    "status codes among the conditions of retries": vs({ retries: { attempts: 1, retryOn: "503,gateway-error" } }),
    "an abort with a gRPC status": vs({ fault: { abort: { grpcStatus: "UNAVAILABLE", percentage: { value: 1 } } } }),
    "a delay without a share": vs({ fault: { delay: { fixedDelay: "1s" } } }),
    "a redirect of the scheme alone": { hosts: ["a"], http: [{ redirect: { scheme: "https" } }] },
    "both http and tcp": { hosts: ["a"], http: [{ route: [to("a")] }], tcp: [{ route: [to("a")] }] },
  });
  refuses("VirtualService", {
    "hosts of which one covers another": [
      { hosts: ["a.b.com", "*.b.com"], http: [{ route: [to("a")] }] },
      "duplicateItem",
      "spec.hosts[1]",
    ],
    "a route that leads nowhere": [{ hosts: ["a"], http: [{ timeout: "1s" }] }, "missing", "spec.http[0]"],
    "several destinations that all weigh nothing": [vs({ route: [to("a"), to("b")] }), "together", "spec.http[0].route"],
    "a negative weight": [vs({ route: [{ ...to("a"), weight: -1 }] }), "outOfRange", "spec.http[0].route[0].weight"],
    "a time of no length": [vs({ timeout: "0s" }), "badDuration", "spec.http[0].timeout"],
    "a time finer than a millisecond": [vs({ timeout: "1.0005s" }), "badDuration", "spec.http[0].timeout"],
    "settings of retries without attempts": [vs({ retries: { perTryTimeout: "1s" } }), "together", "spec.http[0].retries"],
    "spaces among the conditions of retries": [
      vs({ retries: { attempts: 1, retryOn: "5xx, reset" } }),
      "badValue",
      "spec.http[0].retries.retryOn",
    ],
    "an expression that is none": [vs({ match: [{ uri: { regex: "(" } }] }), "badRegex", "spec.http[0].match[0].uri.regex"],
    "a header matched by an empty prefix": [
      vs({ match: [{ headers: { "x-a": { prefix: "" } } }] }),
      "badPattern",
      "spec.http[0].match[0].headers",
    ],
    "a redirect beside a route": [vs({ redirect: { uri: "/" } }), "exclusive", "spec.http[0]"],
    "a rewrite that changes nothing": [vs({ rewrite: {} }), "missing", "spec.http[0].rewrite"],
    "a subset with a dot": [vs({ route: [to("a", { subset: "v1.1" })] }), "badValue", "spec.http[0].route[0].destination.subset"],
    "a tcp rule without a destination": [{ hosts: ["a"], tcp: [{ match: [{ port: 1 }] }] }, "missing", "spec.tcp[0]"],
  });
});

describe("A DestinationRule, as Istio validates it", () => {
  accepts("DestinationRule", {
    "nothing but a host": { host: "a" },
    "a wildcard": { host: "*.example.com" },
    "a subset without labels": { host: "a", subsets: [{ name: "all" }] },
    "a long label value in a subset": { host: "a", subsets: [{ name: "v1", labels: { version: "x".repeat(80) } }] },
    "a cookie without a time to live": dr({ loadBalancer: { consistentHash: { httpCookie: { name: "user" } } } }),
    "an idle timeout of 0, which turns it off": dr({ connectionPool: { tcp: { idleTimeout: "0s" } } }),
    "a selector with its own namespace": { host: "a", exportTo: ["."], workloadSelector: { matchLabels: { app: "x" } } },
  });
  refuses("DestinationRule", {
    "a traffic policy that says nothing": [dr({}), "missing", "spec.trafficPolicy"],
    "a traffic policy of no ports": [dr({ portLevelSettings: [] }), "missing", "spec.trafficPolicy"],
    "a connection pool that says nothing": [dr({ connectionPool: {} }), "missing", "spec.trafficPolicy.connectionPool"],
    "a negative count": [
      dr({ connectionPool: { tcp: { maxConnections: -1 } } }),
      "outOfRange",
      "spec.trafficPolicy.connectionPool.tcp.maxConnections",
    ],
    "HTTP/2 by policy and by the client at once": [
      dr({ connectionPool: { http: { h2UpgradePolicy: "UPGRADE", useClientProtocol: true } } }),
      "exclusive",
      "spec.trafficPolicy.connectionPool.http.useClientProtocol",
    ],
    "a maglev table of 10": [dr({ loadBalancer: { consistentHash: { maglev: { tableSize: 10 } } } }), "outOfRange", "spec.trafficPolicy"],
    "MUTUAL without a certificate": [dr({ tls: { mode: "MUTUAL", privateKey: "/k" } }), "missing", "spec.trafficPolicy.tls"],
    "a share of 101": [dr({ outlierDetection: { maxEjectionPercent: 101 } }), "outOfRange", "spec.trafficPolicy.outlierDetection"],
    "a selector and another namespace": [
      { host: "a", exportTo: ["other"], workloadSelector: { matchLabels: { app: "x" } } },
      "exclusive",
      "spec.exportTo",
    ],
    "the same subset twice": [{ host: "a", subsets: [{ name: "v1" }, { name: "v1" }] }, "duplicateItem", "spec.subsets[1].name"],
  });
});

describe("A ServiceEntry, as Istio validates it", () => {
  accepts("ServiceEntry", {
    "no port at all": { hosts: ["a.example.com"], resolution: "STATIC", endpoints: [{ address: "10.0.0.1" }] },
    "a target port of 0, which is none": se({
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 0 }],
      endpoints: [{ address: "10.0.0.1" }],
    }),
    "a selector beside an empty list of endpoints": se({ endpoints: [], workloadSelector: { labels: { app: "x" } } }),
    "a protocol in small letters": se({ ports: [{ number: 80, name: "http", protocol: "grpc" }], endpoints: [{ address: "10.0.0.1" }] }),
    "a Unix socket with one port": se({ endpoints: [{ address: "unix:///run/a.sock" }] }),
    "a block of addresses": se({ addresses: ["10.9.0.0/16"], endpoints: [{ address: "10.0.0.1" }] }),
  });
  refuses("ServiceEntry", {
    "every host": [se({ hosts: ["*"], endpoints: [{ address: "10.0.0.1" }] }), "badHost", "spec.hosts[0]"],
    "a name as STATIC endpoint": [se({ endpoints: [{ address: "b.example.com" }] }), "badAddress", "spec.endpoints[0].address"],
    "a port that the service does not have": [
      se({ endpoints: [{ address: "10.0.0.1", ports: { admin: 81 } }] }),
      "badValue",
      "spec.endpoints[0].ports",
    ],
    "endpoints and a selector at once": [
      se({ endpoints: [{ address: "10.0.0.1" }], workloadSelector: { labels: { a: "b" } } }),
      "exclusive",
      "spec",
    ],
    "two ports of one number": [
      se({
        ports: [
          { number: 80, name: "http", protocol: "HTTP" },
          { number: 80, name: "http2", protocol: "HTTP" },
        ],
        endpoints: [{ address: "10.0.0.1" }],
      }),
      "duplicateItem",
      "spec.ports[1].number",
    ],
    "several hosts on plain TCP": [
      se({
        hosts: ["a.example.com", "b.example.com"],
        ports: [{ number: 9, name: "tcp", protocol: "TCP" }],
        endpoints: [{ address: "10.0.0.1" }],
      }),
      "exclusive",
      "spec.ports[0]",
    ],
  });
});

describe("Security policies, as Istio validates them", () => {
  accepts("PeerAuthentication", {
    nothing: {},
    "a port of a selected workload": { selector: { matchLabels: { a: "b" } }, portLevelMtls: { "80": { mode: "DISABLE" } } },
  });
  refuses("PeerAuthentication", {
    "a port without a selector": [{ portLevelMtls: { "80": { mode: "DISABLE" } } }, "together", "spec.portLevelMtls"],
    "a port that is none": [
      { selector: { matchLabels: { a: "b" } }, portLevelMtls: { "0": { mode: "DISABLE" } } },
      "outOfRange",
      "spec.portLevelMtls.0",
    ],
    "a wildcard in its selector": [{ selector: { matchLabels: { a: "b*" } } }, "badLabel", "spec.selector.matchLabels.a"],
  });
  accepts("AuthorizationPolicy", {
    "nothing, which denies all": {},
    "a rule without conditions, which allows all": ap({}),
    "a port of 0": ap({ to: [{ operation: { ports: ["0"] } }] }),
    "path templates": ap({ to: [{ operation: { paths: ["/a/{*}/b/{**}"] } }] }),
    "a condition on a header": ap({ when: [{ key: "request.headers[x-a]", values: ["1"] }] }),
  });
  refuses("AuthorizationPolicy", {
    "DENY without rules": [{ action: "DENY" }, "missing", "spec.action"],
    "an empty source": [ap({ from: [{ source: {} }] }), "missing", "spec.rules[0].from[0].source"],
    "an empty value": [ap({ from: [{ source: { principals: [""] } }] }), "badValue", "spec.rules[0].from[0].source.principals[0]"],
    "a condition that there is not": [ap({ when: [{ key: "source.name", values: ["a"] }] }), "badValue", "spec.rules[0].when[0].key"],
    "a condition without values": [ap({ when: [{ key: "source.ip" }] }), "missing", "spec.rules[0].when[0]"],
    "service accounts beside namespaces": [
      ap({ from: [{ source: { serviceAccounts: ["a"], namespaces: ["b"] } }] }),
      "exclusive",
      "spec.rules[0].from[0].source",
    ],
    "a template that is part of a segment": [
      ap({ to: [{ operation: { paths: ["/a{*}"] } }] }),
      "badPattern",
      "spec.rules[0].to[0].operation.paths[0]",
    ],
  });
});
