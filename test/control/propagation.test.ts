import { expect, test } from "bun:test";
import type { LedgerReader } from "../../src/ads/index.ts";
import { jwtAuthorities } from "../../src/control/jwt-authorities.ts";
import { trustPropagation } from "../../src/control/propagation.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { jwtResource } from "../../src/xds/filters/jwt.ts";
import { bundleResources } from "../../src/xds/secret.ts";
import { OPTIONS, resource, resourcesOf, workload } from "../mesh/harness.ts";

const key = (kid: string) => ({ kty: "EC", crv: "P-256", x: "a", y: "b", kid, alg: "ES256" });
const bundleWith = (...kids: string[]) => ({
  trustDomain: "mesh.local",
  sequence: 1,
  refreshHint: 300,
  x509: ["CA"],
  x509Pem: "CA",
  jwt: kids.map(key),
});
const RESOURCES = resourcesOf(
  workload("web-1", "web", "10.0.0.1"),
  workload("orders-1", "orders", "10.0.0.2"),
  workload("billing-1", "billing", "10.0.0.3"),
  resource(
    "RequestAuthentication",
    "own",
    '{selector: {matchLabels: {app: orders}}, jwtRules: [{issuer: "spiffe://mesh.local", audiences: [orders]}]}',
  ),
  resource(
    "RequestAuthentication",
    "other",
    '{selector: {matchLabels: {app: billing}}, jwtRules: [{issuer: "https://a", jwksUri: "https://a/keys"}]}',
  ),
);
const meshWith = (...kids: string[]) => buildMesh(RESOURCES, { ...OPTIONS, jwtAuthorities: jwtAuthorities(bundleWith(...kids)) });

/** Nothing but what propagation asks: what each proxy holds, "name version"; no ledger has so little to it. */
function ledgerOf(held: Readonly<Record<string, readonly string[]>>, away: readonly string[] = []): LedgerReader {
  const lagging: LedgerReader["lagging"] = (_typeUrl, name, version) =>
    Object.entries(held).flatMap(([id, all]) =>
      all.some((one) => one.startsWith(`${name} `) && one !== `${name} ${version}`) ? [id] : [],
    );
  const proxies = () => away.map((id) => ({ id, disconnectedAt: 1 }));
  return { lagging, proxies } as unknown as LedgerReader;
}

test("A new JWT authority waits for the proxies that verify the mesh's tokens, until their filters know its key", () => {
  const filterOf = (...kids: string[]) => {
    const authentication = meshWith(...kids).authentication.get("default/orders-1");
    if (!authentication) throw new Error("no workload");
    const { name, version } = jwtResource(authentication);
    return `${name} ${version}`;
  };
  const missing = (mesh: ReturnType<typeof meshWith>, filter: string, away: readonly string[] = []) => {
    const ledger = ledgerOf({ "default/orders-1": [filter], "default/billing-1": [filterOf("old")], "default/web-1": [] }, away);
    return trustPropagation({ ledger: () => ledger, mesh: () => mesh }).missing(bundleWith("old", "new"), "jwt");
  };
  // Before the mesh was built of the new bundle, and before its filter was taken.
  expect(missing(meshWith("old"), filterOf("old")).connected).toEqual(["default/orders-1"]);
  expect(missing(meshWith("old", "new"), filterOf("old")).connected).toEqual(["default/orders-1"]);
  expect(missing(meshWith("old", "new"), filterOf("old", "new"))).toEqual({ connected: [], away: [] });
  expect(missing(meshWith("old", "new"), filterOf("old", "new"), ["default/orders-1", "default/web-1"]).away).toEqual(["default/orders-1"]);
});

test("A new X.509 authority waits for the proxies that hold the bundle under any of its names", () => {
  const now = bundleResources("mesh.local", "CA").map(({ name, version }) => `${name} ${version}`);
  const ledger = ledgerOf({
    "default/a": ["ROOTCA before"],
    "default/b": ["spiffe://mesh.local before"],
    "default/c": ["ALL before"],
    "default/d": now,
    "default/e": [],
  });
  const { connected } = trustPropagation({ ledger: () => ledger, mesh: () => undefined }).missing(bundleWith("old"), "x509");
  expect(connected).toEqual(["default/a", "default/b", "default/c"]);
});
