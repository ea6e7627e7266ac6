/** DestinationRule: how callers talk to a service, and its subsets. istio/api networking/v1alpha3/destination_rule.proto. */
import type * as v from "valibot";
import { list, map, needed, notYet, object, text } from "./schema.ts";
import { trafficPolicy } from "./traffic-policy.ts";

const subset = object({ name: needed(text()), labels: map(text()), trafficPolicy });

export const DestinationRuleSchema = object({
  host: needed(text()),
  trafficPolicy,
  subsets: list(subset),
  exportTo: notYet("every rule is visible in every namespace"),
  workloadSelector: notYet("a rule holds for every caller"),
});

export type DestinationRuleSpec = v.InferOutput<typeof DestinationRuleSchema>;
export type Subset = v.InferOutput<typeof subset>;
