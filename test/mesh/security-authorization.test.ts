import { describe, expect, test } from "bun:test";
import { buildAuthorization } from "../../src/mesh/authorization.ts";
import { type AuthorizationRuleSet, buildRuleSet } from "../../src/mesh/authorization-rule.ts";
import type { Mesh, Settings } from "../../src/mesh/types.ts";
import type { AuthorizationPolicySpec } from "../../src/model/authorization-policy.ts";
import type { Resource } from "../../src/model/resource.ts";
import { type PolicyOptions, policy, settings, workload, workloads } from "../fakes/security.ts";

function authz(key: string, spec: AuthorizationPolicySpec, options: PolicyOptions = {}): Resource<"AuthorizationPolicy"> {
  return policy("AuthorizationPolicy", key, spec, options);
}

function tree(spec: AuthorizationPolicySpec, using: Settings = settings, options: PolicyOptions = {}): AuthorizationRuleSet {
  const built = buildRuleSet(authz("default/p", spec, options), using);
  if (!built) throw new Error("no rule set");
  return built;
}

type Rule = NonNullable<AuthorizationPolicySpec["rules"]>[number];

/** All conditions of the first rule, permissions first. */
function conditions(rule: Rule, using: Settings = settings) {
  const [first] = tree({ rules: [rule] }, using).http;
  return [...(first?.permissions ?? []), ...(first?.principals ?? [])].flat().flatMap((clause) => clause.conditions);
}

const exact = (value: string) => ({ kind: "exact", value, ignoreCase: false }) as const;
const prefix = (value: string) => ({ kind: "prefix", value, ignoreCase: false }) as const;
const suffix = (value: string) => ({ kind: "suffix", value, ignoreCase: false }) as const;
const regex = (value: string) => ({ kind: "regex", value }) as const;

describe("Which policies hold at a workload", () => {
  const orders = workload("default/orders");
  const batch = workload("ops/batch");
  const names = (sets: readonly AuthorizationRuleSet[] | undefined) => sets?.map(({ source }) => `${source.namespace}/${source.name}`);

  test("Those of its namespace and of the root namespace, whose selectors work everywhere", () => {
    const built = buildAuthorization(
      [
        authz("default/all", {}),
        authz("default/other", { selector: { matchLabels: { app: "web" } } }),
        authz("weft-system/root", {}),
        authz("weft-system/root-orders", { selector: { matchLabels: { app: "orders" } } }),
      ],
      workloads(orders, batch),
      settings,
    );
    expect(names(built.get("default/orders")?.allow)).toEqual(["weft-system/root", "weft-system/root-orders", "default/all"]);
    expect(names(built.get("ops/batch")?.allow)).toEqual(["weft-system/root"]);
  });

  test("They are kept apart by action, ALLOW where none is written", () => {
    const policies = [authz("default/a", {}), authz("default/d", { action: "DENY" }), authz("default/l", { action: "AUDIT" })];
    const built = buildAuthorization(policies, workloads(orders), settings).get("default/orders");
    expect([names(built?.audit), names(built?.deny), names(built?.allow)]).toEqual([["default/l"], ["default/d"], ["default/a"]]);
  });

  test("The order of input does not matter, and workloads under the same policies share one object", () => {
    const policies = [authz("weft-system/b", {}), authz("weft-system/a", {})];
    const built = buildAuthorization(policies, workloads(orders, batch), settings);
    expect(names(built.get("default/orders")?.allow)).toEqual(["weft-system/a", "weft-system/b"]);
    expect(built.get("default/orders")).toBe(built.get("ops/batch"));
    expect(buildAuthorization([...policies].reverse(), workloads(orders, batch), settings).get("ops/batch")).toBe(built.get("ops/batch"));
  });

  test("A change touches only the workloads that the policy selects", () => {
    const own = authz("default/own", {});
    const before = buildAuthorization([own], workloads(orders, batch), settings);
    const previous = { authorization: before } as Mesh;
    const after = buildAuthorization([own, authz("ops/new", {})], workloads(orders, batch), settings, previous);
    expect(after.get("default/orders")).toBe(before.get("default/orders"));
    expect(after.get("ops/batch")).not.toBe(before.get("ops/batch"));
    expect(buildAuthorization([own, authz("tools/new", {})], workloads(orders, batch), settings, previous)).toBe(before);
  });
});

describe("A rule", () => {
  test("spec: {} and rules: [] have no rule and never match; rules: [{}] always matches", () => {
    expect(tree({}).http).toEqual([]);
    expect(tree({ rules: [] }).tcp).toEqual([]);
    const everything = [{ name: "ns[default]-policy[p]-rule[0]", permissions: [[]], principals: [[]] }];
    expect(tree({ rules: [{}] }).http).toMatchObject(everything);
    expect(tree({ rules: [{}] }).tcp).toMatchObject(everything);
  });

  test("The fields of one source must all hold, the sources of `from` are alternatives", () => {
    const [rule] = tree({
      rules: [{ from: [{ source: { namespaces: ["a"], ipBlocks: ["10.0.0.0/8"] } }, { source: { namespaces: ["b"] } }] }],
    }).http;
    expect(rule?.principals.map((alternative) => alternative.map(({ key }) => key))).toEqual([
      ["source.namespace", "source.ip"],
      ["source.namespace"],
    ]);
  });

  test("`when` is added to every alternative of the side it is about", () => {
    const [rule] = tree({
      rules: [
        {
          to: [{ operation: { methods: ["GET"] } }, { operation: { paths: ["/x"] } }],
          when: [
            { key: "destination.port", values: ["8080"] },
            { key: "source.ip", notValues: ["10.0.0.1"] },
          ],
        },
      ],
    }).http;
    expect(rule?.permissions.map((alternative) => alternative.map(({ key }) => key))).toEqual([
      ["operation.methods", "destination.port"],
      ["operation.paths", "destination.port"],
    ]);
    expect(rule?.principals).toMatchObject([[{ key: "source.ip", negated: true }]]);
  });

  test("Values and notValues of one condition must both hold", () => {
    const [rule] = tree({ rules: [{ when: [{ key: "source.principal", values: ["mesh.local/*"], notValues: ["*/sa/batch"] }] }] }).http;
    expect(rule?.principals).toMatchObject([
      [
        { negated: false, conditions: [{ kind: "principal", match: prefix("spiffe://mesh.local/") }] },
        { negated: true, conditions: [{ kind: "principal", match: regex("spiffe://.*/sa/batch") }] },
      ],
    ]);
  });

  test("Every clause and every rule names its line", () => {
    const built = tree({ rules: [{ to: [{ operation: { notPaths: ["/x"] } }] }] }, settings, {
      lines: { spec: 3, "spec.rules.0": 4, "spec.rules.0.to.0.operation.notPaths": 7 },
    });
    expect(built.source.line).toBe(3);
    expect(built.http[0]?.source.line).toBe(4);
    expect(built.http[0]?.permissions[0]?.[0]?.source.line).toBe(7);
  });

  test("Under the annotation istio.io/dry-run a policy is marked as not enforced", () => {
    expect(tree({}, settings, { annotations: { "istio.io/dry-run": "true" } }).dryRun).toBe(true);
    expect(tree({}, settings, { annotations: { "istio.io/dry-run": "yes" } }).dryRun).toBe(false);
  });
});

describe("Stars mean different things by field", () => {
  test("paths: prefix, suffix, at least one character, or a template", () => {
    const paths = (value: string) => conditions({ to: [{ operation: { paths: [value] } }] });
    expect(paths("/a*")).toEqual([{ kind: "path", match: prefix("/a") }]);
    expect(paths("*/b")).toEqual([{ kind: "path", match: suffix("/b") }]);
    expect(paths("*")).toEqual([{ kind: "path", match: regex(".+") }]);
    expect(paths("/a*b")).toEqual([{ kind: "path", match: exact("/a*b") }]);
    expect(paths("/a/{*}/b/{**}")).toEqual([{ kind: "path-template", template: "/a/*/b/**" }]);
  });

  test("hosts: without case, and * is any host", () => {
    const hosts = (value: string) => conditions({ to: [{ operation: { hosts: [value] } }] });
    expect(hosts("*.EXAMPLE.test")).toEqual([
      { kind: "header", name: ":authority", match: { kind: "suffix", value: ".EXAMPLE.test", ignoreCase: true } },
    ]);
    expect(hosts("*")).toEqual([{ kind: "header", name: ":authority", match: { kind: "present" } }]);
  });

  test("methods and request headers: with case in the value, without case in the header's name, * is presence", () => {
    expect(conditions({ to: [{ operation: { methods: ["GET"] } }] })).toEqual([{ kind: "header", name: ":method", match: exact("GET") }]);
    expect(conditions({ when: [{ key: "request.headers[X-Tier]", values: ["*", "go*"] }] })).toEqual([
      { kind: "header", name: "x-tier", match: { kind: "present" } },
      { kind: "header", name: "x-tier", match: prefix("go") },
    ]);
  });

  test("namespaces: a star stands anywhere, and the name's dots are no wildcards", () => {
    expect(conditions({ from: [{ source: { namespaces: ["a.b-*-c"] } }] })).toEqual([
      { kind: "principal", match: regex(".*/ns/a\\.b-.*-c/.*") },
    ]);
  });

  test("serviceAccounts: a name alone lives in the policy's namespace", () => {
    expect(conditions({ from: [{ source: { serviceAccounts: ["web", "ops/batch"] } }] })).toEqual([
      { kind: "principal", match: regex("spiffe://.+/ns/default/(.+/|)sa/web(/.+)?") },
      { kind: "principal", match: regex("spiffe://.+/ns/ops/(.+/|)sa/batch(/.+)?") },
    ]);
  });

  test("principals: * is any authenticated caller", () => {
    expect(conditions({ from: [{ source: { principals: ["*"] } }] })).toEqual([{ kind: "principal", match: regex(".+") }]);
  });
});

describe("Names of the trust domain", () => {
  const principals = (value: string, using: Settings) =>
    conditions({ from: [{ source: { principals: [value] } }] }, using).map((condition) =>
      condition.kind === "principal" && "value" in condition.match ? condition.match.value : condition,
    );
  const renamed: Settings = { ...settings, trustDomain: "new.example", trustDomainAliases: ["old.example"] };

  test("cluster.local and every alias stand for all names, in a principal of five parts", () => {
    const all = ["spiffe://new.example/ns/a/sa/b", "spiffe://old.example/ns/a/sa/b"];
    expect(principals("cluster.local/ns/a/sa/b", renamed)).toEqual(all);
    expect(principals("old.example/ns/a/sa/b", renamed)).toEqual(all);
    expect(principals("new.example/ns/a/sa/b", renamed)).toEqual(all);
  });

  test("A principal of another form, or of another trust domain, is left alone", () => {
    expect(principals("cluster.local/*", renamed)).toEqual(["spiffe://cluster.local/"]);
    expect(principals("*/ns/a/sa/b", renamed)).toEqual(["spiffe://.*/ns/a/sa/b"]);
    expect(principals("third.example/ns/a/sa/b", renamed)).toEqual(["spiffe://third.example/ns/a/sa/b"]);
  });

  test("A star at the start of the trust domain is kept for the names that it covers", () => {
    expect(principals("*.example/ns/a/sa/b", renamed)).toEqual(["spiffe://.*\\.example/ns/a/sa/b"]);
    expect(principals("*old.example/ns/a/sa/b", renamed)).toEqual(["spiffe://new.example/ns/a/sa/b", "spiffe://.*old\\.example/ns/a/sa/b"]);
  });
});

describe("On a TCP port", () => {
  const httpInOne = { to: [{ operation: { ports: ["9090"] } }, { operation: { methods: ["GET"] } }] };

  test("One HTTP-only alternative drops an ALLOW rule whole; the policy's other rules stay", () => {
    const built = tree({ rules: [httpInOne, { from: [{ source: { namespaces: ["ops"] } }] }] });
    expect(built.http.map(({ name }) => name)).toEqual(["ns[default]-policy[p]-rule[0]", "ns[default]-policy[p]-rule[1]"]);
    expect(built.tcp.map(({ name }) => name)).toEqual(["ns[default]-policy[p]-rule[1]"]);
  });

  test("Negated HTTP fields and HTTP conditions drop an ALLOW rule as well", () => {
    expect(tree({ rules: [{ to: [{ operation: { notMethods: ["DELETE"] } }] }] }).tcp).toEqual([]);
    expect(tree({ rules: [{ to: [{ operation: { notHosts: ["x"] } }] }] }).tcp).toEqual([]);
    expect(tree({ rules: [{ when: [{ key: "request.headers[x]", values: ["1"] }] }] }).tcp).toEqual([]);
  });

  test("Under DENY and AUDIT an HTTP-only alternative becomes any operation", () => {
    for (const action of ["DENY", "AUDIT"] as const) {
      const [rule] = tree({ action, rules: [httpInOne] }).tcp;
      expect(rule?.permissions).toMatchObject([[{ key: "destination.port" }], []]);
    }
  });

  test("connection.sni, ports and addresses count on both", () => {
    const when = [
      { key: "connection.sni", values: ["*x"] },
      { key: "destination.port", values: ["9090"] },
      { key: "destination.ip", values: ["fd00::/8"] },
    ];
    const built = tree({ rules: [{ when }] });
    expect(built.tcp).toEqual(built.http);
    expect(built.tcp[0]?.permissions[0]?.flatMap((clause) => clause.conditions)).toEqual([
      { kind: "sni", match: suffix("x") },
      { kind: "destination-port", port: 9090 },
      { kind: "destination-ip", cidr: { address: "fd00::", prefixLength: 8 } },
    ]);
  });
});

describe("What cannot be decided never lets more in", () => {
  const unknown = [{ when: [{ key: "request.auth.claimsX[iss]", values: ["x"] }] }];
  const badIp = [{ from: [{ source: { ipBlocks: ["10.0.0.0/8", "10.0.0"] } }] }];

  test("An ALLOW rule with it is dropped", () => {
    expect(tree({ rules: unknown }).http).toEqual([]);
    expect(tree({ rules: badIp }).http).toEqual([]);
  });

  test("A DENY rule loses only that value, and becomes wider", () => {
    expect(tree({ action: "DENY", rules: unknown }).http).toMatchObject([{ permissions: [[]], principals: [[]] }]);
    expect(tree({ action: "DENY", rules: badIp }).http[0]?.principals[0]?.[0]?.conditions).toEqual([
      { kind: "source-ip", cidr: { address: "10.0.0.0", prefixLength: 8 } },
    ]);
  });
});
