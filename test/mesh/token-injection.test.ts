import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { injectionAt, tokensNeeded } from "../../src/mesh/token-injection.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { why } from "../../src/why/index.ts";
import { jwtResource } from "../../src/xds/filters/jwt.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const ISSUER = "spiffe://mesh.local";
const injection = (name: string, spec: string, { namespace = "default", day = 1 } = {}) =>
  `apiVersion: weft.dev/v1\nkind: TokenInjection\nmetadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "2026-01-0${day}T00:00:00Z"}\nspec: ${spec}`;
const authentication = (rule: string) =>
  resource("RequestAuthentication", "orders", `{selector: {matchLabels: {app: orders}}, jwtRules: [${rule}]}`);

const TCP = "[{number: 5432, name: tcp, protocol: TCP}]";
const SERVICES = [
  httpService("orders"),
  httpService("billing"),
  httpService("db", "", TCP),
  workload("web-1", "web", "10.0.0.1"),
  workload("orders-1", "orders", "10.0.0.2"),
  workload("billing-1", "billing", "10.0.0.3"),
  resource("WorkloadEntry", "legacy-1", "{address: 10.0.0.4, labels: {app: legacy}}"),
  resource(
    "WorkloadEntry",
    "front-1",
    "{address: 10.0.0.5, labels: {app: front}, serviceAccount: front}",
    "annotations: {weft.dev/type: gateway}",
  ),
];

const at = (yaml: string[], caller: string, host = "orders.default.mesh.local") =>
  injectionAt(meshOf(...SERVICES, ...yaml).injections.get(`default/${caller}`), host)?.token.audience;
const findings = (...yaml: string[]) => findingsOf(resourcesOf(...SERVICES, ...yaml));
const findingsOf = (resources: readonly AnyResource[]) => {
  return analyze(resources, buildMesh(resources, OPTIONS))
    .filter(({ resource: about }) => about?.kind === "TokenInjection" || about?.kind === "RequestAuthentication")
    .map(({ message }) => message)
    .sort();
};

describe("Of several TokenInjections for a host one holds", () => {
  const wide = injection("wide", "{hosts: [orders.default.mesh.local], audience: wide}", { namespace: "weft-system" });
  const own = injection("own", "{hosts: [orders], audience: own}");
  const selecting = injection("selecting", "{selector: {matchLabels: {app: web}}, hosts: [orders], audience: selecting}", { day: 3 });
  const younger = injection("younger", "{hosts: [orders, billing], audience: younger}", { day: 2 });

  test("one that selects the workload before the namespace's, before the root namespace's, whatever their age", () => {
    expect(at([wide], "web-1")).toBe("wide");
    expect(at([wide, own], "web-1")).toBe("own");
    expect(at([wide, own, selecting], "web-1")).toBe("selecting");
    expect(at([wide, own, selecting], "orders-1")).toBe("own");
  });

  test("the oldest of a scope, host by host", () => {
    expect(at([younger, own], "web-1")).toBe("own");
    expect(at([younger, own], "web-1", "billing.default.mesh.local")).toBe("younger");
  });

  test("a selector in the root namespace selects there only", () => {
    const root = injection("root", "{selector: {matchLabels: {app: web}}, hosts: [orders.default.mesh.local], audience: root}", {
      namespace: "weft-system",
    });
    expect(at([root], "web-1")).toBeUndefined();
  });

  test("none at a workload without a service account, and at a gateway only one that selects it", () => {
    expect(at([own], "legacy-1")).toBeUndefined();
    expect(at([own], "front-1")).toBeUndefined();
    expect(at([injection("front", "{selector: {matchLabels: {app: front}}, hosts: [orders], audience: front}")], "front-1")).toBe("front");
  });

  test("a wildcard names what is under it, and a name no wildcard's service", () => {
    expect(at([injection("a", '{hosts: ["*.default.mesh.local"], audience: a}')], "web-1")).toBe("a");
    expect(at([injection("a", "{hosts: [api.example.com], audience: a}")], "web-1", "*.example.com")).toBeUndefined();
  });

  test("a proxy gets a token for each audience and prefix that its HTTP clusters need, and no other", () => {
    const mesh = meshOf(
      ...SERVICES,
      injection("a", "{hosts: [orders, billing], audience: a}"),
      injection("b", "{selector: {matchLabels: {app: web}}, hosts: [billing], audience: a, header: x-token}"),
      injection("c", "{hosts: [db], audience: c}"),
      injection("d", "{hosts: [nowhere], audience: d}"),
    );
    expect(tokensNeeded(mesh, "default/web-1").map(({ secret }) => secret)).toEqual(["jwt-svid/:a", "jwt-svid:a"]);
    expect(tokensNeeded(mesh, "default/orders-1").map(({ secret }) => secret)).toEqual(["jwt-svid:a"]);
    expect(tokensNeeded(mesh, "default/legacy-1")).toEqual([]);
  });
});

describe("weft check", () => {
  test("tells of hosts that nobody knows, of TCP, of callers without a name, and of selectors that select nothing", () => {
    expect(findings(injection("a", "{selector: {matchLabels: {app: web}}, hosts: [orders, nowhere, db], audience: a}"))).toEqual([
      "spec.hosts[1]: there is no service nowhere.default.mesh.local: no call carries the token",
      "spec.hosts[2]: db has no HTTP port, and elsewhere there is no header to write",
    ]);
    expect(findings(injection("a", "{selector: {matchLabels: {app: legacy}}, hosts: [orders], audience: a}"))).toEqual([
      "spec.selector.matchLabels: default/legacy-1 has no service account, so no identity that a token could tell: its calls carry none",
    ]);
    expect(findings(injection("a", "{selector: {matchLabels: {app: nobody}}, hosts: [orders], audience: a}"))).toEqual([
      "spec.selector.matchLabels: no workload of namespace default has the labels app=nobody",
    ]);
  });

  test("tells of a TokenInjection in whose place an older one of its scope stands, and not of one that is overruled for some workloads", () => {
    const selector = "selector: {matchLabels: {app: web}}";
    const older = injection("older", `{${selector}, hosts: [orders], audience: a}`);
    const younger = injection("younger", `{${selector}, hosts: [orders], audience: b}`, { day: 2 });
    expect(findings(older, younger)).toEqual([expect.stringContaining("holds for orders at default/web-1: of several one adds its token")]);
    expect(findings(older, injection("wide", '{hosts: ["*.default.mesh.local"], audience: c}', { namespace: "weft-system" }))).toEqual([
      expect.stringContaining("default/legacy-1 has no service account"),
    ]);
  });

  test("tells of a rule without audiences that an earlier weft took, which takes no token any more", () => {
    const adding = injection("to-orders", "{hosts: [orders], audience: orders}");
    const stored = resourcesOf(...SERVICES, adding, authentication(`{issuer: "${ISSUER}", audiences: [a]}`)).map((one) =>
      one.kind === "RequestAuthentication" ? { ...one, spec: { ...one.spec, jwtRules: [{ issuer: ISSUER }] } } : one,
    );
    expect(findingsOf(stored)).toContainEqual(expect.stringContaining("names no audiences"));
    const mesh = buildMesh(stored, { ...OPTIONS, jwtAuthorities: new Map([[ISSUER, '{"keys":[{"kty":"EC","kid":"known"}]}']]) });
    expect(why(mesh, { from: "default/web-1", to: "orders" }, { now: 0 })).toMatchObject({ status: 401, jwt: { result: "invalid" } });
    const authenticationOfOrders = mesh.authentication.get("default/orders-1");
    if (!authenticationOfOrders) throw new Error("no rules");
    const sent = new TextDecoder().decode(jwtResource(authenticationOfOrders).any);
    expect([sent.includes('"kid":"none"'), sent.includes("known")]).toEqual([true, false]);
  });

  test("tells of a rule whose issuer nobody knows", () => {
    expect(findings(authentication('{issuer: "spiffe://elsewhere", audiences: [a]}'))).toEqual([
      expect.stringContaining("the keys of spiffe://elsewhere are not known here"),
    ]);
    expect(findings(authentication(`{issuer: "${ISSUER}", audiences: [a]}`))).toEqual([]);
  });
});

describe("The mesh's own tokens", () => {
  const JWKS = '{"keys":[{"kty":"EC","crv":"P-256","kid":"one","x":"a","y":"b"}]}';

  test("are verified by the trust domain's keys, which follow a rotation", () => {
    const resources = resourcesOf(...SERVICES, authentication(`{issuer: "${ISSUER}", audiences: [orders]}`));
    const keysOf = (jwks?: string) => {
      const jwtAuthorities = new Map(jwks === undefined ? [] : [[ISSUER, jwks]]);
      return buildMesh(resources, { ...OPTIONS, jwtAuthorities }).authentication.get("default/orders-1")?.rules[0]?.keys;
    };
    expect(keysOf(JWKS)).toMatchObject({ jwks: JWKS, authority: ISSUER });
    expect(keysOf(JWKS.replace("one", "two"))?.jwks).toContain("two");
    // Until they are known none is taken, and nobody is asked for them.
    expect(keysOf()).toEqual({ jwks: undefined, authority: ISSUER, timeoutMs: 5_000 });
  });

  const web = `${ISSUER}/ns/default/sa/web`;
  const policy = (principal: string) =>
    resource(
      "AuthorizationPolicy",
      "orders",
      `{selector: {matchLabels: {app: orders}}, rules: [{from: [{source: {requestPrincipals: ["${principal}"]}}]}]}`,
    );
  const asked = (
    principal: string,
    more: { audience?: string; header?: string; rule?: string; claims?: Record<string, unknown> } = {},
  ): (string | number | undefined)[] => {
    const { audience = "orders", header, rule = `{issuer: "${ISSUER}", audiences: [orders]}`, claims } = more;
    const mesh = meshOf(
      ...SERVICES,
      injection("to-orders", JSON.stringify({ selector: { matchLabels: { app: "web" } }, hosts: ["orders"], audience, header })),
      authentication(rule),
      policy(principal),
    );
    const { verdict, status, jwt } = why(mesh, { from: "default/web-1", to: "orders", claims }, { now: 0 });
    return [verdict, status, jwt?.result];
  };

  test.each([
    [`${ISSUER}/${web}`, "allow"],
    [`${ISSUER}/${ISSUER}/ns/default/*`, "allow"],
    [`*/${web}`, "allow"],
    ["*", "allow"],
    [`${ISSUER}/*`, "allow"],
    [`${ISSUER}/${ISSUER}/ns/default/sa/billing`, "deny"],
    [`spiffe://elsewhere/${web}`, "deny"],
  ])("have the principal ISSUER/SPIFFE-ID: %s means %s", (principal, verdict) => {
    expect(String(asked(principal)[0])).toBe(verdict);
  });

  test("are judged in weft why by the audience, the place and the issuer, as the server does", () => {
    expect(asked("*")).toEqual(["allow", 200, "valid"]);
    expect(asked("*", { audience: "billing" })).toEqual(["deny", 403, "invalid"]);
    expect(asked("*", { header: "x-token" })).toEqual(["deny", 403, "missing"]);
    expect(asked("*", { header: "x-token", rule: `{issuer: "${ISSUER}", audiences: [orders], fromHeaders: [{name: X-Token}]}` })).toEqual([
      "allow",
      200,
      "valid",
    ]);
    expect(asked("*", { rule: `{issuer: "${ISSUER}", jwks: '${JWKS}'}` })).toEqual(["deny", 401, "invalid"]);
    // What the application sends in the same place never arrives.
    expect(asked(`${ISSUER}/alice`, { claims: { iss: ISSUER, sub: "alice", aud: "orders" } })).toEqual(["deny", 403, "valid"]);
  });
});
