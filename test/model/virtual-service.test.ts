import { describe, expect, test } from "bun:test";
import { accepts, documentWith, problemsOf, refuses } from "./support.ts";

type Spec = Record<string, unknown>;

const to = (host: string, more: object = {}) => ({ destination: { host, ...more } });

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
    "a mirrored share of next to nothing": one({ mirror: { host: "b" }, mirrorPercentage: { value: 0.00001 } }),
    "a match at port 0, which is none": when({ uri: { prefix: "/a" }, port: 0 }),
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
    "no hosts and tcp routes": [
      { tcp: [{ route: [to("a")] }], http: [{ route: [to("a")] }] },
      "exclusive",
      "spec.tcp: a VirtualService without hosts",
    ],
    "a delegate that delegates": [{ http: [{ delegate: { name: "x" } }] }, "exclusive", "spec.http[0].delegate"],
    "a delegate and a route": [one({ delegate: { name: "x" } }), "exclusive", "spec.http[0]: may have only one of delegate, route"],
    "a direct response and a route": [
      one({ directResponse: { status: 200 } }),
      "exclusive",
      "spec.http[0]: may have only one of directResponse, route",
    ],
    "a direct response with status 600, which Envoy refuses": [
      vs({ directResponse: { status: 600 } }),
      "notYet",
      "spec.http[0].directResponse.status",
    ],
    "a gateway without a name": [{ ...vs({ route: [to("a")] }), gateways: ["ns/"] }, "badValue", "spec.gateways[0]"],
    "an SNI host that is none of the hosts": [
      { hosts: ["a.example.com"], tls: [{ match: [{ sniHosts: ["b.example.com"] }], route: [to("a")] }] },
      "badHost",
      "spec.tls[0].match[0].sniHosts[0]",
    ],
    "a tls route without a match": [{ hosts: ["a.example.com"], tls: [{ route: [to("a")] }] }, "missing", "spec.tls[0]: needs match"],
    "exportTo * and another": [{ ...vs({ route: [to("a")] }), exportTo: ["*", "a"] }, "exclusive", "spec.exportTo"],
    "exportTo ~, which only services may have": [{ ...vs({ route: [to("a")] }), exportTo: ["~"] }, "badValue", "spec.exportTo[0]"],
    "a rewrite by a group that the expression has not": [
      one({ rewrite: { uriRegexRewrite: { match: "/(a)", rewrite: "/\\2" } } }),
      "badPattern",
      "spec.http[0].rewrite.uriRegexRewrite.rewrite",
    ],
    "a CORS method that is none": [one({ corsPolicy: { allowMethods: ["FETCH"] } }), "notOneOf", "spec.http[0].corsPolicy.allowMethods[0]"],
    "a query parameter without a name, which Envoy refuses": [
      when({ queryParams: { "": { exact: "a" } } }),
      "badValue",
      "spec.http[0].match[0].queryParams",
    ],
    "no routes": [{ hosts: ["a"] }, "missing", "spec: needs http, tls or tcp"],
    "a route to nowhere": [vs({}), "missing", "spec.http[0]: needs route, redirect or directResponse"],
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
    "a match on a claim without gateways": [
      when({ headers: { "@request.auth.claims.iss": { exact: "x" } } }),
      "exclusive",
      'spec.http[0].match[0].headers["@request.auth.claims.iss"]: claims are matched at gateways only',
    ],
    "claims of no name": [when({ headers: { "@request.auth.claims": { exact: "x" } } }), "badHeader", "spec.http[0].match[0].headers"],
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
    "a share too small for Envoy": [
      one({ fault: { abort: { httpStatus: 503, percentage: { value: 0.00001 } } } }),
      "outOfRange",
      "spec.http[0].fault.abort.percentage.value",
    ],
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
    "a line end in a redirect": [vs({ redirect: { authority: "b\r\n" } }), "badValue", "spec.http[0].redirect.authority"],
    "a NUL character in a rewrite": [one({ rewrite: { uri: "/a\u0000" } }), "badValue", "spec.http[0].rewrite.uri"],
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
