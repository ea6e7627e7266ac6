import { describe, expect, test } from "bun:test";
import type { Mesh } from "../../src/mesh/types.ts";
import { type WhyAnswer, type WhyRequest, why } from "../../src/why/index.ts";
import { withoutParameter } from "../../src/why/path.ts";
import { httpService, meshOf, resource, workload } from "../mesh/harness.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const FILES = "serverCertificate: /etc/cert.pem, privateKey: /etc/key.pem";
const FRONT = resource(
  "WorkloadEntry",
  "front-1",
  "{address: 10.0.0.1, serviceAccount: front}",
  "labels: {istio: ingressgateway}, annotations: {weft.dev/type: gateway}",
);
const GATEWAY = resource(
  "Gateway",
  "front",
  `
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com], tls: {httpsRedirect: true}}
    - {port: {number: 8080, name: plain, protocol: HTTP}, hosts: [shop.example.com]}
    - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, ${FILES}}}
    - {port: {number: 443, name: partner, protocol: HTTPS}, hosts: [partner.example.com], tls: {mode: MUTUAL, ${FILES}, caCertificates: /etc/ca.pem}}
    - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [vault.example.com], tls: {mode: PASSTHROUGH}}
    - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ["*"]}`,
);
const SHOP = resource(
  "VirtualService",
  "shop",
  `{hosts: [shop.example.com], gateways: [front], http: [
    {name: beta, match: [{headers: {x-beta: {exact: yes}}}], directResponse: {status: 418}},
    {match: [{uri: {prefix: /cart}}], route: [{destination: {host: orders}}]}]}`,
);
const VAULT = resource(
  "VirtualService",
  "vault",
  "{hosts: [vault.example.com], gateways: [front], tls: [{match: [{sniHosts: [vault.example.com]}], route: [{destination: {host: vault}}]}]}",
);
const BYTES = resource(
  "VirtualService",
  "bytes",
  '{hosts: ["*"], gateways: [front], tcp: [{match: [{port: 9000}], route: [{destination: {host: vault}}]}]}',
);
const SERVICES = [
  httpService("orders"),
  workload("orders-1", "orders", "10.0.0.2"),
  httpService("vault", "", "[{number: 443, name: tcp, protocol: TCP}]"),
  workload("vault-1", "vault", "10.0.0.3"),
];
const STRICT = resource("PeerAuthentication", "default", "{mtls: {mode: STRICT}}");
const mesh = (...more: string[]) => meshOf(FRONT, GATEWAY, SHOP, VAULT, BYTES, STRICT, ...SERVICES, ...more);

const ask = (of: Mesh, to: string, more: Partial<WhyRequest> = {}): WhyAnswer =>
  why(of, { from: "default/front-1", to, path: "/cart", ...more }, { now: NOW });
const results = ({ steps }: WhyAnswer, stage: string) => steps.filter((step) => step.stage === stage).map(({ result }) => result);
const policy = (name: string, spec: string) => resource("AuthorizationPolicy", name, spec);

describe("weft why at a gateway", () => {
  test("a redirect to the port that was called names none that the client's TLS implies", () => {
    const moved = resource(
      "VirtualService",
      "shop",
      "{hosts: [shop.example.com], gateways: [front], http: [{redirect: {authority: new.example.com, derivePort: FROM_REQUEST_PORT}}]}",
    );
    const location = (to: string) => ask(meshOf(FRONT, GATEWAY, moved, ...SERVICES), to).route?.location;
    expect(location("shop.example.com:443")).toBe("https://new.example.com/cart");
    expect(location("shop.example.com:8080")).toBe("http://new.example.com:8080/cart");
  });

  test("a request goes by server, virtual host and route to a STRICT service, under the gateway's identity", () => {
    const answer = ask(mesh(), "shop.example.com:8080");
    expect(answer).toMatchObject({ verdict: "allow", status: 200, summary: "200 via orders" });
    expect(answer.mtls).toMatchObject({ outcome: "mutual_tls", server: "STRICT", peer: "spiffe://mesh.local/ns/default/sa/front" });
    expect(answer.steps[0]).toMatchObject({ stage: "listener", result: "plaintext", source: { kind: "Gateway", name: "front" } });
    expect(answer.steps.find(({ stage, result }) => stage === "route" && result === "no_match")?.reason).toContain("x-beta is absent");
    expect(ask(mesh(), "shop.example.com:8080", { headers: { "x-beta": "yes" } })).toMatchObject({
      verdict: "direct_response",
      status: 418,
    });
    expect(ask(mesh(), "shop.example.com:8080", { path: "/" })).toMatchObject({ verdict: "no_route", status: 404 });
    expect(ask(mesh(), "other.example.com:8080")).toMatchObject({ verdict: "no_route", status: 404 });
  });

  test("httpsRedirect sends plaintext to https before any route is looked at", () => {
    const answer = ask(mesh(), "shop.example.com:80", { path: "/none?x=1", headers: { host: "shop.example.com" } });
    expect(answer).toMatchObject({ verdict: "redirect", status: 301, route: { location: "https://shop.example.com/none?x=1" } });
  });

  test("TLS chooses the server by its name; a name that none takes is closed", () => {
    const answer = ask(mesh(), "shop.example.com:443");
    expect(answer).toMatchObject({ verdict: "allow", status: 200 });
    expect(results(answer, "listener")).toEqual(["tls"]);
    expect(ask(mesh(), "other.example.com:443")).toMatchObject({ verdict: "refused", status: 0 });
  });

  test("TLS is passed on by its name, and TCP by the port", () => {
    const answer = ask(mesh(), "vault.example.com:8443");
    expect(answer).toMatchObject({ verdict: "allow", protocol: "tcp", summary: "connected via vault" });
    expect(answer.mtls).toMatchObject({ outcome: "mutual_tls" });
    expect(ask(mesh(), "shop.example.com:8443")).toMatchObject({ verdict: "refused", status: 0, protocol: "tcp" });
    expect(ask(mesh(), "anything:9000")).toMatchObject({ verdict: "allow", protocol: "tcp" });
  });

  test("the gateway's own policies are asked first, also about what no route takes", () => {
    const selector = "selector: {matchLabels: {istio: ingressgateway}}";
    const deny = policy("front", `{${selector}, action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}`);
    const answer = ask(mesh(deny), "shop.example.com:8080", { path: "/admin" });
    expect(answer).toMatchObject({ verdict: "deny", status: 403, authorization: { policy: "default/front", rule: 0 } });
    expect(answer.summary).toBe("403 by AuthorizationPolicy default/front rule 0, at the gateway");
    expect(ask(mesh(deny), "shop.example.com:8080")).toMatchObject({ verdict: "allow" });
    const blocks = policy("blocks", `{${selector}, action: DENY, rules: [{from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}]}`);
    const from = (sourceIp: string) =>
      ask(mesh(blocks), "shop.example.com:8080", { sourceIp, headers: { "x-forwarded-for": "192.0.2.9" } });
    expect(from("192.0.2.1").verdict).toBe("deny");
    expect(from("198.51.100.1").verdict).toBe("allow");
    const closed = policy("closed", `{${selector}, action: DENY, rules: [{to: [{operation: {ports: ["9000"]}}]}]}`);
    expect(ask(mesh(closed), "anything:9000")).toMatchObject({ verdict: "deny", status: 0, protocol: "tcp" });
    expect(ask(mesh(closed), "vault.example.com:8443").verdict).toBe("allow");
  });

  test("the server's policies see the gateway as the caller", () => {
    const only = (account: string) =>
      policy(
        "orders",
        `{selector: {matchLabels: {app: orders}}, action: ALLOW, rules: [{from: [{source: {principals: [mesh.local/ns/default/sa/${account}]}}]}]}`,
      );
    expect(ask(mesh(only("front")), "shop.example.com:443").verdict).toBe("allow");
    const denied = ask(mesh(only("web")), "shop.example.com:443");
    expect(denied).toMatchObject({ verdict: "deny", status: 403, authorization: { policy: "default/orders" } });
    expect(denied.summary).not.toContain("at the gateway");
  });

  test("a claim counts at the server only where the gateway lets its token go on", () => {
    const tokens = (name: string, app: string, more = "") =>
      resource("RequestAuthentication", name, `{selector: {matchLabels: {${app}}}, jwtRules: [{issuer: me, jwks: '{"keys": []}'${more}}]}`);
    const needs = policy(
      "orders",
      '{selector: {matchLabels: {app: orders}}, action: ALLOW, rules: [{from: [{source: {requestPrincipals: ["me/you"]}}]}]}',
    );
    const claims = { iss: "me", sub: "you" };
    const at = (more: string) =>
      ask(mesh(tokens("front", "istio: ingressgateway", more), tokens("orders", "app: orders"), needs), "shop.example.com:8080", {
        claims,
      });
    expect(at(", forwardOriginalToken: true").verdict).toBe("allow");
    expect(at("")).toMatchObject({ verdict: "deny", status: 403 });
  });

  const CA = "caCertificates: /etc/ca.pem";
  const serving = (tls: string, ...more: string[]) =>
    meshOf(
      FRONT,
      resource(
        "Gateway",
        "front",
        `{selector: {istio: ingressgateway}, servers: [
          {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {${tls}}},
          {port: {number: 443, name: wild, protocol: HTTPS}, hosts: ["*.example.com"], tls: {mode: SIMPLE, ${FILES}}}]}`,
      ),
      SHOP,
      ...SERVICES,
      ...more,
    );
  const shows = (of: Mesh, ...clientCertificate: string[]) =>
    ask(of, "shop.example.com:443", clientCertificate.length > 0 ? { clientCertificate } : {});

  test("MUTUAL refuses a client without a certificate, and one whose names are others", () => {
    const named = serving(`mode: MUTUAL, ${FILES}, ${CA}, subjectAltNames: [client.example.com]`);
    expect(shows(named)).toMatchObject({ verdict: "refused", status: 0, mtls: { outcome: "refused" } });
    expect(shows(named).summary).toContain("MUTUAL demands a client certificate, and none is shown");
    expect(shows(named, "stranger.example.com").verdict).toBe("refused");
    const known = shows(named, "other.example.com", "client.example.com");
    expect([known.verdict, results(known, "listener")]).toEqual(["allow", ["mutual_tls"]]);
    const lax = serving(`mode: MUTUAL, ${FILES}, ${CA}, subjectAltNames: [client.example.com], insecureSkipVerify: true`);
    expect(shows(lax, "stranger.example.com").verdict).toBe("allow");
  });

  test("OPTIONAL_MUTUAL takes a client with a certificate and without one, and policies know only the first", () => {
    const needs = policy(
      "front",
      '{selector: {matchLabels: {istio: ingressgateway}}, rules: [{from: [{source: {principals: ["partner/ns/a/sa/b"]}}]}]}',
    );
    const optional = (...more: string[]) => serving(`mode: OPTIONAL_MUTUAL, ${FILES}, ${CA}`, ...more);
    const without = shows(optional());
    expect([without.verdict, results(without, "listener")]).toEqual(["allow", ["tls"]]);
    expect(shows(optional(needs))).toMatchObject({ verdict: "deny", status: 403 });
    const partner = shows(optional(needs), "client.example.com", "spiffe://partner/ns/a/sa/b");
    expect([partner.verdict, results(partner, "listener")]).toEqual(["allow", ["mutual_tls"]]);
  });

  test("a server whose Secret is missing is closed, and no wildcard takes its connections", () => {
    const stored = serving("mode: SIMPLE, credentialName: shop");
    expect(shows(stored)).toMatchObject({ verdict: "refused", status: 0 });
    expect(shows(stored).summary).toContain("there is no Secret default/shop");
  });

  test("what cannot be told is refused with what to write", () => {
    const asWorkload = { from: "default/orders-1", clientCertificate: ["x"] };
    expect(() => ask(mesh(), "shop.example.com", asWorkload)).toThrow("for requests that come in at a gateway");
    expect(() => ask(mesh(), "shop.example.com")).toThrow("takes requests at several ports");
    expect(() => ask(mesh(), "shop.example.com:7")).toThrow("has no port 7");
    expect(() => ask(meshOf(FRONT), "shop.example.com")).toThrow("takes no requests");
  });
});

test("A token in the query leaves with all parameters of its name, and a token that is only told leaves the query alone", () => {
  const tokens = (more: string) =>
    resource(
      "RequestAuthentication",
      "front",
      `{selector: {matchLabels: {istio: ingressgateway}}, jwtRules: [{issuer: me, fromParams: [t], jwks: '{"keys": []}'${more}}]}`,
    );
  // Told claims stand for a token in no place at all.
  const told = ask(mesh(tokens("")), "shop.example.com:8080", { claims: { iss: "me" }, path: "/cart?t=x&u=1" });
  expect(told.destinations[0]?.request?.path).toBe("/cart?t=x&u=1");
  expect(withoutParameter("/cart?t=x&u=1&t=y&tt=2&t", "t")).toBe("/cart?u=1&tt=2");
  expect(withoutParameter("/cart?t=x", "t")).toBe("/cart");
});
