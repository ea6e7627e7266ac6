/**
 * The panic rule for one service: what presence alone says never takes its last endpoints. Envoy, too, stops believing in bad health when too few hosts
 * are left (panic threshold, half by default; with outlier detection Istio turns it off, unless `minHealthPercent` says more). Here the threshold is the last
 * one: calls to what is left are better than calls to what is surely gone, but a call to nothing is no better than one to what may be there.
 */
import type { Endpoint } from "../mesh/types.ts";

/** Of those that are to leave, those without which some service would have no endpoint that `isSure` to be there. Keys of workloads. */
export function lastOnes(
  endpoints: ReadonlyMap<string, readonly Endpoint[]>,
  leaving: ReadonlySet<string>,
  isSure: (workload: string) => boolean,
): ReadonlySet<string> {
  const last = new Set<string>();
  if (leaving.size === 0) return last;
  for (const list of endpoints.values()) {
    const going = list.flatMap(({ workload }) => (workload !== undefined && leaving.has(workload) ? [workload] : []));
    if (going.length === 0) continue;
    if (list.some(({ workload }) => workload === undefined || (!leaving.has(workload) && isSure(workload)))) continue;
    for (const key of going) last.add(key);
  }
  return last;
}
