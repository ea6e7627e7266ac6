/** What policies of all kinds share: age, selection by labels, and keeping what did not change. */
import type { Provenance } from "../lib/provenance.ts";
import type { Resource } from "../model/resource.ts";

/** Oldest first; of one age by name, then namespace (Istio, pilot/pkg/model/config.go configCompareByCreationTime). None counts as the oldest. */
export function byAge(a: Resource, b: Resource): number {
  return age(a) - age(b) || compare(a.metadata.name, b.metadata.name) || compare(a.metadata.namespace, b.metadata.namespace);
}

function age({ metadata }: Resource): number {
  const parsed = Date.parse(metadata.creationTimestamp ?? "");
  return Number.isNaN(parsed) ? 0 : parsed;
}

/** Order by code units, so that it never depends on a locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether every label of the selector stands on the workload; no selector, or an empty one, selects all (Istio, pkg/config/labels SubsetOf). */
export function selects(
  selector: { readonly matchLabels?: Readonly<Record<string, string>> } | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

export function sameProvenance(a: Provenance | undefined, b: Provenance | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.kind === b.kind && a.namespace === b.namespace && a.name === b.name && a.file === b.file && a.line === b.line;
}

/** `previous` where it holds the same keys, in the same order, with the same values (===); else `built`. */
export function reuseMap<K, V>(built: ReadonlyMap<K, V>, previous: ReadonlyMap<K, V> | undefined): ReadonlyMap<K, V> {
  if (previous?.size !== built.size) return built;
  const before = previous.entries();
  for (const [key, value] of built) {
    const entry = before.next().value;
    if (entry?.[0] !== key || entry[1] !== value) return built;
  }
  return previous;
}
