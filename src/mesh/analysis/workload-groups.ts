/** WorkloadGroups whose instances nobody could call, and entries of groups that are not there. */

import { ANNOTATION } from "../../model/annotations.ts";
import type { Resource } from "../../model/resource.ts";
import { AUTO_REGISTRATION_GROUP, instanceLabelKeys } from "../../model/workload-group.ts";
import type { Context } from "./context.ts";

type Labels = Readonly<Record<string, string>>;
type WorkloadGroup = Resource<"WorkloadGroup">;

const labelsOf = ({ spec: { metadata, template } }: WorkloadGroup): Labels => ({ ...template.labels, ...metadata?.labels });

/** Whether instances of the group have the labels, or may set them themselves. */
function mayHave(group: WorkloadGroup, wanted: Labels): boolean {
  const labels = labelsOf(group);
  const own = instanceLabelKeys(group);
  return Object.entries(wanted).every(([key, value]) => own.includes(key) || labels[key] === value);
}

/** Whether instances with these labels may register themselves in a namespace, or in any with "*". */
export function mayRegister(context: Context, namespace: string, wanted: Labels): boolean {
  return context
    .of("WorkloadGroup")
    .some((group) => (namespace === "*" || group.metadata.namespace === namespace) && mayHave(group, wanted));
}

export function findGroupTrouble(context: Context): void {
  const groups = context.of("WorkloadGroup");
  for (const group of groups) {
    const { namespace } = group.metadata;
    if (group.spec.metadata?.annotations?.[ANNOTATION.type] === "gateway") continue;
    const isSelected = context
      .of("ServiceEntry")
      .some(
        ({ metadata, spec }) =>
          metadata.namespace === namespace && spec.workloadSelector && mayHave(group, spec.workloadSelector.labels ?? {}),
      );
    if (isSelected) continue;
    const labels = Object.entries(labelsOf(group)).map(([key, value]) => `${key}=${value}`);
    context.warn(
      "groupUnselected",
      group,
      group.spec.metadata?.labels ? ["spec", "metadata", "labels"] : ["spec", "template"],
      `no ServiceEntry of namespace ${namespace} selects instances with the labels ${labels.join(", ") || "(none)"}: nobody can call them`,
      "apply a ServiceEntry whose workloadSelector fits, or mend the labels",
    );
  }
  for (const entry of context.of("WorkloadEntry")) {
    const { namespace, annotations } = entry.metadata;
    const name = annotations[AUTO_REGISTRATION_GROUP];
    if (!name || groups.some(({ metadata }) => metadata.name === name && metadata.namespace === namespace)) continue;
    context.warn(
      "surprising",
      entry,
      ["metadata", "annotations", AUTO_REGISTRATION_GROUP],
      `there is no WorkloadGroup ${namespace}/${name}: weft removes the entry, as one that registered itself`,
      `remove the annotation ${AUTO_REGISTRATION_GROUP}, or apply the group`,
    );
  }
}
