/**
 * Who calls, as far as rules tell callers apart: proxies of one namespace share their view of the mesh, unless some rule looks at a label
 * that they differ in, or a Sidecar holds for some of them only.
 */
import { compareText } from "./hosts.ts";
import { numberOf, type Pool } from "./memo.ts";
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

/** What rules look at in a namespace's callers. */
export interface Distinctions {
  readonly labels: ReadonlySet<string>;
  readonly locality: boolean;
}

/** The caller that a workload is: one object for all that no rule tells apart. */
export function callerOf(
  { namespace, labels, locality }: Pick<Workload, "namespace" | "labels" | "locality">,
  looked: Distinctions,
  { scope, unknown }: Pick<Caller, "scope" | "unknown">,
  pool: Pool,
): Caller {
  const own = Object.entries(labels)
    .filter(([key]) => looked.labels.has(key))
    .sort(([a], [b]) => compareText(a, b));
  const caller = { namespace, labels: Object.fromEntries(own), locality: looked.locality ? locality : "", scope, unknown };
  const key = JSON.stringify([namespace, own, caller.locality, scope ? numberOf(scope) : 0, unknown ? numberOf(unknown) : 0]);
  return pool.keep(`caller ${key}`, () => caller);
}

/** Istio's labels.Instance.SubsetOf. */
export function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}
