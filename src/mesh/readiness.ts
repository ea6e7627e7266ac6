/**
 * Which workloads get no calls, because their application is not ready, or they are away. One whose probe has not succeeded yet is not ready
 * (Istio, serviceentry/conversion.go, isHealthy); its endpoint is not sent at all, as Istio does without PILOT_SEND_UNHEALTHY_ENDPOINTS.
 */
import { ANNOTATION } from "../model/annotations.ts";
import { canonicalHost } from "../model/host.ts";
import { AUTO_REGISTRATION_GROUP, HEALTH_CHECKS } from "../model/workload-group.ts";
import { compareText } from "./hosts.ts";
import { internList, type Pool } from "./memo.ts";
import type { Selection, WorkloadEntry } from "./selection.ts";
import type { MeshOptions, WorkloadHealth } from "./settings.ts";
import type { Endpoint, Settings } from "./types.ts";

/** Why a workload gets no calls (or may be gone), and of which services: their canonical hosts. */
export interface Unready {
  readonly reason: string;
  /** Since when, milliseconds since the epoch, where that belongs to the reason. */
  readonly since?: number;
  readonly hosts: readonly string[];
}

export interface ReadinessInputs {
  readonly health: NonNullable<MeshOptions["health"]>;
  /** By key: the WorkloadEntries that isAsked holds for, and what selects them. */
  readonly asked: ReadonlyMap<string, WorkloadEntry>;
  readonly selecting: Selection["entries"];
  readonly settings: Settings;
  readonly pool: Pool;
}

/** Of whom it is known whether they are ready: instances of groups, and workloads of a node. Nobody asks the others. */
export function isAsked(entry: WorkloadEntry): boolean {
  return groupOf(entry) !== undefined || entry.metadata.annotations[ANNOTATION.node] !== undefined;
}

export interface Readiness {
  readonly unready: ReadonlyMap<string, Unready>;
  readonly doubtful: ReadonlyMap<string, Unready>;
}

/** By workload key, sorted. */
export function buildReadiness({ health, asked, selecting, settings, pool }: ReadinessInputs): Readiness {
  const unready: [string, Unready][] = [];
  const doubtful: [string, Unready][] = [];
  for (const [key, entry] of asked) {
    const said = health.get(key);
    const reason = reasonOf(entry, said);
    const doubt = reason === undefined ? said?.doubt : undefined;
    const told = reason ?? doubt;
    if (told === undefined) continue;
    const all = (selecting.get(key) ?? []).flatMap(({ spec, metadata }) =>
      spec.hosts.map((host) => canonicalHost(host, metadata.namespace, settings.domain)),
    );
    const one = { reason: told, ...(said?.since === undefined ? {} : { since: said.since }), hosts: [...new Set(all)].sort() };
    const kept = pool.keep(`unready ${JSON.stringify([key, one])}`, (): Unready => one);
    (reason === undefined ? doubtful : unready).push([key, kept]);
  }
  const sorted = (entries: [string, Unready][]) => new Map(entries.sort(([a], [b]) => compareText(a, b)));
  return { unready: sorted(unready), doubtful: sorted(doubtful) };
}

/** In words, at `now` (milliseconds since the epoch): "its proxy, on node edge-3, has been away for 14 s". */
export function reasonAt({ reason, since }: Unready, now: number): string {
  if (since === undefined) return reason;
  const seconds = Math.max(0, Math.round((now - since) / 1_000));
  if (seconds < 120) return `${reason} for ${seconds} s`;
  return seconds < 7_200 ? `${reason} for ${Math.floor(seconds / 60)} min` : `${reason} for ${Math.floor(seconds / 3_600)} h`;
}

/** Without those that get no calls. */
export function readyOf(endpoints: readonly Endpoint[], unready: ReadonlyMap<string, Unready>): readonly Endpoint[] {
  if (!endpoints.some(({ workload }) => workload !== undefined && unready.has(workload))) return endpoints;
  return internList(endpoints.filter(({ workload }) => workload === undefined || !unready.has(workload)));
}

function reasonOf({ metadata }: WorkloadEntry, said: WorkloadHealth | undefined): string | undefined {
  if (said) return said.ready ? undefined : said.message || "its probe fails";
  return isProbed(metadata.annotations) ? NOT_YET : undefined;
}

/** Why one with a probe is not ready that nobody has said anything of. */
export const NOT_YET = "its probe has not succeeded yet";

/** Whether it gets calls only once its probe has succeeded. */
export function isProbed(annotations: Readonly<Record<string, string>>): boolean {
  return isTrue(annotations[HEALTH_CHECKS]) || annotations[ANNOTATION.probe] !== undefined;
}

/** "ns/name" of the WorkloadGroup that registered the workload; undefined for those that a person wrote. */
export function groupOf({ metadata }: WorkloadEntry): string | undefined {
  const name = metadata.annotations[AUTO_REGISTRATION_GROUP];
  return name ? `${metadata.namespace}/${name}` : undefined;
}

/** As Go's strconv.ParseBool takes it. */
const isTrue = (text: string | undefined) => text !== undefined && /^(?:1|t|T|TRUE|true|True)$/.test(text);
