import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { changedNames, listVersion, typeVersion } from "../../src/ads/diff.ts";
import type { EncodedResource, ProxySnapshot } from "../../src/lib/encoded.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { ALL_ABILITIES } from "../../src/xds/envoy-version.ts";
import { ProxySnapshots } from "../../src/xds/proxy-snapshots.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";
import { key, parsed, resources } from "./random-documents.ts";

// Hundreds of meshes, on a machine that may be busy.
setDefaultTimeout(60_000);

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
