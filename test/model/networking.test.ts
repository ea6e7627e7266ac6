import { describe, expect, test } from "bun:test";
import type { CodeName } from "../../src/model/index.ts";
import type { Kind } from "../../src/model/resource.ts";
import { documentWith, expectAccepted, expectRefused, problemsOf } from "./support.ts";

type Spec = Record<string, unknown>;

function accepts(kind: Kind, cases: Record<string, Spec>, metadata: Spec = {}) {
  for (const [name, spec] of Object.entries(cases))
    test(`${kind} may have ${name}`, () => expectAccepted(documentWith(kind, spec, metadata)));
}

function refuses(kind: Kind, cases: Record<string, [Spec, CodeName, string]>, metadata: Spec = {}) {
  for (const [name, [spec, code, place]] of Object.entries(cases)) {
    test(`${kind} may not have ${name}`, () => expectRefused(documentWith(kind, spec, metadata), code, place));
  }
}

const to = (host: string, more: object = {}) => ({ destination: { host, ...more } });

describe("ServiceEntry", () => {
  const port = { number: 80, name: "http", protocol: "HTTP" };
  const se = (fields: Spec): Spec => ({
    hosts: ["a.example.com"],
    resolution: "STATIC",
    ports: [port],
    workloadSelector: { labels: { app: "a" } },
    ...fields,
  });
  const fixed = (fields: Spec): Spec => ({ hosts: ["a.example.com"], resolution: "STATIC", ports: [port], ...fields });
  const dns = (fields: Spec): Spec => ({ hosts: ["a.example.com"], resolution: "DNS", ports: [port], ...fields });
  accepts("ServiceEntry", {
    "all of its translated fields": se({
      addresses: ["10.0.0.1", "10.1.0.0/16", "fd00::/8"],
      location: "MESH_INTERNAL",
      subjectAltNames: ["spiffe://x/y"],
      ports: [{ ...port, targetPort: 8080 }],
    }),
    "endpoints by address": fixed({
      endpoints: [{ address: "10.0.0.1", ports: { http: 8080 }, labels: { v: "1" }, weight: 3, locality: "a/b/c", serviceAccount: "sa" }],
    }),
    "a Unix socket for its one port": fixed({ endpoints: [{ address: "unix:///run/x.sock" }] }),
    "endpoints by DNS name with DNS": dns({ endpoints: [{ address: "b.example.com" }, { address: "10.0.0.1" }] }),
    "a wildcard host": se({ hosts: ["*.example.com"] }),
    "several hosts on HTTP and TLS ports": se({
      hosts: ["a.example.com", "b.example.com"],
      ports: [port, { number: 443, name: "tls", protocol: "tls" }],
    }),
  });
  refuses("ServiceEntry", {
    "no hosts": [se({ hosts: [] }), "missing", "spec.hosts"],
    "the host *": [se({ hosts: ["*"] }), "badHost", "spec.hosts[0]"],
    "a host with a path": [se({ hosts: ["a.example.com/x"] }), "badHost", "spec.hosts[0]"],
    "a host that is an address": [se({ hosts: ["10.0.0.1"] }), "badHost", "spec.hosts[0]"],
    "an address that is none": [se({ addresses: ["10.0.0"] }), "badAddress", "spec.addresses[0]"],
    "a CIDR block that is too long": [se({ addresses: ["10.0.0.0/33"] }), "badAddress", "spec.addresses[0]"],
    "a CIDR block with DNS": [dns({ addresses: ["10.0.0.0/8"] }), "exclusive", "spec.addresses"],
    "two ports of one name": [se({ ports: [port, { ...port, number: 81 }] }), "duplicateItem", "spec.ports[1].name"],
    "two ports of one number": [se({ ports: [port, { ...port, name: "b" }] }), "duplicateItem", "spec.ports[1].number"],
    "port 0": [se({ ports: [{ ...port, number: 0 }] }), "outOfRange", "spec.ports[0].number"],
    "port 65536": [se({ ports: [{ ...port, number: 65536 }] }), "outOfRange", "spec.ports[0].number"],
    "a port without a name": [se({ ports: [{ number: 80, protocol: "HTTP" }] }), "missing", "spec.ports[0]: needs name"],
    "an unknown protocol": [se({ ports: [{ ...port, protocol: "SMTP" }] }), "notOneOf", "spec.ports[0].protocol"],
    "both endpoints and workloadSelector": [se({ endpoints: [{ address: "10.0.0.1" }] }), "exclusive", "spec"],
    "a wildcard in its selector": [se({ workloadSelector: { labels: { app: "*" } } }), "badLabel", "spec.workloadSelector.labels.app"],
    "an endpoint by name with STATIC": [fixed({ endpoints: [{ address: "b.example.com" }] }), "badAddress", "spec.endpoints[0].address"],
    "an endpoint without an address": [fixed({ endpoints: [{ labels: {} }] }), "missing", "spec.endpoints[0]: needs address"],
    "an endpoint's port that it does not define": [
      fixed({ endpoints: [{ address: "10.0.0.1", ports: { other: 1 } }] }),
      "badValue",
      "spec.endpoints[0].ports.other",
    ],
    "a Unix socket for two ports": [
      fixed({ ports: [port, { number: 81, name: "b", protocol: "TCP" }], endpoints: [{ address: "unix:///run/x" }] }),
      "together",
      "spec.endpoints[0].address",
    ],
    "a wildcard host with DNS and no endpoints": [dns({ hosts: ["*.example.com"] }), "badHost", "spec.hosts[0]"],
    "several hosts on a TCP port": [
      se({ hosts: ["a.example.com", "b.example.com"], ports: [{ ...port, protocol: "TCP" }] }),
      "exclusive",
      "spec.ports[0]",
    ],
  });

  test("a service that nothing answers for is warned of", () => {
    expect(problemsOf(documentWith("ServiceEntry", fixed({})))).toEqual([
      "warning noEffect spec.resolution: resolution STATIC without endpoints and workloadSelector: every call to it fails",
    ]);
  });
});

describe("WorkloadEntry", () => {
  accepts("WorkloadEntry", {
    "all of its translated fields": {
      address: "10.0.0.1",
      ports: { http: 8080 },
      labels: { app: "a" },
      locality: "r/z/s",
      weight: 2,
      serviceAccount: "sa",
    },
    "an IPv6 address": { address: "fd00::1" },
    "a DNS name": { address: "a.example.com" },
    "a Unix socket": { address: "unix:///run/x.sock" },
    "an abstract Unix socket": { address: "unix://@x" },
    "a loopback address of its own": { address: "127.10.0.1", ports: { http: 8080 }, serviceAccount: "sa" },
    "127.0.0.1 without a sidecar": { address: "127.0.0.1", ports: { http: 8080 } },
  });
  refuses("WorkloadEntry", {
    "no address": [{}, "missing", "spec: needs address"],
    "an empty address": [{ address: "" }, "badAddress", "spec.address"],
    "an address with a port": [{ address: "10.0.0.1:80" }, "badAddress", "spec.address"],
    "a directory as Unix socket": [{ address: "unix:///dir/" }, "badAddress", "spec.address"],
    "a relative Unix socket": [{ address: "unix://relative" }, "badAddress", "spec.address"],
    "ports on a Unix socket": [{ address: "unix://@x", ports: { http: 80 } }, "exclusive", "spec.ports"],
    "port 99999": [{ address: "10.0.0.1", ports: { http: 99999 } }, "outOfRange", "spec.ports.http"],
    "a port named @": [{ address: "10.0.0.1", ports: { "@": 80 } }, "badValue", 'spec.ports["@"]'],
    "a label that Kubernetes would not take": [{ address: "10.0.0.1", labels: { app: "a b" } }, "badLabel", "spec.labels.app"],
    "a negative weight": [{ address: "10.0.0.1", weight: -1 }, "outOfRange", "spec.weight"],
    "a sidecar on 127.0.0.1 that forwards to itself": [
      { address: "127.0.0.1", ports: { http: 80 }, serviceAccount: "sa" },
      "selfForward",
      "spec.ports.http",
    ],
    "a sidecar on ::1 that forwards to itself": [
      { address: "::1", ports: { http: 80 }, serviceAccount: "sa" },
      "selfForward",
      "spec.ports.http",
    ],
    "a sidecar on 127.0.0.1 without named ports": [{ address: "127.0.0.1", serviceAccount: "sa" }, "selfForward", "spec.address"],
  });
  const local = { address: "127.0.0.1", ports: { http: 80 }, serviceAccount: "sa" };
  accepts(
    "WorkloadEntry",
    { "127.0.0.1 where weft.dev/app says where the application is": local },
    { annotations: { "weft.dev/app": "http=127.0.0.1:9001" } },
  );
  refuses(
    "WorkloadEntry",
    { "a weft.dev/app that is the sidecar's own place": [local, "selfForward", 'metadata.annotations["weft.dev/app"]'] },
    { annotations: { "weft.dev/app": "http=127.0.0.1:80" } },
  );
});

describe("DestinationRule", () => {
  const dr = (trafficPolicy: Spec): Spec => ({ host: "a", trafficPolicy });
  const pool = (http: Spec) => dr({ connectionPool: { http } });
  const hash = (consistentHash: Spec) => dr({ loadBalancer: { consistentHash } });
  const tls = (settings: Spec) => dr({ tls: settings });
  accepts("DestinationRule", {
    "a host alone": { host: "*.example.com" },
    "all pool settings": dr({
      connectionPool: {
        tcp: {
          maxConnections: 1,
          connectTimeout: "1s",
          tcpKeepalive: { probes: 3, time: "7200s", interval: "75s" },
          maxConnectionDuration: "1h",
          idleTimeout: "0s",
        },
        http: {
          http1MaxPendingRequests: 1,
          http2MaxRequests: 1,
          maxRequestsPerConnection: 1,
          maxRetries: 1,
          idleTimeout: "1s",
          h2UpgradePolicy: "UPGRADE",
          maxConcurrentStreams: 1,
        },
      },
    }),
    "all outlier settings": dr({
      outlierDetection: {
        splitExternalLocalOriginErrors: true,
        consecutiveLocalOriginFailures: 1,
        consecutiveGatewayErrors: 0,
        consecutive5xxErrors: 7,
        interval: "1m",
        baseEjectionTime: "15m",
        maxEjectionPercent: 100,
        minHealthPercent: 0,
      },
    }),
    "a hash by cookie": hash({
      httpCookie: { name: "c", path: "/", ttl: "0s", attributes: [{ name: "SameSite", value: "Lax" }] },
      maglev: { tableSize: 65537 },
    }),
    "a hash by source address": hash({ useSourceIp: true, ringHash: { minimumRingSize: 1024 } }),
    "mutual TLS with files": tls({
      mode: "MUTUAL",
      clientCertificate: "/c",
      privateKey: "/k",
      caCertificates: "/a",
      sni: "x",
      subjectAltNames: ["y"],
    }),
    "TLS that verifies nothing": tls({ mode: "SIMPLE", insecureSkipVerify: true }),
    "subsets with a policy of their own": {
      host: "a",
      subsets: [
        {
          name: "v1",
          labels: { v: "1" },
          trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: "RANDOM" } }] },
        },
      ],
    },
  });
  refuses("DestinationRule", {
    "no host": [{}, "missing", "spec: needs host"],
    "a host with a scheme": [{ host: "http://a" }, "badHost", "spec.host"],
    "an empty traffic policy": [dr({}), "missing", "spec.trafficPolicy"],
    "an empty connection pool": [dr({ connectionPool: {} }), "missing", "spec.trafficPolicy.connectionPool"],
    "negative limits": [pool({ maxRetries: -1 }), "outOfRange", "spec.trafficPolicy.connectionPool.http.maxRetries"],
    "an HTTP idle timeout of 0s": [pool({ idleTimeout: "0s" }), "badDuration", "spec.trafficPolicy.connectionPool.http.idleTimeout"],
    "a timeout of 1500us": [pool({ idleTimeout: "1500us" }), "badDuration", "spec.trafficPolicy.connectionPool.http.idleTimeout"],
    "a duration without unit": [pool({ idleTimeout: "5" }), "badDuration", "spec.trafficPolicy.connectionPool.http.idleTimeout"],
    "UPGRADE with useClientProtocol": [
      pool({ h2UpgradePolicy: "UPGRADE", useClientProtocol: true }),
      "exclusive",
      "spec.trafficPolicy.connectionPool.http.useClientProtocol",
    ],
    "both simple and consistentHash": [
      dr({ loadBalancer: { simple: "RANDOM", consistentHash: {} } }),
      "exclusive",
      "spec.trafficPolicy.loadBalancer",
    ],
    "two hash keys": [hash({ useSourceIp: true, httpHeaderName: "x" }), "exclusive", "spec.trafficPolicy.loadBalancer.consistentHash"],
    "two hash algorithms": [
      hash({ maglev: { tableSize: 7 }, ringHash: {} }),
      "exclusive",
      "spec.trafficPolicy.loadBalancer.consistentHash",
    ],
    "a Maglev table that is not prime": [
      hash({ maglev: { tableSize: 65536 } }),
      "outOfRange",
      "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
    ],
    "a cookie without a name": [hash({ httpCookie: {} }), "missing", "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie"],
    "more than 100 percent ejected": [
      dr({ outlierDetection: { maxEjectionPercent: 101 } }),
      "outOfRange",
      "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
    ],
    "local failures counted without being split off": [
      dr({ outlierDetection: { consecutiveLocalOriginFailures: 1 } }),
      "together",
      "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures",
    ],
    "mutual TLS without a key": [
      tls({ mode: "MUTUAL", clientCertificate: "/c" }),
      "missing",
      "spec.trafficPolicy.tls: mode MUTUAL needs privateKey",
    ],
    "a CA where nothing is verified": [
      tls({ mode: "SIMPLE", insecureSkipVerify: true, caCertificates: "/a" }),
      "exclusive",
      "spec.trafficPolicy.tls",
    ],
    "an unknown TLS mode": [tls({ mode: "STRICT" }), "notOneOf", "spec.trafficPolicy.tls.mode"],
    "port settings without a port": [
      dr({ portLevelSettings: [{ tls: {} }] }),
      "missing",
      "spec.trafficPolicy.portLevelSettings[0]: needs port",
    ],
    "two subsets of one name": [{ host: "a", subsets: [{ name: "v1" }, { name: "v1" }] }, "duplicateItem", "spec.subsets[1].name"],
    "a subset whose name is no label": [{ host: "a", subsets: [{ name: "v_1" }] }, "badValue", "spec.subsets[0].name"],
  });
});

describe("VirtualService", () => {
  const vs = (...http: Spec[]): Spec => ({ hosts: ["a"], http });
  const one = (fields: Spec) => vs({ route: [to("a")], ...fields });
  const when = (match: Spec) => one({ match: [match] });
  accepts("VirtualService", {
    "all matches": when({
      name: "n",
      uri: { regex: "^/v[0-9]+$" },
      scheme: { exact: "http" },
      method: { exact: "GET" },
      authority: { prefix: "a" },
      headers: { "x-a": { exact: "1" }, "x-b": {}, ":method": { exact: "GET" } },
      queryParams: { q: { prefix: "1" } },
      ignoreUriCase: true,
      withoutHeaders: { "x-c": { regex: "*" } },
      port: 80,
    }),
    "an empty prefix of the path": when({ uri: { prefix: "" } }),
    "weighted destinations with headers": vs({
      route: [
        { ...to("a", { subset: "v1", port: { number: 80 } }), weight: 90, headers: { request: { set: { "x-a": "100%%", host: "b" } } } },
        { ...to("a", { subset: "v2" }), weight: 10, headers: { response: { add: { "x-b": "%UPSTREAM_HOST%" }, remove: ["server"] } } },
      ],
    }),
    "a destination without a weight beside one with": vs({ route: [to("a"), { ...to("b"), weight: 1 }] }),
    "a redirect": vs({ redirect: { uri: "/x", authority: "b", scheme: "https", redirectCode: 308, port: 8443 } }),
    "a redirect of the prefix": vs({
      match: [{ uri: { prefix: "/a" } }],
      redirect: { prefixRewrite: "/b", derivePort: "FROM_REQUEST_PORT" },
    }),
    "timeout, retries and rewrite": one({
      timeout: "1.5s",
      retries: {
        attempts: 3,
        perTryTimeout: "500ms",
        retryOn: "5xx,503,reset",
        retryRemoteLocalities: true,
        retryIgnorePreviousHosts: false,
        backoff: "25ms",
      },
      rewrite: { uri: "/", authority: "b" },
    }),
    "retries turned off": one({ retries: { attempts: 0 } }),
    faults: one({
      fault: { delay: { fixedDelay: "1s", percentage: { value: 0.1 } }, abort: { grpcStatus: "UNAVAILABLE", percentage: { value: 100 } } },
    }),
    "a mirror": one({ mirror: { host: "b" }, mirrorPercentage: { value: 50 } }),
    mirrors: one({ mirrors: [{ destination: { host: "b" }, percentage: { value: 1 } }, { destination: { host: "c" } }] }),
    "TCP routes": { hosts: ["a"], tcp: [{ match: [{ port: 9090 }], route: [{ ...to("a", { subset: "v1" }), weight: 1 }] }] },
    "gateways: [mesh]": { hosts: ["10.0.0.1"], gateways: ["mesh"], http: [{ route: [to("a")] }] },
  });
  refuses("VirtualService", {
    "the host *": [{ ...one({}), hosts: ["*"] }, "badHost", "spec.hosts[0]"],
    "a host that another covers": [{ ...one({}), hosts: ["*.example.com", "a.example.com"] }, "duplicateItem", "spec.hosts[1]"],
    "no routes": [{ hosts: ["a"] }, "missing", "spec: needs http or tcp"],
    "a route to nowhere": [vs({}), "missing", "spec.http[0]: needs route or redirect"],
    "route beside redirect": [one({ redirect: { uri: "/" } }), "exclusive", "spec.http[0]"],
    "an expression that RE2 does not know": [when({ uri: { regex: "a(?=b)" } }), "badRegex", "spec.http[0].match[0].uri.regex"],
    "an expression of more than 1024 characters": [
      when({ uri: { regex: "a".repeat(1025) } }),
      "badRegex",
      "spec.http[0].match[0].uri.regex",
    ],
    "the expression *": [when({ headers: { a: { regex: "*" } } }), "badRegex", "spec.http[0].match[0].headers.a.regex"],
    "two kinds of match in one": [when({ uri: { exact: "/", prefix: "/" } }), "exclusive", "spec.http[0].match[0].uri"],
    "an empty prefix of a header": [when({ headers: { a: { prefix: "" } } }), "badPattern", "spec.http[0].match[0].headers.a.prefix"],
    "a header's name with a space": [when({ headers: { "a b": {} } }), "badHeader", 'spec.http[0].match[0].headers["a b"]'],
    "a match on JWT claims": [when({ headers: { "@request.auth.claims.iss": {} } }), "badHeader", "spec.http[0].match[0].headers"],
    "the destination *": [vs({ route: [to("*")] }), "badHost", "spec.http[0].route[0].destination.host"],
    "a route without a destination": [vs({ route: [{ weight: 1 }] }), "missing", "spec.http[0].route[0]: needs destination"],
    "a negative weight": [vs({ route: [{ ...to("a"), weight: -1 }] }), "outOfRange", "spec.http[0].route[0].weight"],
    "only weights of 0": [vs({ route: [{ ...to("a"), weight: 0 }, to("b")] }), "together", "spec.http[0].route"],
    "a timeout of 0s": [one({ timeout: "0s" }), "badDuration", "spec.http[0].timeout"],
    "retry settings without attempts": [one({ retries: { retryOn: "5xx" } }), "together", "spec.http[0].retries"],
    "a retry condition that Envoy does not know": [
      one({ retries: { attempts: 1, retryOn: "5xx, reset" } }),
      "badValue",
      "spec.http[0].retries.retryOn",
    ],
    "an empty fault": [one({ fault: {} }), "missing", "spec.http[0].fault"],
    "an abort with status 999": [one({ fault: { abort: { httpStatus: 999 } } }), "outOfRange", "spec.http[0].fault.abort.httpStatus"],
    "an abort with two statuses": [
      one({ fault: { abort: { httpStatus: 500, grpcStatus: "OK" } } }),
      "exclusive",
      "spec.http[0].fault.abort",
    ],
    "101 percent": [one({ mirror: { host: "b" }, mirrorPercentage: { value: 101 } }), "outOfRange", "spec.http[0].mirrorPercentage.value"],
    "a share too small for Envoy": [one({ mirrorPercentage: { value: 0.00001 } }), "outOfRange", "spec.http[0].mirrorPercentage.value"],
    "both mirror and mirrors": [one({ mirror: { host: "b" }, mirrors: [{ destination: { host: "b" } }] }), "exclusive", "spec.http[0]"],
    "a redirect that changes nothing": [vs({ redirect: { redirectCode: 301 } }), "missing", "spec.http[0].redirect"],
    "a redirect with code 200": [vs({ redirect: { uri: "/", redirectCode: 200 } }), "outOfRange", "spec.http[0].redirect.redirectCode"],
    "a redirect with code 304, which Envoy does not send": [
      vs({ redirect: { uri: "/", redirectCode: 304 } }),
      "notYet",
      "spec.http[0].redirect.redirectCode",
    ],
    "a redirect to ftp": [vs({ redirect: { scheme: "ftp" } }), "notOneOf", "spec.http[0].redirect.scheme"],
    "both port and derivePort": [vs({ redirect: { port: 80, derivePort: "FROM_REQUEST_PORT" } }), "exclusive", "spec.http[0].redirect"],
    "prefixRewrite after an exact match": [
      vs({ match: [{ uri: { exact: "/" } }], redirect: { prefixRewrite: "/" } }),
      "together",
      "spec.http[0].redirect.prefixRewrite",
    ],
    "an empty rewrite": [one({ rewrite: {} }), "missing", "spec.http[0].rewrite"],
    "the authority set twice": [
      one({ rewrite: { authority: "b" }, headers: { request: { set: { Host: "c" } } } }),
      "exclusive",
      "spec.http[0].headers.request.set.Host",
    ],
    "Host in a response": [one({ headers: { response: { set: { host: "c" } } } }), "badHeader", "spec.http[0].headers.response.set.host"],
    ":path as a header": [one({ headers: { request: { remove: [":path"] } } }), "badHeader", "spec.http[0].headers.request.remove[0]"],
    "a single percent sign in a header": [
      one({ headers: { request: { set: { a: "100%" } } } }),
      "badHeader",
      "spec.http[0].headers.request.set.a",
    ],
    "a line break in a header": [
      one({ headers: { request: { set: { a: "x\r\ny: z" } } } }),
      "badHeader",
      "spec.http[0].headers.request.set.a",
    ],
    "a TCP route without a destination": [{ hosts: ["a"], tcp: [{}] }, "missing", "spec.tcp[0]: needs route"],
  });

  test("a route after one that takes everything is warned of", () => {
    expect(problemsOf(documentWith("VirtualService", vs({ route: [to("a")] }, { route: [to("b")] })))).toEqual([
      "warning noEffect spec.http[1]: is never used: http[0] takes everything",
    ]);
  });
});

describe("MeshConfig", () => {
  accepts("MeshConfig", {
    "all of its translated fields": {
      trustDomainAliases: ["old.example.com"],
      pathNormalization: { normalization: "DECODE_AND_MERGE_SLASHES" },
      connectTimeout: "10s",
      enableAutoMtls: false,
      accessLogFile: "/dev/stdout",
      accessLogFormat: "%START_TIME%\n",
      defaultHttpRetryPolicy: { attempts: 0 },
    },
  });
  refuses("MeshConfig", {
    "a trust domain with a slash": [{ trustDomainAliases: ["a/b"] }, "badValue", "spec.trustDomainAliases[0]"],
    "a connect timeout of two hours": [{ connectTimeout: "2h" }, "badDuration", "spec.connectTimeout"],
    "an unknown normalization": [{ pathNormalization: { normalization: "ALL" } }, "notOneOf", "spec.pathNormalization.normalization"],
  });
});
