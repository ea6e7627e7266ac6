/** Generated security policies: mutual TLS modes, authorization with odd shapes, tokens. */
import type { Random } from "./random.ts";
import { CLAIM_GROUPS, HEADERS, JWKS, METHODS, PATHS } from "./vocabulary.ts";

export type Spec = Readonly<Record<string, unknown>>;

const MODES = ["STRICT", "PERMISSIVE", "DISABLE", "UNSET"];

export function peerAuthentication(random: Random): { readonly namespace: string; readonly spec: Spec } {
  const namespace = random.pick(["default", "default", "ops", "weft-system"]);
  const selected = random.chance(0.5);
  const mtls = random.chance(0.85) ? { mtls: { mode: random.pick(MODES) } } : {};
  const ports = random.some(["8080", "8081", "9090"], 1, 2).map((port) => [port, { mode: random.pick(MODES) }]);
  const levels = selected && random.chance(0.5) ? { portLevelMtls: Object.fromEntries(ports) } : {};
  return { namespace, spec: { ...(selected ? { selector: selector(random) } : {}), ...mtls, ...levels } };
}

export function selector(random: Random): Spec {
  return {
    matchLabels: random.pick([
      { app: "orders" },
      { app: "orders", version: "v2" },
      { version: "v1" },
      { app: "batch" },
      { app: "legacy" },
      {},
    ]),
  };
}

export function authorizationPolicy(random: Random): { readonly namespace: string; readonly spec: Spec; readonly annotations: Spec } {
  const namespace = random.pick(["default", "default", "default", "ops", "weft-system"]);
  // A CUSTOM policy whose provider is none denies what it matches.
  const action = random.chance(0.05) ? "CUSTOM" : random.pick(["ALLOW", "ALLOW", "DENY", "DENY", "AUDIT"]);
  const least = action === "ALLOW" ? 0 : 1;
  const provider = action === "CUSTOM" ? { provider: { name: "nobody" } } : {};
  const rules = random.many(least, 3, () => rule(random));
  const annotations = random.chance(0.1) ? { "istio.io/dry-run": "true" } : {};
  return {
    namespace,
    annotations,
    spec: { action, ...provider, ...(random.chance(0.7) ? { selector: selector(random) } : {}), ...(rules.length > 0 ? { rules } : {}) },
  };
}

function rule(random: Random): Spec {
  if (random.chance(0.08)) return {};
  return {
    ...(random.chance(0.5) ? { from: random.many(1, 2, () => ({ source: source(random) })) } : {}),
    ...(random.chance(0.6) ? { to: random.many(1, 2, () => ({ operation: operation(random) })) } : {}),
    ...(random.chance(0.35) ? { when: random.many(1, 2, () => condition(random)) } : {}),
  };
}

const PRINCIPALS = [
  "mesh.local/ns/default/sa/web",
  "cluster.local/ns/default/sa/web",
  "mesh.local/ns/ops/*",
  "*/sa/web",
  "*",
  "other.example/ns/default/sa/web",
  "mesh.local/ns/*",
];
const SOURCES: readonly (readonly [string, readonly string[]])[] = [
  ["principals", PRINCIPALS],
  ["notPrincipals", PRINCIPALS],
  ["namespaces", ["default", "ops", "*", "def*", "*ps", "o*s"]],
  ["notNamespaces", ["default", "ops", "def*"]],
  ["ipBlocks", ["127.0.0.0/8", "127.0.0.1", "10.0.0.0/8", "::/0"]],
  ["notIpBlocks", ["10.0.0.0/8", "127.0.0.1/32"]],
  // No 127.0.0.1: to a caller on loopback Envoy's gateways give their machine's own address (ConnectionManagerUtility::mutateRequestHeaders).
  ["remoteIpBlocks", ["10.1.0.0/16", "0.0.0.0/0", "10.1.2.3"]],
  ["notRemoteIpBlocks", ["10.1.0.0/16", "2001:db8::/32"]],
  ["requestPrincipals", ["*", "https://issuer.test/jason", "https://issuer.test/*", "*/anna", "https*", "https://other.test/x"]],
  ["notRequestPrincipals", ["*", "https://issuer.test/jason", "*/anna"]],
];

function source(random: Random): Spec {
  if (random.chance(0.12)) {
    const names = ["web", "ops/batch", "default/web", "default/orders"];
    return { [random.pick(["serviceAccounts", "notServiceAccounts"])]: random.some(names, 1, 2) };
  }
  return Object.fromEntries(random.some(SOURCES, 1, 2).map(([field, values]) => [field, random.some(values, 1, 2)]));
}

const POLICY_PATHS = [
  ...PATHS.filter((path) => !path.includes("?")),
  "/v2*",
  "*/x",
  "*",
  "/v2/{*}",
  "/v2/{*}/x",
  "/{**}",
  "/v2/{**}/x",
  "/a*b",
  "/admin/*",
];
const POLICY_HOSTS = [
  "orders",
  "orders.default.mesh.local",
  "ORDERS*",
  "*.mesh.local:8080",
  "orders:*",
  "*",
  "orders.default.mesh.local:8080",
  "*:8080",
];
const POLICY_METHODS = [...METHODS, "*", "P*", "*ET"];
const PORTS = ["8080", "8081", "9090"];
const OPERATIONS: readonly (readonly [string, readonly string[]])[] = [
  ["paths", POLICY_PATHS],
  ["notPaths", POLICY_PATHS],
  ["paths", POLICY_PATHS],
  ["methods", POLICY_METHODS],
  ["notMethods", METHODS],
  ["hosts", POLICY_HOSTS],
  ["notHosts", POLICY_HOSTS],
  ["ports", PORTS],
  ["notPorts", PORTS],
];

function operation(random: Random): Spec {
  return Object.fromEntries(random.some(OPERATIONS, 1, 2).map(([field, values]) => [field, random.some(values, 1, 3)]));
}

const HEADER_VALUES = ["jason", "ja*", "*son", "*", "anna", "beta", "B*"];
const CONDITIONS: readonly (readonly [string, readonly string[]])[] = [
  ...Object.keys(HEADERS).map((name) => [`request.headers[${name}]`, HEADER_VALUES] as const),
  ["request.headers[X-User]", HEADER_VALUES],
  ["request.headers[:authority]", ["orders*", "*8080"]],
  ["source.principal", PRINCIPALS],
  ["source.namespace", ["default", "ops", "*"]],
  ["source.serviceAccount", ["web", "ops/batch"]],
  ["source.ip", ["127.0.0.1", "10.0.0.0/8"]],
  ["remote.ip", ["10.1.2.3", "0.0.0.0/0"]],
  ["destination.port", PORTS],
  ["destination.ip", ["127.0.0.0/8", "10.0.0.0/8"]],
  ["connection.sni", ["*", "outbound_.8080_._.orders.default.mesh.local", "outbound_.9090*", "*mesh.local"]],
  ["request.auth.principal", ["https://issuer.test/jason", "*"]],
  ["request.auth.audiences", ["orders", "*"]],
  ["request.auth.claims[group]", [...CLAIM_GROUPS, "*", "gu*"]],
  ["request.auth.claims[nested][role]", ["reader", "*"]],
  ["request.auth.claims[nested][list]", ["a", "c", "*"]],
  ["request.auth.claims[nested][deep][er]", ["x", "y*"]],
  ["request.auth.claims[groups]", ["admin", "guest", "d*"]],
  ["request.auth.claims[scope]", ["read", "write", "read list"]],
];

function condition(random: Random): Spec {
  const [key, all] = random.pick(CONDITIONS);
  const values = random.some(all, 1, 2);
  const not = random.some(all, 1, 1);
  return random.pick([
    { key, values },
    { key, values },
    { key, notValues: values },
    { key, values, notValues: not },
  ]);
}

const JWT_RULES: readonly Spec[] = [
  { issuer: "https://issuer.test" },
  { issuer: "https://issuer.test", forwardOriginalToken: true },
  { issuer: "https://issuer.test", audiences: ["orders", "billing"] },
  { issuer: "https://issuer.test", fromHeaders: [{ name: "x-jwt", prefix: "Value " }] },
  { issuer: "https://issuer.test", fromParams: ["token"], fromHeaders: [{ name: "x-jwt" }] },
  { issuer: "https://issuer.test", fromCookies: ["session"] },
  { issuer: "https://issuer.test", outputClaimToHeaders: [{ header: "x-user", claim: "sub" }] },
  { issuer: "https://issuer.test", spaceDelimitedClaims: ["group"] },
  { issuer: "https://issuer.test", outputPayloadToHeader: "x-payload", outputClaimToHeaders: [{ header: "x-beta", claim: "nested.role" }] },
  { issuer: "https://other.test" },
  { issuer: "https://other.test", audiences: ["orders"], fromHeaders: [{ name: "authorization", prefix: "Bearer " }, { name: "x-jwt" }] },
  { issuer: "https://third.test", fromHeaders: [{ name: "x-jwt", prefix: "Value " }], forwardOriginalToken: true },
];

export function requestAuthentication(random: Random): { readonly namespace: string; readonly spec: Spec } {
  const rules = random.some(JWT_RULES, 1, 3).map((one) => ({ ...one, jwks: JWKS }));
  // Of one issuer one rule: two would be two policies.
  const unique = rules.filter(
    (one, index) => rules.findIndex((other) => "issuer" in other && "issuer" in one && other.issuer === one.issuer) === index,
  );
  return {
    namespace: random.pick(["default", "default", "ops", "weft-system"]),
    spec: { ...(random.chance(0.5) ? { selector: selector(random) } : {}), jwtRules: unique },
  };
}
