/**
 * DestinationRule: how callers talk to a service, and its subsets. istio/api networking/v1alpha3/destination_rule.proto, checked as
 * Istio's ValidateDestinationRule does.
 */
import type * as v from "valibot";
import { checkHost, isDnsLabel } from "./check.ts";
import { checkLabels } from "./check-label.ts";
import { list, map, needed, notYet, object, text } from "./schema.ts";
import { trafficPolicy } from "./traffic-policy.ts";

const subset = object({
  name: needed(
    text((name, report) => {
      if (!isDnsLabel(name)) report("badValue", `${JSON.stringify(name)} is no name of a subset: use letters, digits and '-'`);
    }),
  ),
  labels: map(text(), checkLabels),
  trafficPolicy,
});

export const DestinationRuleSchema = object({
  host: needed(text((host, report) => checkHost(host, report))),
  trafficPolicy,
  subsets: list(subset, (subsets, report) => {
    const names = subsets.map(({ name }) => name);
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) < index) report("duplicateItem", `subset ${JSON.stringify(name)} occurs twice`, { path: [index, "name"] });
    }
  }),
  exportTo: notYet("every rule is visible in every namespace"),
  workloadSelector: notYet("a rule holds for every caller"),
});

export type DestinationRuleSpec = v.InferOutput<typeof DestinationRuleSchema>;
export type Subset = v.InferOutput<typeof subset>;
