/**
 * Who calls, as far as rules tell callers apart: proxies of one namespace share their view of the mesh, unless some rule looks at a label
 * that they differ in, or a Sidecar holds for some of them only.
 */
import { compareText } from "./hosts.ts";
import type { EgressScope } from "./sidecars.ts";
import type { Workload } from "./types.ts";
import type { UnknownHosts } from "./unknown-hosts.ts";

export interface Caller {
  readonly namespace: string;
  /** Of the workload's labels those that some rule looks at, sorted. */
  readonly labels: Readonly<Record<string, string>>;
  /** "region/zone/subzone" where some rule prefers endpoints that are near, else "". */
  readonly locality: string;
  /** What a Sidecar lets it know; undefined where none limits it. */
  readonly scope?: EgressScope;
  /** Undefined where it may call what the mesh knows only. */
  readonly unknown?: UnknownHosts;
}

export interface CallerGroup {
  readonly caller: Caller;
  /** At least one. */
  readonly workloads: readonly Workload[];
}

/** What rules look at in a namespace's callers. */
export interface Distinctions {
  readonly labels: ReadonlySet<string>;
  readonly locality: boolean;
}

/** By namespace, then by what tells them apart; sorted. */
export function groupCallers(
  workloads: Iterable<Workload>,
  distinctions: (namespace: string) => Distinctions,
  sidecarOf: (workload: Workload) => Pick<Caller, "scope" | "unknown">,
): readonly CallerGroup[] {
  const groups = new Map<string, { caller: Caller; workloads: Workload[] }>();
  const known = new Map<string, Distinctions>();
  for (const workload of workloads) {
    const { namespace } = workload;
    const looked = known.get(namespace) ?? distinctions(namespace);
    known.set(namespace, looked);
    const labels = Object.entries(workload.labels)
      .filter(([key]) => looked.labels.has(key))
      .sort(([a], [b]) => compareText(a, b));
    const locality = looked.locality ? workload.locality : "";
    const { scope, unknown } = sidecarOf(workload);
    const key = JSON.stringify([namespace, labels, locality, scope?.key, unknown]);
    const group = groups.get(key) ?? { caller: { namespace, labels: Object.fromEntries(labels), locality, scope, unknown }, workloads: [] };
    groups.set(key, group);
    group.workloads.push(workload);
  }
  return [...groups].sort(([a], [b]) => compareText(a, b)).map(([, group]) => group);
}

/** Istio's labels.Instance.SubsetOf. */
export function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}
