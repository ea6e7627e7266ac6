/** What policies of all kinds share: age, selection by labels, and keeping what did not change. */
import { attachment } from "../lib/attachment.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { Resource } from "../model/resource.ts";

/** Oldest first; of one age by name, then namespace (Istio, pilot/pkg/model/config.go configCompareByCreationTime). None counts as the oldest. */
export function byAge(a: Resource, b: Resource): number {
  return age(a) - age(b) || compare(a.metadata.name, b.metadata.name) || compare(a.metadata.namespace, b.metadata.namespace);
}

/** A date is parsed once: sorting asks again and again. */
const ages = attachment<number>();

function age({ metadata }: Resource): number {
  const known = ages.get(metadata);
  if (known !== undefined) return known;
  const parsed = Date.parse(metadata.creationTimestamp ?? "");
  const found = Number.isNaN(parsed) ? 0 : parsed;
  ages.set(metadata, found);
  return found;
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

/** Policies by the namespace and the first label of what they select, so that a workload does not look at all of them. */
export interface PolicyIndex<P> {
  /** Those of the namespace that select such a workload, in the order given. */
  at(namespace: string, labels: Readonly<Record<string, string>>): readonly P[];
}

/** `selectorOf`: the labels that a workload must have; undefined or empty selects all. */
export function indexPolicies<P extends Pick<Resource, "metadata">>(
  policies: readonly P[],
  selectorOf: (policy: P) => Readonly<Record<string, string>> | undefined,
): PolicyIndex<P> {
  const byScope = new Map<string, { readonly policy: P; readonly rank: number }[]>();
  for (const [rank, policy] of policies.entries()) {
    const [first] = Object.entries(selectorOf(policy) ?? {});
    const scope = scopeKey(policy.metadata.namespace, first);
    const list = byScope.get(scope);
    if (list) list.push({ policy, rank });
    else byScope.set(scope, [{ policy, rank }]);
  }
  return {
    at(namespace, labels) {
      const scopes = [scopeKey(namespace), ...Object.entries(labels).map((label) => scopeKey(namespace, label))];
      const found = scopes.flatMap((scope) => byScope.get(scope) ?? []);
      const selecting = found.filter(({ policy }) => selects({ matchLabels: selectorOf(policy) }, labels));
      return selecting.sort((a, b) => a.rank - b.rank).map(({ policy }) => policy);
    },
  };
}

/** Of all workloads of a namespace, or of those with a label. */
export function scopeKey(namespace: string, label?: readonly [string, string]): string {
  return label ? `${namespace}\0${label[0]}\0${label[1]}` : namespace;
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
