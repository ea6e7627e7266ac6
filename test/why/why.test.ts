import { describe, expect, test } from "bun:test";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { type WhyAnswer, type WhyRequest, why } from "../../src/why/index.ts";
import { httpService, meshOf, OPTIONS, reachable, resource, resourcesOf, workload } from "../mesh/harness.ts";
import { JWKS, token } from "./vocabulary.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const WEB = workload("web-1", "web", "10.0.0.1");
const ORDERS = [
  reachable(httpService("orders", "", "[{number: 80, name: http, protocol: HTTP}, {number: 9090, name: tcp, protocol: TCP}]")),
  workload("orders-1", "orders", "10.0.0.2", "labels: {version: v1}"),
];

const ask = (mesh: Mesh, more: Partial<WhyRequest> = {}): WhyAnswer =>
  why(mesh, { from: "default/web-1", to: "orders", ...more }, { now: NOW });
const stages = ({ steps }: WhyAnswer, stage: string) => steps.filter((step) => step.stage === stage);

describe("weft why", () => {
  test("a request without any policy reaches the application over automatic mutual TLS", () => {
    const answer = ask(meshOf(WEB, ...ORDERS));
    expect(answer).toMatchObject({ verdict: "allow", status: 200, summary: "200 via orders", mixed: false });
    expect(answer.mtls).toMatchObject({
      client: "ISTIO_MUTUAL",
      server: "PERMISSIVE",
      outcome: "mutual_tls",
      peer: "spiffe://mesh.local/ns/default/sa/web",
    });
  });

  test("every step that a resource decided names its kind, name, file and line", () => {
    const policy = resource("AuthorizationPolicy", "deny", "\n  action: DENY\n  rules:\n    - to: [{operation: {paths: [/admin]}}]");
    const { authorization, summary, status } = ask(meshOf(WEB, ...ORDERS, policy), { path: "/admin" });
    expect({ summary, status }).toEqual({ summary: "403 by AuthorizationPolicy default/deny rule 0", status: 403 });
    expect(authorization?.source).toMatchObject({ kind: "AuthorizationPolicy", namespace: "default", name: "deny", file: "test.yaml" });
    expect(authorization?.source?.line).toBeGreaterThan(1);
  });

  test("STRICT resets a client without a sidecar, and the answer names the line", () => {
    const strict = resource("PeerAuthentication", "strict", "{mtls: {mode: STRICT}}");
    const answer = ask(meshOf(WEB, ...ORDERS, strict), { from: "plaintext" });
    expect(answer).toMatchObject({ verdict: "refused", status: 0, summary: "reset: STRICT refuses plaintext" });
    expect(answer.mtls?.server_source).toMatchObject({ kind: "PeerAuthentication", name: "strict" });
    expect(ask(meshOf(WEB, ...ORDERS, strict)).verdict).toBe("allow");
  });

  test("routes that did not match are told with the first condition that failed", () => {
    const routes = resource(
      "VirtualService",
      "orders",
      "{hosts: [orders], http: [{name: beta, match: [{headers: {x-beta: {exact: yes}}}], route: [{destination: {host: orders}}]}, {match: [{uri: {prefix: /v2}}], route: [{destination: {host: orders}}]}]}",
    );
    const mesh = meshOf(WEB, ...ORDERS, routes);
    const found = stages(ask(mesh, { path: "/v2/x" }), "route");
    expect(found.map(({ result }) => result)).toEqual(["no_match", "match"]);
    expect(found[0]?.reason).toContain('route "beta": header x-beta is absent');
    expect(ask(mesh, { path: "/other" })).toMatchObject({ verdict: "no_route", status: 404 });
  });

  test("a short name that the caller's own namespace lacks is told the services that have it in others", () => {
    const mesh = meshOf(WEB, ...ORDERS, httpService("menu").replace("namespace: default", "namespace: shop"));
    expect(ask(mesh, { to: "menu:80" }).summary).toBe("404: nothing in the mesh is called menu:80: there is menu.shop.mesh.local");
    expect(ask(mesh, { to: "nobody" }).summary).toBe("404: nothing in the mesh is called nobody");
  });

  test("destinations that differ in what becomes of the request are told apart", () => {
    const parts = [
      workload("orders-2", "orders", "10.0.0.3", "labels: {version: v2}"),
      resource(
        "DestinationRule",
        "orders",
        "{host: orders, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}",
      ),
      resource(
        "VirtualService",
        "orders",
        "{hosts: [orders], http: [{route: [{destination: {host: orders, subset: v1}, weight: 90}, {destination: {host: orders, subset: v2}, weight: 10}]}]}",
      ),
    ];
    const deny = resource("AuthorizationPolicy", "v2", "{action: DENY, selector: {matchLabels: {version: v2}}, rules: [{}]}");
    const open = ask(meshOf(WEB, ...ORDERS, ...parts));
    expect(open.summary).toBe("200 via orders v1 (90%) or orders v2 (10%)");
    const answer = ask(meshOf(WEB, ...ORDERS, ...parts, deny));
    expect(answer).toMatchObject({ mixed: true, verdict: "deny", status: 403 });
    expect(answer.destinations.map(({ subset, verdict }) => [subset, verdict])).toEqual([
      ["v1", "allow"],
      ["v2", "deny"],
    ]);
  });

  test("a destination that is none says what is missing", () => {
    const routed = (destination: string) =>
      ask(
        meshOf(WEB, ...ORDERS, resource("VirtualService", "orders", `{hosts: [orders], http: [{route: [{destination: ${destination}}]}]}`)),
      );
    expect(routed("{host: orders, subset: v9}")).toMatchObject({ verdict: "no_route", status: 503 });
    expect(routed("{host: orders, subset: v9}").summary).toContain("subset v9");
    expect(routed("{host: ghost}").summary).toContain("there is no service ghost.default.mesh.local");
    expect(routed("{host: orders, port: {number: 1}}").summary).toContain("no port 1");
  });

  test("a DestinationRule's mutual TLS towards DISABLE is refused", () => {
    const disabled = resource("PeerAuthentication", "off", "{mtls: {mode: DISABLE}}");
    const mutual = resource("DestinationRule", "orders", "{host: orders, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}");
    expect(ask(meshOf(WEB, ...ORDERS, disabled)).mtls?.outcome).toBe("plaintext");
    expect(ask(meshOf(WEB, ...ORDERS, disabled, mutual))).toMatchObject({ verdict: "refused", status: 503 });
  });

  test("notPrincipals matches plaintext peers", () => {
    const policy = resource(
      "AuthorizationPolicy",
      "p",
      '{action: DENY, rules: [{from: [{source: {notPrincipals: ["mesh.local/ns/default/sa/web"]}}]}]}',
    );
    const mesh = meshOf(WEB, ...ORDERS, policy);
    expect(ask(mesh, { from: "plaintext" }).verdict).toBe("deny");
    expect(ask(mesh).verdict).toBe("allow");
  });

  test("on TCP an ALLOW rule with HTTP fields is gone, and a DENY rule loses only those fields", () => {
    const allow = resource("AuthorizationPolicy", "p", "{rules: [{to: [{operation: {methods: [GET]}}]}]}");
    const deny = resource("AuthorizationPolicy", "p", '{action: DENY, rules: [{to: [{operation: {methods: [PUT], ports: ["9090"]}}]}]}');
    expect(ask(meshOf(WEB, ...ORDERS, allow), { to: "orders:9090" })).toMatchObject({ protocol: "tcp", verdict: "deny" });
    expect(ask(meshOf(WEB, ...ORDERS, allow)).verdict).toBe("allow");
    expect(ask(meshOf(WEB, ...ORDERS, deny), { to: "orders:9090" }).verdict).toBe("deny");
    expect(ask(meshOf(WEB, ...ORDERS, deny)).verdict).toBe("allow");
  });

  test("a request that a TCP port's policy closes is a 503 of the caller's sidecar; a caller without one only sees the end", () => {
    const sidecar = resource(
      "Sidecar",
      "orders",
      "{workloadSelector: {labels: {app: orders}}, ingress: [{port: {number: 80, protocol: TCP, name: tcp}}]}",
    );
    const mesh = meshOf(WEB, ...ORDERS, sidecar, resource("AuthorizationPolicy", "p", "{}"));
    expect(ask(mesh)).toMatchObject({ verdict: "deny", status: 503 });
    expect(ask(mesh, { from: "plaintext" })).toMatchObject({ verdict: "deny", status: 0 });
  });

  test("dry-run policies are told and decide nothing", () => {
    const policy = resource("AuthorizationPolicy", "p", "{action: DENY, rules: [{}]}", 'annotations: {istio.io/dry-run: "true"}');
    const { verdict, authorization } = ask(meshOf(WEB, ...ORDERS, policy));
    expect(verdict).toBe("allow");
    expect(authorization?.policies).toMatchObject([{ policy: "default/p", dry_run: true, result: "match", rule: 0 }]);
  });

  test("a route's abort and redirect come before the server's policy", () => {
    const deny = resource("AuthorizationPolicy", "p", "{}");
    const routed = (rule: string) =>
      ask(meshOf(WEB, ...ORDERS, deny, resource("VirtualService", "v", `{hosts: [orders], http: [${rule}]}`)));
    const abort = routed("{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: orders}}]}");
    expect(abort).toMatchObject({ verdict: "fault", status: 418 });
    const redirect = routed("{redirect: {uri: /new, authority: other.example}}");
    expect(redirect).toMatchObject({ verdict: "redirect", status: 301, route: { location: "http://other.example/new" } });
    // One rule has not both; a delegate's redirect gets its root's fault.
    const root = "{hosts: [orders], http: [{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, delegate: {name: leaf}}]}";
    const leaf = resource("VirtualService", "leaf", "{http: [{redirect: {uri: /new}}]}");
    const both = ask(meshOf(WEB, ...ORDERS, leaf, resource("VirtualService", "root", root)));
    expect([both.verdict, both.status, both.route?.location]).toEqual(["fault", 418, undefined]);
  });

  test("a fault takes a CORS preflight too, before the corsPolicy would answer it", () => {
    const cors = "corsPolicy: {allowOrigins: [{exact: 'https://web.example'}]}, route: [{destination: {host: orders}}]";
    const preflight = { method: "OPTIONS", headers: { origin: "https://web.example", "access-control-request-method": "PUT" } };
    const asked = (rule: string) =>
      ask(meshOf(WEB, ...ORDERS, resource("VirtualService", "v", `{hosts: [orders], http: [${rule}]}`)), preflight);
    expect(asked(`{${cors}}`)).toMatchObject({ verdict: "direct_response", status: 200 });
    const abort = "fault: {abort: {httpStatus: 500, percentage: {value: 100}}}";
    expect(asked(`{${abort}, ${cors}}`)).toMatchObject({ verdict: "fault", status: 500 });
  });

  test("the older allowOrigin counts where there are no allowOrigins", () => {
    const preflight = { method: "OPTIONS", headers: { origin: "https://web.example", "access-control-request-method": "PUT" } };
    const asked = (cors: string) =>
      ask(
        meshOf(
          WEB,
          ...ORDERS,
          resource("VirtualService", "v", `{hosts: [orders], http: [{corsPolicy: {${cors}}, route: [{destination: {host: orders}}]}]}`),
        ),
        preflight,
      ).verdict;
    expect(asked("allowOrigin: ['https://web.example']")).toBe("direct_response");
    expect(asked("allowOrigin: ['https://web.example'], allowOrigins: [{exact: 'https://other.example'}]")).toBe("allow");
  });

  test("policies see the path as the route rewrote it", () => {
    const policy = resource("AuthorizationPolicy", "p", "{action: DENY, rules: [{to: [{operation: {paths: [/admin/x]}}]}]}");
    const rewrite = resource(
      "VirtualService",
      "v",
      "{hosts: [orders], http: [{match: [{uri: {prefix: /v2}}], rewrite: {uri: /admin}, route: [{destination: {host: orders}}]}]}",
    );
    expect(ask(meshOf(WEB, ...ORDERS, policy, rewrite), { path: "/v2/x" }).status).toBe(403);
  });

  test("a mesh built step by step answers as one built at once", () => {
    const labelled = (version: string) =>
      ORDERS.map((yaml, index) => (index === 0 ? yaml.replace("namespace: default,", `$& labels: {v: ${version}},`) : yaml));
    const parts = (version: string) => resourcesOf(WEB, ...labelled(version));
    const again = buildMesh(parts("b"), { ...OPTIONS, revision: 2 }, buildMesh(parts("a"), OPTIONS));
    expect(ask(again, { to: "orders:9090" })).toMatchObject({ protocol: "tcp", verdict: "allow" });
    expect(ask(again)).toMatchObject({ protocol: "http", verdict: "allow" });
  });

  test("a caller that is no workload is an error that names those there are", () => {
    expect(() => ask(meshOf(WEB, ...ORDERS), { from: "default/nobody" })).toThrow("there is no workload default/nobody");
  });
});

describe("tokens", () => {
  const authentication = resource(
    "RequestAuthentication",
    "r",
    JSON.stringify({ jwtRules: [{ issuer: "https://issuer.test", jwks: JWKS, audiences: ["orders"] }] }),
  ).replace("networking.istio.io", "security.istio.io");
  const needed = resource("AuthorizationPolicy", "p", '{rules: [{when: [{key: "request.auth.claims[group]", values: [staff]}]}]}');
  const mesh = meshOf(WEB, ...ORDERS, authentication, needed);
  const claims = { iss: "https://issuer.test", sub: "jason", aud: "orders", group: "staff" };
  const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });

  test("a real token is verified: its signature, its times, its audience", () => {
    expect(ask(mesh, bearer(token(claims))).status).toBe(200);
    expect(ask(mesh, bearer(token(claims, { forged: true }))).status).toBe(401);
    expect(ask(mesh, bearer(token({ ...claims, exp: NOW / 1000 - 3600 }))).summary).toContain("expired");
    expect(ask(mesh, bearer(token({ ...claims, aud: "others" }))).status).toBe(403);
    expect(ask(mesh, bearer("not.a.jwt")).status).toBe(401);
  });

  test("without a token a request passes RequestAuthentication, and has no claims", () => {
    const answer = ask(mesh);
    expect(answer.jwt?.result).toBe("missing");
    expect(answer).toMatchObject({ status: 403, authorization: { policy: "default/p", rule: null } });
  });

  test("headers that tell of a token are no client's to send: only an accepted token sets them", () => {
    const rules = [
      { issuer: "https://issuer.test", jwks: JWKS, outputClaimToHeaders: [{ header: "X-User", claim: "sub" }] },
      { issuer: "https://other.test", jwks: JWKS, fromHeaders: [{ name: "x-jwt" }], outputPayloadToHeader: "X-Payload" },
    ];
    const tokens = resource("RequestAuthentication", "r", JSON.stringify({ jwtRules: rules }));
    const when = (header: string) => `{key: "request.headers[${header}]", values: ["*"]}`;
    const deny = (header: string) => resource("AuthorizationPolicy", "p", `{action: DENY, rules: [{when: [${when(header)}]}]}`);
    const user = meshOf(WEB, ...ORDERS, tokens, deny("x-user"));
    const payload = meshOf(WEB, ...ORDERS, tokens, deny("x-payload"));
    const forged = { "x-user": "root", "x-payload": "e30" };
    expect(ask(user, { headers: forged }).status).toBe(200);
    expect(ask(payload, { headers: forged }).status).toBe(200);
    const { authorization } = bearer(token(claims)).headers;
    expect(ask(user, { headers: { ...forged, authorization } }).status).toBe(403);
    // Envoy stops at the rule that accepts a token: what later rules would take away stays.
    expect(ask(payload, { headers: { ...forged, authorization } }).status).toBe(403);
  });

  test("claims that are told count as a verified token's, and mean nothing where no policy takes tokens", () => {
    expect(ask(mesh, { claims: { sub: "jason", aud: "orders", group: "staff" } }).status).toBe(200);
    expect(ask(mesh, { claims: { ...claims, iss: "https://third.test" } }).status).toBe(401);
    expect(ask(meshOf(WEB, ...ORDERS), { claims }).jwt?.result).toBe("ignored");
  });
});
