import { describe, expect, test } from "bun:test";
import type { CodeName } from "../../src/model/index.ts";
import { documentWith, expectAccepted, expectRefused, problemsOf } from "./support.ts";

type Spec = Record<string, unknown>;

describe("PeerAuthentication", () => {
  const selector = { matchLabels: { app: "a" } };
  const accepted: Record<string, Spec> = {
    "be empty": {},
    "have a mode": { mtls: { mode: "STRICT" } },
    "set ports of selected workloads": { selector, mtls: { mode: "UNSET" }, portLevelMtls: { 80: { mode: "DISABLE" }, 65535: {} } },
    "select every workload": { selector: {} },
  };
  for (const [name, spec] of Object.entries(accepted))
    test(`it may ${name}`, () => expectAccepted(documentWith("PeerAuthentication", spec)));

  const refused: Record<string, [Spec, CodeName, string]> = {
    "an unknown mode": [{ mtls: { mode: "LOOSE" } }, "notOneOf", "spec.mtls.mode"],
    "ports without a selector": [{ portLevelMtls: { 80: { mode: "STRICT" } } }, "together", "spec.portLevelMtls"],
    "ports with an empty selector": [{ selector: { matchLabels: {} }, portLevelMtls: { 80: {} } }, "together", "spec.portLevelMtls"],
    "an empty portLevelMtls": [{ selector, portLevelMtls: {} }, "missing", "spec.portLevelMtls"],
    "port 0": [{ selector, portLevelMtls: { 0: {} } }, "outOfRange", "spec.portLevelMtls.0"],
    "port 70000": [{ selector, portLevelMtls: { 70000: {} } }, "outOfRange", "spec.portLevelMtls.70000"],
    "a port by name": [{ selector, portLevelMtls: { http: {} } }, "outOfRange", "spec.portLevelMtls.http"],
    "a wildcard in its selector": [{ selector: { matchLabels: { app: "a*" } } }, "badLabel", "spec.selector.matchLabels.app"],
  };
  for (const [name, [spec, code, place]] of Object.entries(refused)) {
    test(`it may not have ${name}`, () => expectRefused(documentWith("PeerAuthentication", spec), code, place));
  }
});

describe("AuthorizationPolicy", () => {
  const from = (...sources: Spec[]): Spec => ({ rules: [{ from: sources.map((source) => ({ source })) }] });
  const toOperation = (operation: Spec): Spec => ({ rules: [{ to: [{ operation }] }] });
  const when = (condition: Spec): Spec => ({ rules: [{ when: [condition] }] });
  const CUSTOM = { action: "CUSTOM", provider: { name: "x" } };
  const patterns = ["exact", "prefix-*", "*-suffix", "*"];
  const ips = ["1.2.3.4", "5.6.0.0/16", "::1", "fd00::/8"];
  const accepted: Record<string, Spec> = {
    "be empty": {},
    "ask a provider": { ...CUSTOM, ...toOperation({ paths: ["/a"] }) },
    "have no rules": { rules: [] },
    "allow everything": { action: "ALLOW", rules: [{}] },
    "deny everything": { action: "DENY", rules: [{}] },
    audit: { action: "AUDIT", rules: [{}] },
    "have all kinds of source": from({
      principals: patterns,
      notPrincipals: patterns,
      namespaces: patterns,
      notNamespaces: patterns,
      ipBlocks: ips,
      notIpBlocks: ips,
      remoteIpBlocks: ips,
      notRemoteIpBlocks: ips,
      trustDomains: patterns,
      notTrustDomains: patterns,
      requestPrincipals: patterns,
      notRequestPrincipals: patterns,
    }),
    "name service accounts beside principals in two sources": from({ serviceAccounts: ["ops/sa", "sa"] }, { principals: ["a"] }),
    "have all kinds of operation": toOperation({
      hosts: ["a.com", "*.b.com"],
      notHosts: patterns,
      ports: ["80", "0"],
      notPorts: ["65535"],
      methods: patterns,
      notMethods: patterns,
      paths: ["/exact", "/prefix/*", "*/suffix", "*", "/a/{*}", "/{*}/a/{**}", "/{**}/a"],
      notPaths: ["/a/{*}"],
    }),
    "have all conditions": {
      rules: [
        {
          when: [
            { key: "request.headers[X-header]", values: patterns, notValues: patterns },
            ...["source.ip", "remote.ip", "destination.ip"].map((key) => ({ key, values: ips, notValues: ips })),
            ...["source.namespace", "source.principal", "source.trustDomain", "connection.sni"].map((key) => ({ key, values: patterns })),
            { key: "source.serviceAccount", values: ["ops/sa"] },
            ...["request.auth.principal", "request.auth.audiences", "request.auth.presenter"].map((key) => ({ key, values: patterns })),
            { key: "request.auth.claims[iss]", values: patterns, notValues: patterns },
            { key: "request.auth.claims[realm_access][roles]", values: ["a"] },
            { key: "experimental.envoy.filters.network.mysql_proxy[db.table]", values: ["[update]"] },
            { key: "destination.port", values: ["80"] },
          ],
        },
      ],
    },
  };
  for (const [name, spec] of Object.entries(accepted))
    test(`it may ${name}`, () => expectAccepted(documentWith("AuthorizationPolicy", spec)));

  const refused: Record<string, [Spec, CodeName, string]> = {
    "DENY without rules": [{ action: "DENY" }, "missing", "spec.action"],
    "CUSTOM without rules": [{ action: "CUSTOM", provider: { name: "x" } }, "missing", "spec.action: CUSTOM without rules"],
    "CUSTOM without a provider": [{ action: "CUSTOM", rules: [{}] }, "missing", "spec.action: CUSTOM needs provider.name"],
    "a provider without CUSTOM": [{ provider: { name: "x" } }, "together", "spec.provider"],
    "CUSTOM on an identity": [
      { ...CUSTOM, ...from({ principals: ["a"] }) },
      "exclusive",
      "spec.rules[0].from[0].source.principals: cannot be used with action CUSTOM",
    ],
    "CUSTOM on a token": [{ ...CUSTOM, ...from({ notRequestPrincipals: ["a"] }) }, "exclusive", "spec.rules[0].from[0].source.notRequest"],
    "CUSTOM on a claim": [
      { ...CUSTOM, ...when({ key: "request.auth.claims[a]", values: ["b"] }) },
      "exclusive",
      "spec.rules[0].when[0].key: request.auth.claims[a] cannot be used with action CUSTOM",
    ],
    "a claim without a name": [when({ key: "request.auth.claims", values: ["b"] }), "badValue", "spec.rules[0].when[0].key: must be"],
    "an unknown action": [{ action: "REJECT" }, "notOneOf", "spec.action"],
    "a from without source": [{ rules: [{ from: [{}] }] }, "missing", "spec.rules[0].from[0]: needs source"],
    "an empty source": [from({}), "missing", "spec.rules[0].from[0].source"],
    "an empty operation": [toOperation({ paths: [] }), "missing", "spec.rules[0].to[0].operation"],
    "an empty string": [from({ principals: [""] }), "badValue", "spec.rules[0].from[0].source.principals[0]"],
    "an address that is none": [from({ ipBlocks: ["1.2.3"] }), "badAddress", "spec.rules[0].from[0].source.ipBlocks[0]"],
    "accounts beside namespaces": [from({ serviceAccounts: ["a"], namespaces: ["b"] }), "exclusive", "spec.rules[0].from[0].source"],
    "a wildcard in a service account": [
      from({ serviceAccounts: ["a/*"] }),
      "badPattern",
      "spec.rules[0].from[0].source.serviceAccounts[0]",
    ],
    "more than 16 service accounts": [
      from({ serviceAccounts: Array(17).fill("a") }),
      "outOfRange",
      "spec.rules[0].from[0].source.serviceAccounts",
    ],
    "two wildcards in a trust domain": [from({ trustDomains: ["*a*"] }), "badPattern", "spec.rules[0].from[0].source.trustDomains[0]"],
    "a port as a number": [toOperation({ ports: [80] }), "wrongType", "spec.rules[0].to[0].operation.ports[0]: must be a string"],
    "a port by name": [toOperation({ ports: ["http"] }), "badPattern", "spec.rules[0].to[0].operation.ports[0]"],
    "a template in a part of a segment": [toOperation({ paths: ["/a{*}"] }), "badPattern", "spec.rules[0].to[0].operation.paths[0]"],
    "a template after {**}": [toOperation({ paths: ["/{**}/{*}"] }), "badPattern", "spec.rules[0].to[0].operation.paths[0]"],
    "a wildcard beside a template": [toOperation({ paths: ["/{*}/*"] }), "badPattern", "spec.rules[0].to[0].operation.paths[0]"],
    "a condition without values": [when({ key: "source.ip" }), "missing", "spec.rules[0].when[0]"],
    "a condition on an unknown key": [when({ key: "source.ips", values: ["1.2.3.4"] }), "badValue", "spec.rules[0].when[0].key"],
    "a condition on destination.labels": [when({ key: "destination.labels[v]", values: ["1"] }), "badValue", "spec.rules[0].when[0].key"],
    "a header condition without a name": [when({ key: "request.headers", values: ["1"] }), "badValue", "spec.rules[0].when[0].key"],
    "a condition on an address that is none": [
      when({ key: "source.ip", notValues: ["x"] }),
      "badAddress",
      "spec.rules[0].when[0].notValues[0]",
    ],
  };
  for (const [name, [spec, code, place]] of Object.entries(refused)) {
    test(`it may not have ${name}`, () => expectRefused(documentWith("AuthorizationPolicy", spec), code, place));
  }

  test("a DENY rule with HTTP attributes only is warned of, for it denies all TCP", () => {
    const denied = (operation: Spec) => problemsOf(documentWith("AuthorizationPolicy", { action: "DENY", ...toOperation(operation) }));
    expect(denied({ paths: ["/x"] })[0]).toStartWith("warning surprising spec.rules[0]");
    expect(denied({ paths: ["/x"], ports: ["80"] })).toEqual([]);
    const byToken = documentWith("AuthorizationPolicy", { action: "DENY", ...from({ requestPrincipals: ["*"] }) });
    expect(problemsOf(byToken)[0]).toStartWith("warning surprising spec.rules[0]");
  });

  test("istio.io/dry-run must be a boolean, and goes with ALLOW and DENY", () => {
    const dryRun = (value: string, spec: Spec) => documentWith("AuthorizationPolicy", spec, { annotations: { "istio.io/dry-run": value } });
    expectAccepted(dryRun("true", { rules: [{}] }));
    expectRefused(dryRun("yes", { rules: [{}] }), "badAnnotation", 'metadata.annotations["istio.io/dry-run"]');
    expectRefused(dryRun("true", { action: "AUDIT" }), "badAnnotation", 'metadata.annotations["istio.io/dry-run"]');
    expectRefused(
      documentWith("PeerAuthentication", {}, { annotations: { "istio.io/dry-run": "true" } }),
      "badAnnotation",
      "metadata.annotations",
    );
  });
});
