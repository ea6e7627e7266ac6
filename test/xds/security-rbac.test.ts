import { describe, expect, test } from "bun:test";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { type RBAC, RBAC_Action, RBACSchema } from "../../src/gen/envoy/config/rbac/v3/rbac_pb.ts";
import { RBACSchema as HttpRbacSchema } from "../../src/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "../../src/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { UriTemplateMatchConfigSchema } from "../../src/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.ts";
import { buildAuthorization } from "../../src/mesh/authorization.ts";
import type { AuthorizationPolicySpec } from "../../src/model/authorization-policy.ts";
import type { Resource } from "../../src/model/resource.ts";
import { authorizationResources } from "../../src/xds/filters/rbac.ts";
import { policy, settings, workload, workloads } from "../fakes/security.ts";

function resources(...rules: readonly Resource<"AuthorizationPolicy">[]) {
  const authorization = buildAuthorization(rules, workloads(workload("default/orders")), settings).get("default/orders");
  if (!authorization) throw new Error("no authorization");
  return authorizationResources(authorization);
}

function config(name: string, ...rules: readonly Resource<"AuthorizationPolicy">[]) {
  const resource = resources(...rules).find((one) => one.name === name);
  const extension = resource && anyUnpack(fromBinary(AnySchema, resource.any), TypedExtensionConfigSchema);
  const any = extension?.typedConfig;
  const found = any && (anyUnpack(any, HttpRbacSchema) ?? anyUnpack(any, NetworkRbacSchema));
  if (!found) throw new Error(`no ${name}`);
  return found;
}

function authz(name: string, spec: AuthorizationPolicySpec, annotations: Record<string, string> = {}) {
  return policy("AuthorizationPolicy", `default/${name}`, spec, { annotations });
}

const json = (rbac: RBAC | undefined) => rbac && toJson(RBACSchema, rbac);

describe("Authorization over ECDS", () => {
  test("The same resources are there with and without policies", () => {
    const filters = ["custom", "ext_authz", "audit", "deny", "allow"];
    const names = ["http", "tcp"].flatMap((port) => filters.map((filter) => `authz|${port}|${filter}`)).sort();
    const namesWith = (...rules: readonly Resource<"AuthorizationPolicy">[]) =>
      resources(...rules)
        .map(({ name }) => name)
        .sort();
    expect(namesWith()).toEqual(names);
    expect(namesWith(authz("a", {}), authz("c", { action: "CUSTOM", provider: { name: "x" }, rules: [{}] }))).toEqual(names);
  });

  test("Without a policy nothing is enforced", () => {
    for (const { name } of resources()) expect([config(name).rules, config(name).shadowRules]).toEqual([undefined, undefined]);
  });

  test("A CUSTOM policy under dry-run enforces nothing, marks nothing, and names no provider for the others", () => {
    const custom = (name: string, provider: string, dryRun: boolean) =>
      authz(name, { action: "CUSTOM", provider: { name: provider }, rules: [{}] }, dryRun ? { "istio.io/dry-run": "true" } : {});
    for (const port of ["http", "tcp"]) {
      const dry = config(`authz|${port}|custom`, custom("c", "nobody", true));
      expect([dry.rules, dry.shadowRules]).toEqual([undefined, undefined]);
      const both = config(`authz|${port}|custom`, custom("c", "nobody", true), custom("d", "nobody", false));
      expect(Object.keys(both.rules?.policies ?? {})).toEqual([expect.stringContaining("policy[d]")]);
    }
  });

  test("An ALLOW policy without rules is enforced, and matches nothing", () => {
    const { rules } = config("authz|http|allow", authz("none", {}));
    expect(rules).toMatchObject({ action: RBAC_Action.ALLOW, policies: {} });
  });

  test("Each action goes to its own filter: AUDIT only marks, DENY refuses what it matches, ALLOW what it does not", () => {
    const all = [authz("a", { rules: [{}] }), authz("d", { action: "DENY", rules: [{}] }), authz("l", { action: "AUDIT", rules: [{}] })];
    const everything = (name: string) => ({
      [`ns[default]-policy[${name}]-rule[0]`]: { permissions: [{ any: true }], principals: [{ any: true }] },
    });
    expect(json(config("authz|http|allow", ...all).rules)).toEqual({ policies: everything("a") });
    expect(json(config("authz|http|deny", ...all).rules)).toEqual({ action: "DENY", policies: everything("d") });
    expect(json(config("authz|tcp|audit", ...all).rules)).toEqual({ action: "LOG", policies: everything("l") });
  });

  test("A rule becomes permissions and principals, each value an alternative and each negation a not", () => {
    const rule = {
      from: [{ source: { principals: ["mesh.local/ns/default/sa/web"], notIpBlocks: ["10.0.0.0/8"], remoteIpBlocks: ["fd00::1"] } }],
      to: [{ operation: { methods: ["GET", "HEAD"], notPaths: ["/admin*"], hosts: ["*"], ports: ["8080"] } }],
    };
    const policies = { "ns[default]-policy[a]-rule[0]": expect.anything() };
    const found = json(config("authz|http|allow", authz("a", { rules: [rule] })).rules);
    expect(found).toEqual({ policies });
    const text = JSON.stringify(found);
    for (const part of [
      '{"header":{"name":":authority","presentMatch":true}}',
      '{"orRules":{"rules":[{"header":{"name":":method","stringMatch":{"exact":"GET"}}},{"header":{"name":":method","stringMatch":{"exact":"HEAD"}}}]}}',
      '{"notRule":{"orRules":{"rules":[{"urlPath":{"path":{"prefix":"/admin"}}}]}}}',
      '{"destinationPort":8080}',
      '{"authenticated":{"principalName":{"exact":"spiffe://mesh.local/ns/default/sa/web"}}}',
      '{"remoteIp":{"addressPrefix":"fd00::1","prefixLen":128}}',
      '{"notId":{"orIds":{"ids":[{"directRemoteIp":{"addressPrefix":"10.0.0.0","prefixLen":8}}]}}}',
    ]) {
      expect(text).toContain(part);
    }
  });

  test("A path with {*} or {**} becomes Envoy's URI template", () => {
    const { rules } = config(
      "authz|http|deny",
      authz("d", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/a/{*}/{**}"] } }] }] }),
    );
    const and = rules?.policies["ns[default]-policy[d]-rule[0]"]?.permissions[0]?.rule;
    const or = and?.case === "andRules" ? and.value.rules[0]?.rule : undefined;
    const one = or?.case === "orRules" ? or.value.rules[0]?.rule : undefined;
    const template = one?.case === "uriTemplate" && one.value.typedConfig && anyUnpack(one.value.typedConfig, UriTemplateMatchConfigSchema);
    expect(template).toMatchObject({ pathTemplate: "/a/*/**" });
  });

  test("A policy under dry-run is only counted: it goes to the shadow rules", () => {
    const dry = authz("d", { action: "DENY", rules: [{}] }, { "istio.io/dry-run": "true" });
    const found = config("authz|http|deny", dry);
    expect(found.rules).toBeUndefined();
    expect(found.shadowRules?.action).toBe(RBAC_Action.DENY);
    expect(found.shadowRulesStatPrefix).toBe("istio_dry_run_deny_");
    expect(config("authz|http|allow", authz("a", {}, { "istio.io/dry-run": "true" })).rules).toBeUndefined();
  });

  test("Each resource names the policies it was made from", () => {
    const found = resources(authz("a", {}), authz("d", { action: "DENY", rules: [{}] }));
    const sources = new Map(found.map((one) => [one.name, one.sources.map(({ kind, name }) => `${kind} ${name}`)]));
    expect(sources.get("authz|tcp|allow")).toEqual(["AuthorizationPolicy a"]);
    expect(sources.get("authz|http|deny")).toEqual(["AuthorizationPolicy d"]);
    expect(sources.get("authz|http|audit")).toEqual([]);
  });

  test("The same policies in any order give the same bytes", () => {
    const policies = [authz("b", { rules: [{}] }), authz("a", { rules: [{}] }), authz("c", { rules: [{}] })];
    const versions = (list: typeof policies) => resources(...list).map(({ version }) => version);
    expect(versions([...policies].reverse())).toEqual(versions(policies));
  });
});
