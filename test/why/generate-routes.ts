/** Generated routes and destination rules. */
import type { Spec } from "./generate-policies.ts";
import type { Random } from "./random.ts";
import { EXTERNAL_HOST, HEADERS, METHODS, PATHS } from "./vocabulary.ts";

const ROUTE_PATHS = PATHS.map((path) => path.split("?")[0] ?? path);
const VIRTUAL_HOSTS = [
  "orders",
  "orders",
  "orders.default.mesh.local",
  "orders.default.svc.cluster.local",
  "batch.ops.mesh.local",
  "legacy.default.mesh.local",
  "*.default.mesh.local",
  "*.mesh.local",
  "ghost.default.mesh.local",
  "*.example",
  EXTERNAL_HOST,
];

/** `tag`: of the mesh, by which the leaves that its routes delegate to are named. */
export function virtualService(random: Random, tag: string): { readonly namespace: string; readonly spec: Spec } {
  const hosts = [...new Set(random.many(1, 2, () => random.pick(VIRTUAL_HOSTS)))];
  const http = random.many(1, 4, () => (random.chance(0.3) ? delegating(random, tag) : httpRoute(random)));
  const sniHosts = hosts.filter((host) => host.endsWith(".mesh.local"));
  const tcp = random.chance(0.3) ? { tcp: random.many(1, 2, () => tcpRoute(random)) } : {};
  const tls = random.chance(0.4) && sniHosts.length > 0 ? { tls: random.many(1, 2, () => tlsRoute(random, sniHosts)) } : {};
  return {
    namespace: random.pick(["default", "default", "default", "ops"]),
    spec: { hosts, http, ...tcp, ...tls, ...(random.chance(0.2) ? { exportTo: random.pick(VISIBILITY) } : {}) },
  };
}

function delegating(random: Random, tag: string): Spec {
  const uri = random.pick<Spec>([{ prefix: "/v2" }, { prefix: "/" }, { exact: "/v2/x" }]);
  const match = random.chance(0.7) ? { match: [{ ...(random.chance(0.7) ? { uri } : httpMatch(random)) }] } : {};
  const index = random.below(LEAVES.length);
  const namespace = random.chance(0.9) ? { namespace: LEAVES[index] } : {};
  // What the leaf's routes inherit.
  const more = {
    ...(random.chance(0.2) ? { rewrite: rewrite(random) } : {}),
    ...(random.chance(0.2) ? { timeout: random.pick(["5s", "0.4s"]) } : {}),
    ...(random.chance(0.2) ? { retries: random.pick(RETRIES) } : {}),
    ...(random.chance(0.2) ? { headers: headerOperations(random) } : {}),
    ...(random.chance(0.1) ? { fault: fault(random) } : {}),
  };
  return { ...match, ...more, delegate: { name: `leaf${index}-${tag}`, ...namespace } };
}

/** Namespaces of the leaves, by their index. */
export const LEAVES = ["default", "ops"];

/** A VirtualService without hosts, to which others delegate. What its routes match must fit into what theirs match, so that many match all. */
export function leaf(random: Random, index: number): { readonly namespace: string; readonly spec: Spec } {
  const http = random.many(1, 3, (): Spec => {
    const { match, ...rest } = httpRoute(random);
    return random.chance(0.5) ? { match, ...rest } : rest;
  });
  return {
    namespace: LEAVES[index] ?? "default",
    spec: { http, ...(random.chance(0.2) ? { exportTo: random.pick(VISIBILITY) } : {}) },
  };
}

function httpRoute(random: Random): Spec {
  const match = random.chance(0.75) ? { match: random.many(1, 2, () => httpMatch(random)) } : {};
  if (random.chance(0.1)) return { ...match, redirect: redirect(random) };
  if (random.chance(0.1)) return { ...match, directResponse: { status: random.pick([200, 211, 403, 503]), body: { string: "direct" } } };
  return {
    ...match,
    route: routes(random, true),
    ...(random.chance(0.25) ? { rewrite: rewrite(random) } : {}),
    ...(random.chance(0.15) ? { fault: fault(random) } : {}),
    ...(random.chance(0.15) ? { corsPolicy: cors(random) } : {}),
    ...(random.chance(0.25) ? { timeout: random.pick(["5s", "0.4s"]) } : {}),
    ...(random.chance(0.3) ? { retries: random.pick(RETRIES) } : {}),
    ...(random.chance(0.12) ? { mirrors: [{ destination: destination(random, true), percentage: { value: 100 } }] } : {}),
    ...(random.chance(0.2) ? { headers: headerOperations(random) } : {}),
  };
}

const RETRIES: readonly Spec[] = [
  { attempts: 0 },
  { attempts: 1, retryOn: "5xx,reset" },
  { attempts: 2 },
  { attempts: 2, retryOn: "503", backoff: "1ms" },
  { attempts: 1, retryOn: "gateway-error", perTryTimeout: "0.4s" },
  { attempts: 1, retryOn: "reset", perTryTimeout: "4s" },
];

function httpMatch(random: Random): Spec {
  return {
    ...(random.chance(0.6) ? { uri: uri(random) } : {}),
    ...(random.chance(0.2) ? { ignoreUriCase: true } : {}),
    ...(random.chance(0.25) ? { headers: headerMatches(random) } : {}),
    ...(random.chance(0.15) ? { withoutHeaders: headerMatches(random) } : {}),
    ...(random.chance(0.2) ? { method: text(random, METHODS) } : {}),
    ...(random.chance(0.1) ? { authority: text(random, ["orders:8080", "orders.default.mesh.local:8080"]) } : {}),
    ...(random.chance(0.08) ? { scheme: { exact: random.pick(["http", "https"]) } } : {}),
    ...(random.chance(0.15) ? { queryParams: { user: text(random, ["jason", "anna"]) } } : {}),
    ...(random.chance(0.12) ? { port: random.pick([8080, 8081, 80]) } : {}),
    ...(random.chance(0.12) ? { sourceLabels: random.pick([{ app: "web" }, { app: "batch" }, { version: "v1" }]) } : {}),
    ...(random.chance(0.1) ? { sourceNamespace: random.pick(["default", "ops"]) } : {}),
    ...(random.chance(0.05) ? { gateways: ["mesh"] } : {}),
  };
}

function uri(random: Random): Spec {
  const path = random.pick(ROUTE_PATHS);
  return random.pick([
    { exact: path },
    { prefix: path },
    { prefix: "/v2" },
    { prefix: "/" },
    { regex: "/v2/.*" },
    { regex: ".*" },
    { regex: "(?i)/V2(/[a-z]+)?" },
  ]);
}

function text(random: Random, values: readonly string[]): Spec {
  const value = random.pick(values);
  return random.pick([{ exact: value }, { prefix: value.slice(0, 2) }, { regex: `${value.slice(0, 1)}.*` }]);
}

function headerMatches(random: Random): Spec {
  const names = random.some(Object.keys(HEADERS), 1, 1);
  return Object.fromEntries(names.map((name) => [name, random.pick<Spec>([{}, text(random, ["jason", "anna", "beta", "10.1.2.3"])])]));
}

function headerOperations(random: Random): Spec {
  const operations = random.pick<Spec>([
    { set: { "x-user": "anna" } },
    { add: { "x-user": "anna" } },
    { remove: ["x-user"] },
    { set: { "x-beta": "beta" }, remove: ["x-beta", "x-user"] },
    { set: { host: "rewritten.example" } },
  ]);
  return { request: operations };
}

function rewrite(random: Random): Spec {
  return random.pick<Spec>([
    { uri: "/" },
    { uri: "/admin" },
    { uri: "/a/../admin" },
    { authority: "orders.example" },
    { uri: "/x", authority: "o" },
    { uriRegexRewrite: { match: "/v2/([a-z]+)", rewrite: "/\\1/v2" } },
    { uriRegexRewrite: { match: "x", rewrite: "yy" } },
  ]);
}

function redirect(random: Random): Spec {
  return random.pick<Spec>([
    { uri: "/new" },
    { uri: "/new?a=b", redirectCode: 308 },
    { authority: "other.example" },
    { scheme: "https" },
    { port: 8443, redirectCode: 307 },
    { derivePort: "FROM_REQUEST_PORT", authority: "other.example" },
    { prefixRewrite: "/p" },
    { scheme: "https", port: 443, redirectCode: 302 },
  ]);
}

function cors(random: Random): Spec {
  const allowOrigins = random.some<Spec>(
    [{ exact: "https://web.example" }, { prefix: "https://o" }, { regex: "https://.*\\.example" }],
    1,
    1,
  );
  return { allowOrigins, ...(random.chance(0.5) ? { unmatchedPreflights: random.pick(["FORWARD", "IGNORE"]) } : {}) };
}

export const VISIBILITY = [["*"], ["."], ["default"], ["ops"], ["ops", "default"]];

function fault(random: Random): Spec {
  const percentage = random.pick<Spec>([{ percentage: { value: 100 } }, { percentage: { value: 0 } }, {}]);
  const abort = random.pick<Spec>([{ httpStatus: 418 }, { httpStatus: 500 }, { grpcStatus: "UNAVAILABLE" }]);
  return random.chance(0.3) ? { delay: { fixedDelay: "0.005s", percentage: { value: 100 } } } : { abort: { ...abort, ...percentage } };
}

function destination(random: Random, isHttp: boolean, port = 9090): Spec {
  const host = random.pick([
    "orders",
    "orders",
    "orders",
    "orders.default.mesh.local",
    "batch.ops.mesh.local",
    "legacy.default.mesh.local",
    "ghost.default.mesh.local",
    ...(isHttp ? [EXTERNAL_HOST] : []),
  ]);
  const ports = isHttp ? [8080, 8081, 9999] : [port, 9090, 9443];
  return {
    host,
    ...(random.chance(0.5) && host.startsWith("orders") ? { subset: random.pick(["v1", "v2", "v2", "all", "none", "v9"]) } : {}),
    ...(random.chance(isHttp ? 0.5 : 1) ? { port: { number: random.chance(0.85) ? ports[0] : random.pick(ports) } } : {}),
  };
}

function routes(random: Random, isHttp: boolean, port = 9090): Spec[] {
  const all = random.chance(0.65) ? 1 : 2;
  const weights = random.pick([
    [50, 50],
    [100, 0],
    [0, 1],
    [30, 70],
  ]);
  return Array.from({ length: all }, (_, index) => ({
    destination: destination(random, isHttp, port),
    ...(all > 1 ? { weight: weights[index] } : {}),
    ...(isHttp && random.chance(0.15) ? { headers: headerOperations(random) } : {}),
  }));
}

function tcpRoute(random: Random): Spec {
  const match = random.pick<Spec>([
    {},
    { match: [{ port: 9090 }] },
    { match: [{ port: 1234 }] },
    { match: [{ sourceLabels: { app: "web" } }] },
  ]);
  return { ...match, route: routes(random, false) };
}

function tlsRoute(random: Random, hosts: readonly string[]): Spec {
  const match = {
    sniHosts: random.chance(0.7) ? random.some(hosts, 1, 2) : [random.pick(["orders.default.mesh.local", "a.default.mesh.local"])],
    ...(random.chance(0.3) ? { port: random.pick([9443, 9443, 1234]) } : {}),
    ...(random.chance(0.2) ? { sourceLabels: random.pick<Spec>([{ app: "web" }, { app: "batch" }]) } : {}),
  };
  return { match: [match], route: routes(random, false, 9443) };
}
