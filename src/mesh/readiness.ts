/**
 * Which workloads get no calls, because their application is not ready. One whose probe has not succeeded yet is not (Istio,
 * serviceentry/conversion.go, isHealthy); its endpoint is not sent at all, as Istio does without PILOT_SEND_UNHEALTHY_ENDPOINTS.
 */
import { canonicalHost } from "../model/host.ts";
import { AUTO_REGISTRATION_GROUP, HEALTH_CHECKS } from "../model/workload-group.ts";
import { compareText } from "./hosts.ts";
import { internList, type Pool } from "./memo.ts";
import type { Selection, WorkloadEntry } from "./selection.ts";
import type { MeshOptions, WorkloadHealth } from "./settings.ts";
import type { Endpoint, Settings } from "./types.ts";

/** Why a workload gets no calls, and of which services: their canonical hosts. */
export interface Unready {
  readonly reason: string;
  readonly hosts: readonly string[];
}

export interface ReadinessInputs {
  readonly health: NonNullable<MeshOptions["health"]>;
  /** By key: the WorkloadEntries of a group, and what selects them. */
  readonly grouped: ReadonlyMap<string, WorkloadEntry>;
  readonly selecting: Selection["entries"];
  readonly settings: Settings;
  readonly pool: Pool;
}

/** By workload key, sorted. Only workloads of a group: nobody asks the others. */
export function buildUnready({ health, grouped, selecting, settings, pool }: ReadinessInputs): ReadonlyMap<string, Unready> {
  const unready = [...grouped].flatMap(([key, entry]): [string, Unready][] => {
    const reason = reasonOf(entry, health.get(key));
    if (reason === undefined) return [];
    const all = (selecting.get(key) ?? []).flatMap(({ spec, metadata }) =>
      spec.hosts.map((host) => canonicalHost(host, metadata.namespace, settings.domain)),
    );
    const hosts = [...new Set(all)].sort();
    return [[key, pool.keep(`unready ${JSON.stringify([key, reason, hosts])}`, () => ({ reason, hosts }))]];
  });
  return new Map(unready.sort(([a], [b]) => compareText(a, b)));
}

/** Without those that get no calls. */
export function readyOf(endpoints: readonly Endpoint[], unready: ReadonlyMap<string, Unready>): readonly Endpoint[] {
  if (!endpoints.some(({ workload }) => workload !== undefined && unready.has(workload))) return endpoints;
  return internList(endpoints.filter(({ workload }) => workload === undefined || !unready.has(workload)));
}

function reasonOf({ metadata }: WorkloadEntry, said: WorkloadHealth | undefined): string | undefined {
  if (said) return said.ready ? undefined : said.message || "its probe fails";
  return isTrue(metadata.annotations[HEALTH_CHECKS]) ? "its probe has not succeeded yet" : undefined;
}

/** "ns/name" of the WorkloadGroup that registered the workload; undefined for those that a person wrote. */
export function groupOf({ metadata }: WorkloadEntry): string | undefined {
  const name = metadata.annotations[AUTO_REGISTRATION_GROUP];
  return name ? `${metadata.namespace}/${name}` : undefined;
}

/** As Go's strconv.ParseBool takes it. */
const isTrue = (text: string | undefined) => text !== undefined && /^(?:1|t|T|TRUE|true|True)$/.test(text);
