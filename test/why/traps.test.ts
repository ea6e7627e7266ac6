/** Where Istio's meaning is other than its words suggest: each by what becomes of a request. */
import { describe, expect, test } from "bun:test";
import { parseDocuments } from "../../src/model/index.ts";
import { type WhyRequest, why } from "../../src/why/index.ts";
import { httpService, meshOf, reachable, resource, workload } from "../mesh/harness.ts";

const PORTS =
  "[{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 81, name: http-admin, protocol: HTTP}, {number: 90, name: tcp, protocol: TCP}]";
const ROOT = "namespace: weft-system";
const town = [
  reachable(httpService("orders", "", PORTS)),
  workload("web-1", "web", "10.0.0.1"),
  workload("orders-1", "orders", "10.0.0.2"),
  workload("legacy-1", "legacy", "10.0.0.3").replace("serviceAccount: legacy", 'serviceAccount: ""'),
  httpService("legacy"),
];

function ask(policies: readonly string[], request: Partial<WhyRequest> = {}) {
  return why(meshOf(...town, ...policies), { from: "default/web-1", to: "orders", ...request }, { now: 0 });
}
/** "200", "403 deny", "0 refused" */
function end(policies: readonly string[], request?: Partial<WhyRequest>): string {
  const { status, verdict } = ask(policies, request);
  return verdict === "allow" ? `${status}` : `${status} ${verdict}`;
}

const policy = (spec: string, metadata = "", name = "x") => resource("AuthorizationPolicy", name, spec, metadata);
const peer = (spec: string, metadata = "", name = "x") => resource("PeerAuthentication", name, spec, metadata);
const plaintext = { from: "plaintext" };
const SELECTS_ORDERS = "selector: {matchLabels: {app: orders}}";
const JWKS =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw","y":"HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8"}]}';

describe("In security policies", () => {
  test("a selector in the root namespace on PeerAuthentication is ignored", () => {
    expect(end([peer(`{${SELECTS_ORDERS}, mtls: {mode: STRICT}}`, ROOT)], plaintext)).toBe("200");
    expect(end([peer("{mtls: {mode: STRICT}}", ROOT)], plaintext)).toBe("0 refused");
  });

  test("a selector in the root namespace on AuthorizationPolicy and RequestAuthentication is mesh-wide", () => {
    expect(end([policy(`{${SELECTS_ORDERS}}`, ROOT)])).toBe("403 deny");
    expect(end([policy(`{${SELECTS_ORDERS}}`, ROOT)], { to: "legacy" })).toBe("200");
    const tokens = resource(
      "RequestAuthentication",
      "x",
      `{${SELECTS_ORDERS}, jwtRules: [{issuer: "https://x.example", jwks: '${JWKS}'}]}`,
      ROOT,
    );
    expect(end([tokens], { headers: { authorization: "Bearer a.b.c" } })).toBe("401 deny");
    expect(end([tokens], { to: "legacy", headers: { authorization: "Bearer a.b.c" } })).toBe("200");
  });

  test("portLevelMtls needs a selector", () => {
    const { problems } = parseDocuments(peer("{portLevelMtls: {8080: {mode: STRICT}}}"), "x.yaml");
    expect(problems.map(({ severity, message }) => `${severity} ${message}`)).toEqual([
      expect.stringMatching(/^error spec\.portLevelMtls.*selector/),
    ]);
  });

  test("portLevelMtls counts the workload's ports, not the service's", () => {
    const at = (port: number) => [peer(`{${SELECTS_ORDERS}, portLevelMtls: {${port}: {mode: STRICT}}}`)];
    expect(end(at(8080), plaintext)).toBe("0 refused");
    expect(end(at(80), plaintext)).toBe("200");
  });

  test("the oldest policy of a scope wins", () => {
    const of = (mode: string, created: string) => peer(`{mtls: {mode: ${mode}}}`, `creationTimestamp: "${created}"`, mode.toLowerCase());
    expect(end([of("STRICT", "2024-01-01T00:00:00Z"), of("PERMISSIVE", "2025-01-01T00:00:00Z")], plaintext)).toBe("0 refused");
    expect(end([of("STRICT", "2025-01-01T00:00:00Z"), of("PERMISSIVE", "2024-01-01T00:00:00Z")], plaintext)).toBe("200");
  });

  test("spec: {} denies all", () => {
    expect(end([policy("{}")])).toBe("403 deny");
    expect(end([policy("{}")], { to: "orders:90" })).toBe("0 deny");
  });

  test("rules: [{}] allows all", () => {
    expect(end([policy("{}"), policy("{rules: [{}]}", "", "all")])).toBe("200");
    expect(end([policy("{}"), policy("{rules: [{}]}", "", "all")], { to: "orders:90" })).toBe("0");
  });

  test("DENY without rules is refused as meaningless", () => {
    for (const spec of ["{action: DENY}", "{action: DENY, rules: []}"]) {
      const { problems } = parseDocuments(policy(spec), "x.yaml");
      expect(problems.map(({ severity, code }) => `${severity} ${code}`)).toEqual([expect.stringMatching(/^error WF/)]);
    }
  });

  test("notPrincipals matches plaintext peers", () => {
    const deny = [policy('{action: DENY, rules: [{from: [{source: {notPrincipals: ["mesh.local/ns/default/sa/web"]}}]}]}')];
    expect(end(deny, plaintext)).toBe("403 deny");
    expect(end(deny)).toBe("200");
  });

  test("on TCP an ALLOW rule with HTTP fields is dropped", () => {
    const rule = "rules: [{from: [{source: {namespaces: [default]}}], to: [{operation: {methods: [GET]}}]}]";
    expect(end([policy(`{${rule}}`)], { to: "orders:90" })).toBe("0 deny");
    expect(end([policy(`{${rule}}`)])).toBe("200");
  });

  test("on TCP a DENY rule loses only its HTTP fields", () => {
    const deny = (namespace: string) => [
      policy(`{action: DENY, rules: [{from: [{source: {namespaces: [${namespace}]}}], to: [{operation: {methods: [POST]}}]}]}`),
    ];
    expect(end(deny("default"), { to: "orders:90" })).toBe("0 deny");
    expect(end(deny("ops"), { to: "orders:90" })).toBe("0");
    expect(end(deny("default"))).toBe("200");
  });

  test("hosts compare without case", () => {
    const deny = [policy('{action: DENY, rules: [{to: [{operation: {hosts: ["ORDERS"]}}]}]}')];
    expect(end(deny)).toBe("403 deny");
    expect(end(deny, { to: "OrdErs" })).toBe("403 deny");
    expect(end(deny, { to: "orders.default" })).toBe("200");
  });
});

describe("In routing", () => {
  const rule = (trafficPolicy: string) => [resource("DestinationRule", "orders", `{host: orders, trafficPolicy: ${trafficPolicy}}`)];

  test("port-level traffic settings replace, they do not merge", () => {
    const strict = peer("{mtls: {mode: STRICT}}");
    const disable = "tls: {mode: DISABLE}";
    expect(end([...rule(`{${disable}}`), strict])).toBe("503 refused");
    // The port's say nothing of TLS, so the host's SIMPLE is gone with all else; but its mode still tells how endpoints are called: only
    // ISTIO_MUTUAL calls them with mutual TLS.
    const replaced = (tls: string) =>
      rule(`{tls: {mode: ${tls}}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}`);
    expect(end(replaced("SIMPLE"))).toBe("200");
    expect(end(replaced("SIMPLE"), { to: "orders:81" })).toBe("503 refused");
    expect(end([...replaced("DISABLE"), strict])).toBe("503 refused");
    expect(end([...replaced("ISTIO_MUTUAL"), strict])).toBe("200");
  });

  test("a non-empty match.gateways makes sourceLabels ignored", () => {
    const route = (match: string) => [
      resource("VirtualService", "x", `{hosts: [orders], gateways: [mesh], http: [{match: [{${match}}], directResponse: {status: 418}}]}`),
    ];
    expect(end(route("sourceLabels: {app: other}"))).toBe("200");
    expect(end(route("sourceLabels: {app: other}, gateways: [mesh]"))).toBe("418 direct_response");
  });

  test("routes after a catch-all never match", () => {
    const routes = (...all: string[]) => [resource("VirtualService", "x", `{hosts: [orders], http: [${all.join(", ")}]}`)];
    const narrow = "{match: [{uri: {exact: /}}], directResponse: {status: 418}}";
    const wide = "{directResponse: {status: 204}}";
    expect(end(routes(narrow, wide))).toBe("418 direct_response");
    expect(end(routes(wide, narrow))).toBe("204 direct_response");
  });

  test("DestinationRule tls beats auto-mTLS", () => {
    expect(ask([]).mtls?.client).toBe("ISTIO_MUTUAL");
    expect(ask(rule("{tls: {mode: DISABLE}}")).mtls).toMatchObject({ client: "NONE", outcome: "plaintext" });
    const mutual = resource("DestinationRule", "legacy", "{host: legacy, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}");
    expect(ask([mutual], { to: "legacy" }).mtls).toMatchObject({ client: "ISTIO_MUTUAL", outcome: "refused" });
  });

  test("a WorkloadEntry without a service account is plaintext, as a server and as a client", () => {
    expect(ask([], { to: "legacy" }).mtls).toMatchObject({ client: "NONE", outcome: "plaintext", peer: null });
    expect(ask([], { from: "default/legacy-1" }).mtls).toMatchObject({ client: "NONE", outcome: "plaintext", peer: null });
    expect(end([peer("{mtls: {mode: STRICT}}")], { from: "default/legacy-1" })).toBe("503 refused");
  });
});
