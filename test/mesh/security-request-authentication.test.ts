import { describe, expect, test } from "bun:test";
import { parseConditions, subjectOfKey } from "../../src/mesh/authorization-condition.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { jwksNeeds } from "../../src/mesh/request-authentication.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { settings } from "../fakes/security.ts";

const KEYS =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw","y":"HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8"}]}';

const workload = (namespace: string, name: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: ${namespace}}
spec: {address: 10.0.0.1, labels: {app: ${name}}, serviceAccount: ${name}}
`;
const policy = (namespace: string, name: string, spec: object, created = "2024-01-01T00:00:00Z") => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}"}
spec: ${JSON.stringify(spec)}
`;

function meshOf(policies: readonly string[], jwks?: ReadonlyMap<string, string>) {
  const text = [workload("default", "orders"), workload("default", "web"), workload("ops", "batch"), ...policies].join("---\n");
  const { resources, problems } = parseDocuments(text, "x.yaml");
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return buildMesh(resources, { revision: 1, trustDomain: "mesh.local", jwks });
}

const rules = (policies: readonly string[], key = "default/orders") => meshOf(policies).authentication.get(key)?.rules ?? [];
const issuers = (policies: readonly string[], key?: string) => rules(policies, key).map(({ issuer }) => issuer);
const by = (issuer: string, more: object = {}) => ({ issuer, jwks: KEYS, ...more });

describe("RequestAuthentication at a workload", () => {
  test("holds in its namespace, and from the root namespace in all, with its selector there too", () => {
    const orders = { selector: { matchLabels: { app: "orders" } } };
    const policies = [
      policy("default", "namespace", { jwtRules: [by("n")] }),
      policy("default", "selected", { ...orders, jwtRules: [by("s")] }),
      policy("weft-system", "mesh", { jwtRules: [by("m")] }),
      policy("weft-system", "selected", { selector: { matchLabels: { app: "batch" } }, jwtRules: [by("b")] }),
      policy("ops", "other", { jwtRules: [by("o")] }),
    ];
    expect(issuers(policies)).toEqual(["m", "n", "s"]);
    expect(issuers(policies, "default/web")).toEqual(["m", "n"]);
    expect(issuers(policies, "ops/batch")).toEqual(["b", "m", "o"]);
  });

  test("is the sum of all policies: no policy replaces another, not even for the same issuer", () => {
    const policies = [
      policy("weft-system", "old", { jwtRules: [by("a", { audiences: ["root"] })] }, "2020-01-01T00:00:00Z"),
      policy("default", "young", { jwtRules: [by("a", { audiences: ["young"] })] }, "2024-01-01T00:00:00Z"),
      policy("default", "old", { jwtRules: [by("b"), by("a", { audiences: ["old"] })] }, "2023-01-01T00:00:00Z"),
    ];
    expect(rules(policies).map(({ issuer, audiences }) => [issuer, ...audiences])).toEqual([
      ["a", "old"],
      ["a", "young"],
      ["a", "root"],
      ["b"],
    ]);
    expect(rules(policies)[0]?.source).toMatchObject({ name: "old", namespace: "default" });
  });

  test("looks for tokens in the Authorization header and the parameter access_token, unless it says where", () => {
    const at = (more: object) => rules([policy("default", "p", { jwtRules: [by("a", more)] })])[0]?.locations;
    expect(at({})).toEqual({ headers: [{ name: "Authorization", prefix: "Bearer " }], params: ["access_token"], cookies: [] });
    expect(at({ fromCookies: ["session"] })).toEqual({ headers: [], params: [], cookies: ["session"] });
    expect(at({ fromHeaders: [{ name: "x" }] })).toEqual({ headers: [{ name: "x", prefix: "" }], params: [], cookies: [] });
  });

  test("has the keys of the policy, else those that were fetched by its URI, else by the issuer's discovery; else none", () => {
    const given = [
      policy("default", "p", {
        jwtRules: [
          by("a"),
          { issuer: "b", jwksUri: "https://b/keys", timeout: "2s" },
          { issuer: "https://c/" },
          { issuer: "d", jwksUri: "https://b/keys" },
          { issuer: "e", jwksUri: "https://e/keys" },
        ],
      }),
    ];
    const fetched = new Map([
      ["https://b/keys", "B"],
      ["discovery https://c/.well-known/openid-configuration", "C"],
    ]);
    const mesh = meshOf(given, fetched);
    const keys = mesh.authentication.get("default/orders")?.rules.map(({ issuer, keys: { jwks } }) => [issuer, jwks]);
    expect(keys).toEqual([
      ["a", KEYS],
      ["b", "B"],
      ["d", "B"],
      ["e", undefined],
      ["https://c/", "C"],
    ]);
    const needs = [...jwksNeeds(mesh)].map(([key, { timeoutMs, issuers: of }]) => [key, timeoutMs, of]);
    expect(needs).toEqual([
      ["discovery https://c/.well-known/openid-configuration", 5_000, ["https://c/"]],
      ["https://b/keys", 5_000, ["b", "d"]],
      ["https://e/keys", 5_000, ["e"]],
    ]);
  });

  test("asks for no keys where no workload is selected", () => {
    const nowhere = policy("default", "p", {
      selector: { matchLabels: { app: "none" } },
      jwtRules: [{ issuer: "b", jwksUri: "https://b/keys" }],
    });
    expect([...jwksNeeds(meshOf([nowhere]))]).toEqual([]);
  });

  test("keeps its object while only other keys change", () => {
    const policies = [
      policy("default", "p", { selector: { matchLabels: { app: "web" } }, jwtRules: [{ issuer: "b", jwksUri: "https://b/keys" }] }),
    ];
    const text = [workload("default", "orders"), workload("default", "web"), ...policies].join("---\n");
    const { resources } = parseDocuments(text, "x.yaml");
    const before = buildMesh(resources, { revision: 1, trustDomain: "mesh.local" });
    const after = buildMesh(resources, { revision: 1, trustDomain: "mesh.local", jwks: new Map([["https://b/keys", "B"]]) }, before);
    expect(after.authentication.get("default/orders")).toBe(before.authentication.get("default/orders") as never);
    expect(after.authentication.get("default/web")?.rules[0]?.keys.jwks).toBe("B");
    expect(after.workloads).toBe(before.workloads);
  });
});

describe("A request's principal in a policy", () => {
  const exact = (value: string) => ({ kind: "exact", value, ignoreCase: false });
  const prefix = (value: string) => ({ kind: "prefix", value, ignoreCase: false });
  const suffix = (value: string) => ({ kind: "suffix", value, ignoreCase: false });
  const any = { kind: "regex", value: ".+" };
  const cases: readonly (readonly [string, object, object])[] = [
    ["*", any, any],
    ["https://a.example/alice", exact("https://a.example"), exact("alice")],
    ["https://a.example/*", exact("https://a.example"), any],
    ["https://a.example/al*", exact("https://a.example"), prefix("al")],
    ["*/alice", any, exact("alice")],
    ["*.example/alice", suffix(".example"), exact("alice")],
    ["*@example.com", any, suffix("@example.com")],
    ["issuer*", prefix("issuer"), any],
    ["*/*", any, exact("*")],
    ["issuer", exact("issuer"), exact("")],
  ];
  for (const [value, issuer, subject] of cases) {
    test(`${value} is split at its last slash, and its star belongs to one side`, () => {
      const { conditions, broken } = parseConditions(subjectOfKey("request.auth.principal"), [value], { namespace: "default", settings });
      expect([broken, conditions]).toEqual([false, [{ kind: "request-principal", issuer, subject } as never]]);
    });
  }
});

describe("A claim in a policy", () => {
  test("may stand inside other claims", () => {
    expect(subjectOfKey("request.auth.claims[a][b]").path).toEqual(["a", "b"]);
    expect(subjectOfKey("request.auth.claims[a.b]").path).toEqual(["a.b"]);
    expect(subjectOfKey("request.auth.claims[a[b]]").path).toEqual(["a[b]"]);
    expect(subjectOfKey("request.auth.claimsX[a]").kind).toBe("unknown");
  });
});
