/**
 * DestinationRule: how callers talk to a service, and its subsets. istio/api networking/v1alpha3/destination_rule.proto, checked as
 * Istio's ValidateDestinationRule does.
 */
import type * as v from "valibot";
import { checkHost, isDnsLabel } from "./check.ts";
import { checkLabels } from "./check-label.ts";
import { selector } from "./common.ts";
import { list, map, needed, object, text } from "./schema.ts";
import { trafficPolicy } from "./traffic-policy.ts";
import { exportTo } from "./visibility.ts";

const subset = object({
  name: needed(
    text((name, report) => {
      if (!isDnsLabel(name)) report("badValue", `${JSON.stringify(name)} is no name of a subset: use letters, digits and '-'`);
    }),
  ),
  labels: map(text(), checkLabels),
  trafficPolicy,
});

export const DestinationRuleSchema = object(
  {
    host: needed(text((host, report) => checkHost(host, report))),
    trafficPolicy,
    subsets: list(subset, (subsets, report) => {
      const names = subsets.map(({ name }) => name);
      for (const [index, name] of names.entries()) {
        if (names.indexOf(name) < index) report("duplicateItem", `subset ${JSON.stringify(name)} occurs twice`, { path: [index, "name"] });
      }
    }),
    exportTo: exportTo(),
    workloadSelector: selector(),
  },
  (spec, report) => {
    const beyond = spec.workloadSelector ? (spec.exportTo ?? []).indexOf("*") : -1;
    if (beyond >= 0 || (spec.workloadSelector && (spec.exportTo?.length ?? 0) > 1)) {
      report("exclusive", "a rule with a workloadSelector holds in its own namespace only", { path: ["exportTo"], atKey: true });
    }
  },
);

export type DestinationRuleSpec = v.InferOutput<typeof DestinationRuleSchema>;
export type Subset = v.InferOutput<typeof subset>;
