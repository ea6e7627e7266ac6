import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { changedNames, listVersion, typeVersion } from "../../src/ads/diff.ts";
import type { EncodedResource, ProxySnapshot } from "../../src/lib/encoded.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { ALL_ABILITIES } from "../../src/xds/envoy-version.ts";
import { ProxySnapshots } from "../../src/xds/proxy-snapshots.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

// Hundreds of meshes, on a machine that may be busy.
setDefaultTimeout(60_000);

const SERVICES = ["orders", "users", "web"];
const NAMESPACES = ["default", "shop"];
const service = fc.constantFrom(...SERVICES);
const metadata = fc
  .tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"))
  .map(([namespace, created]) => `namespace: ${namespace}, creationTimestamp: "${created}"`);
const name = fc.constantFrom("a", "b", "c");
const host = fc.constantFrom(
  "orders",
  "users.shop.mesh.local",
  "*.mesh.local",
  "*.shop.mesh.local",
  "web.default.svc.cluster.local",
  "api.example.com",
);

/** Documents over a small world, so that they meet each other often. */
const document = fc.oneof(
  fc
    .tuple(service, metadata, fc.constantFrom("80", "8080"))
    .map(([app, meta, port]) =>
      httpService(app, meta, `[{number: ${port}, name: http, protocol: HTTP}, {number: 5432, name: tcp, protocol: TCP}]`),
    ),
  fc
    .tuple(name, service, metadata, fc.integer({ min: 1, max: 9 }))
    .map(([at, app, meta, last]) => workload(`${app}-${at}`, app, `10.0.0.${last}`, meta)),
  fc
    .tuple(name, host, metadata, fc.constantFrom("RANDOM", "ROUND_ROBIN"))
    .map(([rule, of, meta, simple]) =>
      resource(
        "DestinationRule",
        rule,
        `{host: "${of}", trafficPolicy: {loadBalancer: {simple: ${simple}}}, subsets: [{name: ${rule}, labels: {app: orders}}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, host, metadata)
    .map(([rule, of, to, meta]) =>
      resource(
        "VirtualService",
        rule,
        `{hosts: ["${of}"], http: [{route: [{destination: {host: "${to.replace("*.", "orders.")}", subset: a}}]}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, metadata)
    .map(([entry, of, meta]) =>
      resource(
        "ServiceEntry",
        entry,
        `{hosts: ["${of.startsWith("*") ? "api.example.com" : of.includes(".") ? of : `${of}.example.com`}"], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: ${entry}.example.com}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, metadata, fc.constantFrom("[.]", '["*"]', "[shop]"), fc.constantFrom("app: web", "app: orders"))
    .map(([rule, of, meta, exportTo, label]) =>
      resource(
        "VirtualService",
        `${rule}-narrow`,
        `{hosts: ["${of}"], exportTo: ${exportTo}, http: [{match: [{sourceLabels: {${label}}}, {sourceNamespace: shop, uri: {prefix: /a}}], delegate: {name: ${rule}-leaf, namespace: default}}, {match: [{uri: {prefix: /b}}], directResponse: {status: 418}}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, service, metadata, fc.constantFrom("[.]", '["*"]'))
    .map(([leaf, to, meta, exportTo]) =>
      resource(
        "VirtualService",
        `${leaf}-leaf`,
        `{exportTo: ${exportTo}, http: [{timeout: 1s, route: [{destination: {host: ${to}}}]}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, metadata, fc.constantFrom("workloadSelector: {matchLabels: {app: web}}", "exportTo: [shop]", "exportTo: [.]"))
    .map(([rule, of, meta, scope]) =>
      resource(
        "DestinationRule",
        `${rule}-scoped`,
        `{host: "${of}", ${scope}, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}, connectionPool: {tcp: {maxConnections: 7}}}}`,
        meta,
      ),
    ),
  fc
    .tuple(name, service, metadata, fc.constantFrom("eu/north/a", "eu/south/a", "us/east/a"))
    .map(([at, app, meta, locality]) => workload(`${app}-${at}`, app, "10.0.2.1", meta, `, locality: ${locality}`)),
  fc
    .tuple(
      name,
      fc.constantFrom("default", "shop", "weft-system"),
      fc.constantFrom("", "workloadSelector: {labels: {app: web}}, "),
      fc.constantFrom(
        'egress: [{hosts: ["./*"]}]',
        'egress: [{hosts: ["*/*", "~shop/*"]}]',
        'egress: [{hosts: ["*/orders.default.mesh.local"]}]',
      ),
      fc.constantFrom("", ", inboundConnectionPool: {tcp: {maxConnections: 9}}", ", ingress: [{port: {number: 80, protocol: HTTP}}]"),
    )
    .map(([at, namespace, selector, egress, more]) =>
      resource("Sidecar", at, `{${selector}${egress}${more}}`, `namespace: ${namespace}, creationTimestamp: "2024-01-01T00:00:00Z"`),
    ),
  fc
    .tuple(metadata, fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE"))
    .map(([meta, mode]) => resource("PeerAuthentication", "default", `{mtls: {mode: ${mode}}}`, meta)),
  fc
    .tuple(name, metadata)
    .map(([at, meta]) =>
      resource(
        "WorkloadEntry",
        `front-${at}`,
        "{address: 10.0.1.1, serviceAccount: front}",
        `${meta}, labels: {gateway: ${at}}, annotations: {weft.dev/type: gateway}`,
      ),
    ),
  fc
    .tuple(name, metadata, fc.constantFrom("", "selector: {gateway: a}, "), fc.constantFrom("HTTP", "TCP", "TLS"))
    .map(([at, meta, selector, protocol]) =>
      resource(
        "Gateway",
        at,
        `{${selector}servers: [{port: {number: 80, name: p, protocol: ${protocol}}, hosts: ["*"]${protocol === "TLS" ? ", tls: {}" : ""}}]}`,
        meta,
      ),
    ),
  fc.tuple(name, name, host, metadata).map(([at, gateway, of, meta]) => {
    const to = 'route: [{destination: {host: "orders.default.mesh.local"}}]';
    const sni = of.includes(".") && !of.endsWith("cluster.local") ? `, tls: [{match: [{sniHosts: ["${of}"]}], ${to}}]` : "";
    return resource(
      "VirtualService",
      `${at}-bound`,
      `{hosts: ["${of}"], gateways: [${gateway}], http: [{${to}}], tcp: [{${to}}]${sni}}`,
      meta,
    );
  }),
  fc
    .tuple(name, fc.constantFrom("default", "shop", "weft-system"), service, fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE"))
    .map(([policy, namespace, app, mode]) =>
      resource(
        "PeerAuthentication",
        policy,
        `{selector: {matchLabels: {app: ${app}}}, mtls: {mode: ${mode}}, portLevelMtls: {80: {mode: PERMISSIVE}}}`,
        `namespace: ${namespace}, creationTimestamp: "2024-01-01T00:00:00Z"`,
      ),
    ),
  fc
    .constantFrom("STRICT", "DISABLE")
    .map((mode) => resource("PeerAuthentication", "mesh", `{mtls: {mode: ${mode}}}`, "namespace: weft-system")),
  fc
    .tuple(name, fc.constantFrom("default", "shop", "weft-system"), service, fc.constantFrom("GET", "POST"))
    .map(([policy, namespace, app, method]) =>
      resource(
        "AuthorizationPolicy",
        `${policy}-selecting`,
        `{selector: {matchLabels: {app: ${app}}}, rules: [{to: [{operation: {methods: [${method}]}}]}]}`,
        `namespace: ${namespace}`,
      ),
    ),
  fc
    .tuple(service, metadata, fc.constantFrom("", ", serviceAccount: inline"))
    .map(([app, meta, account]) =>
      resource(
        "ServiceEntry",
        `${app}-inline`,
        `{hosts: [${app}], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 10.0.3.1${account}}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, service, fc.constantFrom("80", "8080"))
    .map(([at, app, port]) =>
      resource(
        "WorkloadEntry",
        `listening-${at}`,
        `{address: 10.0.4.1, labels: {app: ${app}}}`,
        `annotations: {weft.dev/listen: "web.default.mesh.local:${port}=127.0.0.1:1${port}"}`,
      ),
    ),
  fc
    .constantFrom("{defaultServiceExportTo: ['.']}", "{defaultProviders: {metrics: [prometheus]}}", "{enableAutoMtls: false}")
    .map((spec) => resource("MeshConfig", "default", spec, "namespace: weft-system")),
  fc
    .tuple(name, metadata)
    .map(([policy, meta]) =>
      resource("AuthorizationPolicy", policy, "{action: ALLOW, rules: [{to: [{operation: {methods: [GET]}}]}]}", meta),
    ),
  fc
    .tuple(name, metadata, service, fc.constantFrom("1s", "2s"), fc.integer({ min: 0, max: 1 }))
    .map(([filter, meta, app, timeout, priority]) =>
      resource(
        "EnvoyFilter",
        filter,
        `{priority: ${priority}, workloadSelector: {labels: {app: ${app}}}, configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: ${timeout}}}}]}`,
        meta,
      ).replace("networking.istio.io/v1\n", "networking.istio.io/v1alpha3\n"),
    ),
);

const key = ({ kind, metadata: { namespace, name: id } }: AnyResource) => `${kind}/${namespace}/${id}`;

const parsed = document.map((text) => {
  const [one] = resourcesOf(text);
  if (!one) throw new Error(text);
  return one;
});

/** No two of the same kind, namespace and name. */
const resources = fc.uniqueArray(parsed, { selector: key, maxLength: 14 });

/** Name and version of everything that every proxy gets: equal exactly when the bytes are. */
function fingerprint(mesh: Mesh, of = snapshot): Record<string, string[]> {
  return Object.fromEntries(
    [...mesh.workloads.keys()].map((id) => [
      id,
      all(of(mesh, id)).map((r) => `${r.typeUrl} ${r.name} ${r.version} ${JSON.stringify(r.sources)}`),
    ]),
  );
}

function snapshot(mesh: Mesh, id: string): ProxySnapshot {
  const found = buildSnapshot(mesh, id, []);
  if (!found) throw new Error(`no snapshot for ${id}`);
  return found;
}

function all({ resources: byType }: ProxySnapshot): EncodedResource[] {
  return [...byType.values()].flatMap((byName) => [...byName.values()]);
}

const NO_SECRETS: readonly EncodedResource[] = [];

/** What ADS finds to have changed is what did, and the version of the whole is that of the content. */
function expectDifferences(before: ProxySnapshot, after: ProxySnapshot): void {
  for (const [type, now] of after.resources) {
    const old = before.resources.get(type) ?? new Map<string, EncodedResource>();
    const names = [...new Set([...old.keys(), ...now.keys()])].filter((id) => old.get(id)?.version !== now.get(id)?.version);
    expect([...changedNames(old, now)].sort()).toEqual(names.sort());
    expect(typeVersion(now)).toBe(listVersion([...now.values()].reverse()));
  }
}

describe("A mesh", () => {
  test("does not depend on the order in which resources come", () => {
    fc.assert(
      fc.property(
        resources.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          expect(fingerprint(buildMesh(shuffled, OPTIONS))).toEqual(fingerprint(buildMesh(list, OPTIONS)));
        },
      ),
      { numRuns: 100 },
    );
  });

  test("built step by step is the mesh built from scratch, byte for byte, and so is what each proxy is given at each step", () => {
    // Several changes may come as one step.
    const steps = fc.array(fc.array(fc.tuple(fc.boolean(), parsed), { minLength: 1, maxLength: 3 }), { maxLength: 10 });
    fc.assert(
      fc.property(resources, steps, (list, edits) => {
        const current = new Map(list.map((one) => [key(one), one]));
        const proxies = new Map<string, { readonly snapshots: ProxySnapshots; last?: ProxySnapshot }>();
        const given = (of: Mesh, id: string) => {
          const proxy = proxies.get(id) ?? { snapshots: new ProxySnapshots() };
          proxies.set(id, proxy);
          const next = proxy.snapshots.next(of, id, NO_SECRETS, ALL_ABILITIES);
          if (!next) throw new Error(`no snapshot for ${id}`);
          if (proxy.last) expectDifferences(proxy.last, next);
          proxy.last = next;
          return next;
        };
        let mesh = buildMesh([...current.values()], OPTIONS);
        fingerprint(mesh, given);
        for (const step of edits) {
          for (const [removes, one] of step) {
            if (removes) current.delete(key(one));
            else current.set(key(one), one);
          }
          mesh = buildMesh([...current.values()], OPTIONS, mesh);
          const stepped = fingerprint(mesh, given);
          const copies = [...current.values()].map((one) => structuredClone(one));
          expect(stepped).toEqual(fingerprint(buildMesh(copies, OPTIONS)));
        }
      }),
      { numRuns: 100 },
    );
  });

  test("has no two resources of one name and type, whatever the input", () => {
    fc.assert(
      fc.property(resources, (list) => {
        for (const view of buildMesh(list, OPTIONS).outbound.values()) {
          for (const { virtualHosts } of view.routes.values()) {
            const domains = virtualHosts.flatMap((virtualHost) => virtualHost.domains);
            expect(new Set(domains).size).toBe(domains.length);
            expect(new Set(virtualHosts.map((virtualHost) => virtualHost.name)).size).toBe(virtualHosts.length);
          }
          expect(new Set(view.clusters.map((cluster) => cluster.name)).size).toBe(view.clusters.length);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("keeps everything of the mesh before when nothing changed", () => {
    const list = resourcesOf(httpService("orders"), workload("orders-1", "orders", "10.0.0.1"), workload("orders-2", "orders", "10.0.0.2"));
    const before = buildMesh(list, OPTIONS);
    const after = buildMesh([...list].reverse(), { ...OPTIONS, revision: 2 }, before);
    expect(after.revision).toBe(2);
    const parts = ["settings", "services", "endpoints", "workloads", "mtls", "authorization", "outbound"] as const;
    for (const part of parts) expect(after[part] === before[part] ? part : `${part} is another object`).toBe(part);
  });

  test("changes only a service's endpoints when one of its workloads moves", () => {
    const rest = resourcesOf(
      httpService("orders"),
      httpService("users"),
      workload("users-1", "users", "10.0.0.9"),
      workload("orders-2", "orders", "10.0.0.2"),
    );
    const [old, moved] = [
      resourcesOf(workload("orders-1", "orders", "10.0.0.1")),
      resourcesOf(workload("orders-1", "orders", "10.0.0.77")),
    ];
    const before = buildMesh([...rest, ...old], OPTIONS);
    const after = buildMesh([...rest, ...moved], { ...OPTIONS, revision: 2 }, before);
    const [was, is] = [all(snapshot(before, "default/users-1")), all(snapshot(after, "default/users-1"))];
    const changed = is.filter((one) => !was.includes(one)).map(({ typeUrl, name: id }) => `${typeUrl.split(".").at(-1)} ${id}`);
    expect(changed).toEqual(["ClusterLoadAssignment outbound|80||orders.default.mesh.local"]);
  });

  test("changes only one virtual host when a VirtualService changes", () => {
    const rest = resourcesOf(httpService("orders"), httpService("users"), workload("users-1", "users", "10.0.0.9"));
    const route = (seconds: number) =>
      resourcesOf(
        resource("VirtualService", "orders", `{hosts: [orders], http: [{timeout: ${seconds}s, route: [{destination: {host: orders}}]}]}`),
      );
    const before = buildMesh([...rest, ...route(1)], OPTIONS);
    const after = buildMesh([...rest, ...route(2)], { ...OPTIONS, revision: 2 }, before);
    const hosts = (mesh: Mesh) => mesh.outbound.get("default/users-1")?.routes.get("http_proxy")?.virtualHosts ?? [];
    expect(
      hosts(after)
        .filter((one) => !hosts(before).includes(one))
        .map((one) => one.name),
    ).toEqual(["orders.default.mesh.local:80"]);
    const [was, is] = [all(snapshot(before, "default/users-1")), all(snapshot(after, "default/users-1"))];
    expect(is.filter((one) => !was.includes(one)).map((one) => one.name)).toEqual(["http_proxy"]);
  });
});
