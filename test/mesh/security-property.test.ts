import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { buildAuthorization } from "../../src/mesh/authorization.ts";
import type { AuthorizationProviders } from "../../src/mesh/authorization-provider.ts";
import { Pool } from "../../src/mesh/memo.ts";
import { buildMtls } from "../../src/mesh/peer-authentication.ts";
import { buildAuthentication } from "../../src/mesh/request-authentication.ts";
import type { Mesh, Workload } from "../../src/mesh/types.ts";
import type { Resource } from "../../src/model/resource.ts";
import { inboundResources } from "../../src/xds/inbound.ts";
import { policy, settings, workload, workloads } from "../fakes/security.ts";

type AnyPolicy = Resource<"PeerAuthentication"> | Resource<"AuthorizationPolicy"> | Resource<"RequestAuthentication">;

const all: readonly Workload[] = [workload("default/orders"), workload("default/web"), workload("ops/orders")];

const KEYS =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw","y":"HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8"}]}';
/** The other issuer's keys could not be fetched. */
const FETCHED = new Map([["https://one.example/keys", KEYS]]);
const source = { kind: "MeshConfig", namespace: "weft-system", name: "mesh", file: "mesh.yaml", line: 1 };
const PROVIDERS: AuthorizationProviders = new Map([
  ["a", { name: "a", protocol: "GRPC", host: "authz", cluster: "c", timeoutMs: 1, failOpen: false, clearRouteCache: false, source }],
]);

const namespace = fc.constantFrom("default", "ops", "weft-system");
const selector = fc.option(fc.constantFrom({}, { app: "orders" }, { app: "web" }), { nil: undefined });
const mode = fc.constantFrom("UNSET", "STRICT", "PERMISSIVE", "DISABLE");
const created = fc.constantFrom("2023-01-01T00:00:00Z", "2024-01-01T00:00:00Z");
const name = fc.constantFrom("a", "b", "c");
const matching = (matchLabels: { readonly app?: string } | undefined) =>
  matchLabels ? { selector: { matchLabels: { ...matchLabels } as Record<string, string> } } : {};

const peer = fc.record({ namespace, name, selector, mode, port: fc.option(mode, { nil: undefined }), created }).map((given): AnyPolicy => {
  const spec = {
    ...matching(given.selector),
    mtls: { mode: given.mode },
    ...(given.port ? { portLevelMtls: { "9090": { mode: given.port } } } : {}),
  };
  return policy("PeerAuthentication", `${given.namespace}/${given.name}`, spec, { created: given.created });
});

const authorization = fc
  .record({ namespace, name, selector, action: fc.constantFrom("ALLOW", "DENY", "AUDIT"), path: fc.constantFrom("/a", "/b"), created })
  .map((given): AnyPolicy => {
    const spec = { ...matching(given.selector), action: given.action, rules: [{ to: [{ operation: { paths: [given.path] } }] }] };
    return policy("AuthorizationPolicy", `${given.namespace}/${given.name}`, spec, { created: given.created });
  });

const custom = fc.record({ namespace, name, selector, provider: fc.constantFrom("a", "b"), created }).map((given): AnyPolicy => {
  const spec = { ...matching(given.selector), action: "CUSTOM" as const, provider: { name: given.provider }, rules: [{}] };
  return policy("AuthorizationPolicy", `${given.namespace}/${given.name}`, spec, { created: given.created });
});

const issuer = fc.constantFrom("https://one.example", "https://two.example");
const authentication = fc
  .record({ namespace, name, selector, issuers: fc.array(issuer, { maxLength: 2 }), byUri: fc.boolean(), created })
  .map((given): AnyPolicy => {
    const jwtRules = given.issuers.map((one) => ({ issuer: one, ...(given.byUri ? { jwksUri: `${one}/keys` } : { jwks: KEYS }) }));
    return policy(
      "RequestAuthentication",
      `${given.namespace}/${given.name}`,
      { ...matching(given.selector), jwtRules },
      { created: given.created },
    );
  });

/** A store's content: one resource of a kind and name. */
const content = fc.uniqueArray(fc.oneof(peer, authorization, custom, authentication), {
  maxLength: 8,
  selector: ({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`,
});

const pools = new WeakMap<Mesh, Pool>();

function build(policies: readonly AnyPolicy[], previous?: Mesh): Mesh {
  const map = workloads(...all);
  const peers = policies.filter((one) => one.kind === "PeerAuthentication");
  const rules = policies.filter((one) => one.kind === "AuthorizationPolicy");
  const tokens = policies.filter((one) => one.kind === "RequestAuthentication");
  const pool = (previous && pools.get(previous)) ?? new Pool();
  const mesh: Mesh = {
    revision: 1,
    settings,
    services: new Map(),
    endpoints: new Map(),
    workloads: map,
    mtls: buildMtls(peers, map, settings, previous),
    authentication: buildAuthentication(tokens, map, { settings, jwks: FETCHED, pool }, previous),
    authorization: buildAuthorization(rules, map, settings, previous, PROVIDERS),
    inbound: new Map(),
    outbound: new Map(),
    gateways: new Map(),
    credentials: new Map(),
    envoyPatches: new Map(),
    registrations: [],
    federation: [],
    injections: new Map(),
    accessLogs: new Map(),
    tracing: new Map(),
    metrics: new Map(),
    unready: new Map(),
    doubtful: new Map(),
    processes: new Map(),
  };
  pools.set(mesh, pool);
  return mesh;
}

function versions(mesh: Mesh): string[] {
  return all.flatMap((one) => {
    const { clusters, listeners, extensions } = inboundResources(mesh, one);
    return [...clusters, ...listeners, ...extensions].map(({ name: resource, version }) => `${one.key} ${resource} ${version}`);
  });
}

describe("The security half of the Mesh", () => {
  test("Built step by step it gives the same bytes as built from scratch", () => {
    fc.assert(
      fc.property(fc.array(content, { minLength: 1, maxLength: 5 }), (steps) => {
        let mesh: Mesh | undefined;
        for (const step of steps) {
          mesh = build(step, mesh);
          expect(mesh.mtls).toEqual(build(step).mtls);
          expect(versions(mesh)).toEqual(versions(build(step)));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("The order of the policies never matters", () => {
    fc.assert(
      fc.property(
        content.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }))),
        ([list, shuffled]) => {
          expect(build(shuffled).mtls).toEqual(build(list).mtls);
          expect(versions(build(shuffled))).toEqual(versions(build(list)));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("Building the same again gives the same objects", () => {
    fc.assert(
      fc.property(content, (list) => {
        const before = build(list);
        const after = build(list, before);
        expect(after.mtls).toBe(before.mtls);
        expect(after.authorization).toBe(before.authorization);
        expect(after.authentication).toBe(before.authentication);
        for (const one of all) expect(inboundResources(after, one)).toBe(inboundResources(before, one));
      }),
      { numRuns: 60 },
    );
  });
});
