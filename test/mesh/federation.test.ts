import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const domain = (name: string, more = "", metadata = "namespace: weft-system") =>
  resource("TrustDomain", name, `{bundleEndpoint: {url: 'https://${name}/', profile: https_web}${more}}`, metadata).replace(
    /apiVersion: .*/,
    "apiVersion: weft.dev/v1",
  );
const OTHER = domain("other.example");
const ORDERS = [httpService("orders"), workload("orders-1", "orders", "10.0.0.1")];
const policy = (rules: string, action = "ALLOW") => resource("AuthorizationPolicy", "p", `{action: ${action}, rules: [${rules}]}`);
const STRICT = resource("PeerAuthentication", "strict", "{mtls: {mode: STRICT}}");

const findings = (...yaml: string[]) => {
  const resources = resourcesOf(...yaml);
  return analyze(resources, buildMesh(resources, OPTIONS)).map(({ code, message }) => `${code} ${message}`);
};

describe("Federated trust domains", () => {
  test("are known by their names, sorted, and the settings know of none where there is none", () => {
    expect(meshOf(domain("b.example"), domain("a.example")).settings.federatedTrustDomains).toEqual(["a.example", "b.example"]);
    expect("federatedTrustDomains" in meshOf(...ORDERS).settings).toBe(false);
  });

  test("are never the own one, nor of a namespace but the root one; the oldest of two for one name holds", () => {
    const own = meshOf(domain("mesh.local"));
    expect(own.federation).toEqual([]);
    expect(meshOf(domain("other.example", "", "namespace: shop")).federation).toEqual([]);
    const two = meshOf(
      domain("b", ", trustDomain: other.example", "namespace: weft-system, creationTimestamp: '2026-01-02T00:00:00Z'"),
      domain("a", ", trustDomain: other.example", "namespace: weft-system, creationTimestamp: '2026-01-03T00:00:00Z'"),
    );
    expect(two.federation.map(({ url }) => url)).toEqual(["https://b/"]);
  });

  test("that federate nothing are found", () => {
    expect(findings(domain("mesh.local")).join()).toContain("mesh.local is the mesh's own trust domain");
    expect(findings(domain("other.example", "", "namespace: shop")).join()).toContain("only in namespace weft-system");
    expect(findings(OTHER, domain("again", ", trustDomain: other.example")).join()).toContain("holds for other.example");
    const endpoint = (id: string) =>
      domain("other.example").replace("profile: https_web", `profile: https_spiffe, endpointSPIFFEID: '${id}'`);
    expect(findings(endpoint("spiffe://other.example/a")).join()).toContain("nothing vouches for");
    expect(findings(endpoint("spiffe://third.example/a")).join()).toContain("whose bundle nobody here knows");
    expect(findings(endpoint("spiffe://third.example/a"), domain("third.example"))).toEqual([]);
  });

  test("may be named in principals, which nothing is found about", () => {
    const named = policy("{from: [{source: {principals: [other.example/ns/default/sa/web]}}]}");
    expect(findings(...ORDERS, named).join()).toContain("another trust domain");
    expect(findings(...ORDERS, named, OTHER)).toEqual([]);
  });

  test("are meant too by an ALLOW rule that names callers by namespace or service account alone, which is found", () => {
    const byNamespace = policy("{from: [{source: {namespaces: [default]}}]}");
    expect(findings(...ORDERS, byNamespace)).toEqual([]);
    expect(findings(...ORDERS, byNamespace, OTHER).join()).toContain("workloads of that name in other.example are let in too");
    expect(findings(...ORDERS, policy("{from: [{source: {namespaces: [default]}}]}", "DENY"), OTHER)).toEqual([]);
    const own = policy("{from: [{source: {namespaces: [default]}}], when: [{key: source.trustDomain, values: [mesh.local]}]}");
    expect(findings(...ORDERS, own, OTHER)).toEqual([]);
  });
});

describe("weft why, asked about a caller of another mesh", () => {
  const ask = (from: string, ...yaml: string[]) => why(meshOf(...ORDERS, STRICT, ...yaml), { from, to: "orders" }, { now: 0 });
  const WEB = "spiffe://other.example/ns/default/sa/web";

  test("lets in by mutual TLS whom a TrustDomain makes known, and judges by its principal", () => {
    const rules = policy("{from: [{source: {principals: [other.example/ns/default/sa/web]}}]}");
    expect(ask(WEB, OTHER, rules)).toMatchObject({ verdict: "allow", mtls: { outcome: "mutual_tls", peer: WEB } });
    expect(ask("spiffe://other.example/ns/default/sa/else", OTHER, rules)).toMatchObject({ verdict: "deny", status: 403 });
  });

  test("refuses whom nobody knows, naming what is missing", () => {
    const answer = ask(WEB);
    expect(answer).toMatchObject({ verdict: "refused", status: 503 });
    expect(answer.summary).toContain("nobody here knows trust domain other.example");
  });

  test("is not asked about what is no identity", () => {
    expect(() => ask("spiffe://other.example", OTHER)).toThrow("no SPIFFE ID of a workload");
  });
});
