/** The snapshots of one proxy, one after the other: what a change does not touch of it is taken from the one before. */
import { type EncodedResource, type ProxySnapshot, TYPE } from "../lib/encoded.ts";
import type { OutboundView } from "../mesh/outbound.ts";
import type { Mesh } from "../mesh/types.ts";
import type { EnvoyAbilities } from "./envoy-version.ts";
import { assignmentResources, buildSnapshot } from "./snapshot.ts";

interface Made {
  readonly inputs: readonly unknown[];
  readonly assignments: OutboundView["assignments"] | undefined;
  readonly snapshot: ProxySnapshot | undefined;
}

export class ProxySnapshots {
  #last: Made | undefined;

  /** As buildSnapshot. Most changes are endpoints' only: then the rest is the same without being looked up resource by resource. */
  next(mesh: Mesh, workloadKey: string, secrets: readonly EncodedResource[], abilities: EnvoyAbilities): ProxySnapshot | undefined {
    const view = mesh.outbound.get(workloadKey);
    const inputs = [secrets, abilities, ...inputsOf(mesh, workloadKey, view)];
    const last = this.#last;
    const isSame = last?.inputs.length === inputs.length && inputs.every((input, at) => input === last.inputs[at]);
    const before = isSame && !mesh.envoyPatches.has(workloadKey) ? last?.snapshot : undefined;
    const snapshot =
      before && view ? withEndpoints(before, mesh, view, last?.assignments) : buildSnapshot(mesh, workloadKey, secrets, abilities);
    this.#last = { inputs, assignments: view?.assignments, snapshot };
    return snapshot;
  }
}

/** All that a snapshot is made of, but the assignments. */
function inputsOf(mesh: Mesh, key: string, view: OutboundView | undefined): readonly unknown[] {
  const { revision: _, endpoints, unready, doubtful, workloads, federation, registrations, outbound, ...rest } = mesh;
  const { assignments, ...calls } = view ?? {};
  const own = Object.values(rest).map((part) => (part instanceof Object && "get" in part && part !== mesh.services ? part.get(key) : part));
  return [workloads.get(key), ...own, mesh.metrics.size > 0, ...Object.values(calls)];
}

function withEndpoints(
  before: ProxySnapshot,
  mesh: Mesh,
  view: OutboundView,
  assignments: OutboundView["assignments"] | undefined,
): ProxySnapshot {
  if (view.assignments === assignments) return { revision: mesh.revision, resources: before.resources };
  return { revision: mesh.revision, resources: new Map(before.resources).set(TYPE.endpoint, assignmentResources(mesh, view)) };
}
