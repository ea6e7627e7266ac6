/** Parts that several kinds share: selectors, ports, durations. */
import type * as v from "valibot";
import { checkDuration } from "./check.ts";
import { checkSelector } from "./check-label.ts";
import { integer, list, map, needed, number, object, text } from "./schema.ts";

export const port = () => integer(1, 65535);

/** A port that may be left out; 0, protobuf's default, leaves it out too. */
export const portOrNone = () => integer(0, 65535);

/** A duration of at least 1 ms (Istio's ValidateDuration). */
export const duration = () => text(checkDuration({ atLeastMs: 1 }));

/** A duration of at least 1 ms, or 0. */
export const durationOrZero = () => text(checkDuration({ atLeastMs: 1, zero: true }));

/** A string that says something. */
export const filled = () =>
  text((value, report) => {
    if (value === "") report("badValue", "must not be empty");
  });

/** A list of strings, none of them empty (Istio's CheckEmptyValues). */
export const filledList = () => list(filled());

/** The status of an answer that Envoy gives itself. Istio's validation takes 600 too (validateHTTPStatus), and Envoy refuses it. */
export const answerStatus = () =>
  number((value, report) => {
    if (value === 600) report("notYet", "600 is no status that Envoy answers with", { help: "write 200 to 599" });
    else if (!Number.isInteger(value)) report("wrongType", `must be a whole number, not the number ${value}`);
    else if (value < 200 || value > 599) report("outOfRange", `must be from 200 to 599, not ${value}`);
  });

/** 0 to 100 (Istio's ValidatePercent). */
export const percentNumber = () => integer(0, 100);

/** networking's Percent: 0, or from 0.0001 to 100 (Istio's validatePercentage; finer shares cannot be told to Envoy). */
export const percent = () =>
  object({
    value: number((value, report) => {
      if (value < 0 || value > 100 || (value > 0 && value < 0.0001)) report("outOfRange", `must be 0, or from 0.0001 to 100, not ${value}`);
    }),
  });

/** A Percent of which any share from 0 to 100 is taken, however fine (Istio's checks of mirrors). */
export const anyPercent = () =>
  object({
    value: number((value, report) => {
      if (value < 0 || value > 100) report("outOfRange", `must be from 0 to 100, not ${value}`);
    }),
  });

/** istio.type.v1beta1.WorkloadSelector. Empty matchLabels select every workload of the namespace. */
export const selector = () =>
  object({ matchLabels: map(text(), checkSelector) }, (value, report) => {
    if (Object.keys(value.matchLabels ?? {}).length === 0) {
      report("surprising", "has no labels, so it selects every workload of the namespace", { severity: "warning" });
    }
  });
export type Selector = v.InferOutput<ReturnType<typeof selector>>;

/** networking's PortSelector. */
export const portSelector = () => object({ number: needed(port()) });

/** Reports that more than one of the `names` (a protobuf oneof) is set. */
export function onlyOne(value: object, names: readonly string[], report: (name: "exclusive", message: string) => void): void {
  const set = names.filter((name) => Object.hasOwn(value, name));
  if (set.length > 1) report("exclusive", `may have only one of ${set.join(", ")}`);
}
