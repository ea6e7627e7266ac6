/** What was made of parts hangs on these (src/mesh/memo.ts): a mesh that lives on must not keep all that came before it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { httpService, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";
import { key, resources } from "./random-documents.ts";

const STEPS = 200;

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("of the meshes of a long history only the last ones are held", async () => {
  const lists = fc.sample(resources, { numRuns: STEPS, seed: 7 });
  // Some live for a few steps, some for long, and some for good: what holds what came before it would hold a chain of all.
  const lasting = resourcesOf(httpService("lasting"), workload("lasting-1", "lasting", "10.9.9.9"));
  const held = new Map<string, AnyResource>();
  const past: Record<"services" | "endpoints" | "outbound" | "clusters", WeakRef<object>[]> = {
    services: [],
    endpoints: [],
    outbound: [],
    clusters: [],
  };
  let mesh: Mesh | undefined;
  for (const [at, list] of lists.entries()) {
    for (const one of list.slice(0, 3)) held.set(key(one), one);
    for (const id of [...held.keys()].slice(0, at % 3)) held.delete(id);
    const moving = resourcesOf(
      resource(
        "MeshConfig",
        "mesh",
        `{outboundTrafficPolicy: {mode: ${Math.floor(at / 25) % 2 ? "ALLOW_ANY" : "REGISTRY_ONLY"}}}`,
        "namespace: weft-system",
      ),
      workload("lasting-2", "lasting", `10.9.8.${1 + (at % 250)}`),
    );
    mesh = buildMesh([...lasting, ...moving, ...held.values()], { ...OPTIONS, revision: at }, mesh);
    for (const id of mesh.workloads.keys()) buildSnapshot(mesh, id, []);
    const view = mesh.outbound.get("default/lasting-1");
    past.services.push(new WeakRef(mesh.services));
    past.endpoints.push(new WeakRef(mesh.endpoints));
    if (view) past.outbound.push(new WeakRef(view));
    if (view) past.clusters.push(new WeakRef(view.clusters));
    // A WeakRef holds what it refers to until the end of the turn.
    await turn();
  }
  for (let times = 0; times < 3; times++) {
    Bun.gc(true);
    await turn();
  }
  const alive = Object.fromEntries(
    Object.entries(past).map(([part, all]) => [part, new Set(all.flatMap((one) => one.deref() ?? [])).size]),
  );
  // A part may keep the newest of what it was in, and the collector is conservative about the stack.
  for (const [part, count] of Object.entries(alive)) expect(`${part}: ${count < 30 ? "few" : count}`).toBe(`${part}: few`);
  expect(mesh?.revision).toBe(STEPS - 1);
}, 60_000);
