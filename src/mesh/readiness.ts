/**
 * Which workloads get no calls, because their application is not ready. One whose probe has not succeeded yet is not (Istio,
 * serviceentry/conversion.go, isHealthy); its endpoint is not sent at all, as Istio does without PILOT_SEND_UNHEALTHY_ENDPOINTS.
 */
import { AUTO_REGISTRATION_GROUP, HEALTH_CHECKS } from "../model/workload-group.ts";
import { compareText } from "./hosts.ts";
import type { WorkloadEntry } from "./selection.ts";
import type { MeshOptions } from "./settings.ts";

/** Why, by workload key, sorted. Only for workloads of a group: nobody asks the others. */
export function buildUnready(entries: readonly WorkloadEntry[], health: NonNullable<MeshOptions["health"]>): ReadonlyMap<string, string> {
  const unready = entries.flatMap((entry): [string, string][] => {
    const key = `${entry.metadata.namespace}/${entry.metadata.name}`;
    if (groupOf(entry) === undefined) return [];
    const said = health.get(key);
    if (said) return said.ready ? [] : [[key, said.message || "its probe fails"]];
    return isTrue(entry.metadata.annotations[HEALTH_CHECKS]) ? [[key, "its probe has not succeeded yet"]] : [];
  });
  return new Map(unready.sort(([a], [b]) => compareText(a, b)));
}

/** "ns/name" of the WorkloadGroup that registered the workload; undefined for those that a person wrote. */
export function groupOf({ metadata }: WorkloadEntry): string | undefined {
  const name = metadata.annotations[AUTO_REGISTRATION_GROUP];
  return name ? `${metadata.namespace}/${name}` : undefined;
}

/** As Go's strconv.ParseBool takes it. */
const isTrue = (text: string | undefined) => text !== undefined && /^(?:1|t|T|TRUE|true|True)$/.test(text);
