/** EnvoyFilters change Envoy's configuration after weft made it, in any way: `weft why` names those on the way, and does not evaluate them. */
import { formatProvenance } from "../lib/provenance.ts";
import type { Mesh } from "../mesh/types.ts";
import type { Step, WhyAnswer } from "./types.ts";

/** `caller`: key of the calling workload, where it is one. */
export function withPatches(mesh: Mesh, caller: string | undefined, answer: WhyAnswer): WhyAnswer {
  const servers = answer.destinations.flatMap(({ endpoints }) => endpoints.flatMap(({ workload }) => workload ?? []));
  const steps = [...new Set([...(caller ? [caller] : []), ...servers])].flatMap((workload): Step[] => {
    const patches = mesh.envoyPatches.get(workload) ?? [];
    const byFilter = new Map(patches.map(({ source }) => [`${source.namespace}/${source.name}`, source]));
    return [...byFilter.values()].map((source) => ({
      stage: "envoy_filter",
      result: "not_evaluated",
      reason: `${formatProvenance(source)} changes the proxy of ${workload}: what it does is not in this answer`,
      source,
    }));
  });
  return steps.length > 0 ? { ...answer, steps: [...answer.steps, ...steps] } : answer;
}
