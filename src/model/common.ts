/** Parts that several kinds share: selectors, ports, durations. */
import type * as v from "valibot";
import { checkDuration } from "./check.ts";
import { checkLabelMap } from "./check-label.ts";
import { integer, map, needed, object, text } from "./schema.ts";

export const port = () => integer(1, 65535);

/** A duration of at least 1 ms (Istio's ValidateDuration). */
export const duration = () => text(checkDuration({ atLeastMs: 1 }));

/** istio.type.v1beta1.WorkloadSelector. Empty matchLabels select every workload of the namespace. */
export const selector = () => object({ matchLabels: map(text(), checkLabelMap("selector")) });
export type Selector = v.InferOutput<ReturnType<typeof selector>>;

/** networking's PortSelector. */
export const portSelector = () => object({ number: needed(port()) });
