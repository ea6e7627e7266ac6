/** Which Telemetry holds for a workload (Istio, pilot/pkg/model/telemetry.go applicableTelemetries). */
import type { Resource } from "../model/resource.ts";
import { selects } from "./policy-scope.ts";
import type { Workload } from "./types.ts";

type Telemetry = Resource<"Telemetry">;

/**
 * The root namespace's, the namespace's, and those that select the workload, in this order. `sorted`: oldest first; of those for a whole
 * namespace the oldest holds. A selector in the root namespace selects in that namespace only.
 */
export function telemetriesFor(sorted: readonly Telemetry[], { namespace, labels }: Workload, rootNamespace: string): readonly Telemetry[] {
  const hasSelector = ({ spec }: Telemetry) => Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  const widest = (of: string) => sorted.filter((one) => one.metadata.namespace === of && !hasSelector(one)).slice(0, 1);
  const own = sorted.filter((one) => one.metadata.namespace === namespace && hasSelector(one) && selects(one.spec.selector, labels));
  const wide = [...widest(rootNamespace), ...(namespace === rootNamespace ? [] : widest(namespace))];
  return [...wide, ...own];
}
