/**
 * Which endpoints a caller prefers for their locality (Istio, pilot/pkg/networking/core/loadbalancer/loadbalancer.go). Where a
 * DestinationRule asks for outlier detection, nearer endpoints go first by themselves: without it nobody would ever turn to farther ones.
 */
import type { LocalityLbSetting } from "../model/locality.ts";
import type { Caller } from "./callers.ts";
import type { DestinationRule, EffectivePolicy } from "./destination-rules.ts";
import { compareText } from "./hosts.ts";
import { memoize } from "./memo.ts";
import type { Endpoint } from "./types.ts";

/** Endpoints of one locality and one priority. */
export interface LocalityGroup {
  /** "region/zone/subzone" or "". */
  readonly locality: string;
  /** 0 is asked first; the next where that is in bad health. */
  readonly priority: number;
  /** Among the groups of its priority. */
  readonly weight: number;
  /** At least one. */
  readonly endpoints: readonly Endpoint[];
}

/** Where a caller is, and what else a failoverPriority looks at. */
export type Nearness = Pick<Caller, "locality" | "labels">;

/** Of a caller about whom nothing is asked. */
export const NOWHERE: Nearness = { locality: "", labels: {} };

export type LocalityPreference = Pick<LocalityLbSetting, "distribute" | "failover" | "failoverPriority">;

/** Every endpoint is as good as another. */
export const NO_PREFERENCE: LocalityPreference = {};

export const preferenceOf = memoize((policy: EffectivePolicy): LocalityPreference => {
  const { enabled = true, distribute, failover, failoverPriority } = policy.loadBalancer?.localityLbSetting ?? {};
  if (!enabled) return NO_PREFERENCE;
  if (distribute?.length) return { distribute };
  // A copy, so that it is told from NO_PREFERENCE though nothing may be said.
  return policy.outlierDetection ? { failover: failover ?? [], failoverPriority } : NO_PREFERENCE;
});

/** Whether localities have weights of their own, which the endpoints' do not make up (LocalityLBSettings.ApplyToCluster). */
export function isLocalityWeighted({ distribute, failover, failoverPriority }: LocalityPreference): boolean {
  return [distribute, failover, failoverPriority].some((list) => (list?.length ?? 0) > 0);
}

/** What of its callers a rule looks at: whether their locality, and which labels besides those that are the locality's. */
export const nearnessLookedAt = memoize(
  ({ trafficPolicy, subsets, defaults }: Pick<DestinationRule, "trafficPolicy" | "subsets" | "defaults">): LookedAt => {
    const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)].flatMap((policy) =>
      policy ? [policy, ...(policy.portLevelSettings ?? [])] : [],
    );
    const settings = [
      ...policies.flatMap(({ loadBalancer }) => loadBalancer?.localityLbSetting ?? []),
      ...(defaults?.localityLbSetting ? [defaults.localityLbSetting] : []),
    ];
    const labels = settings.flatMap(({ failoverPriority = [] }) => failoverPriority.map((label) => label.split("=")[0] ?? ""));
    const locality = settings.length > 0 || [...policies, defaults].some((policy) => policy?.outlierDetection !== undefined);
    return { locality, labels: labels.filter((label) => !TOPOLOGY.includes(label)) };
  },
);

interface LookedAt {
  readonly locality: boolean;
  readonly labels: readonly string[];
}

/** Sorted by priority, then locality. */
export const localityGroups = memoize(
  (endpoints: readonly Endpoint[], preference: LocalityPreference, near: Nearness): readonly LocalityGroup[] => {
    const byLocality = Map.groupBy(endpoints, ({ locality }) => locality);
    const plain = [...byLocality].map(([locality, members]) => groupOf(locality, 0, members));
    return preferred(plain, preference, near).toSorted((a, b) => a.priority - b.priority || compareText(a.locality, b.locality));
  },
);

function groupOf(locality: string, priority: number, endpoints: readonly Endpoint[]): LocalityGroup {
  return { locality, priority, weight: endpoints.reduce((sum, { weight }) => sum + weight, 0), endpoints };
}

function preferred(groups: readonly LocalityGroup[], preference: LocalityPreference, near: Nearness): readonly LocalityGroup[] {
  if (preference === NO_PREFERENCE) return groups;
  const { distribute, failover = [], failoverPriority = [] } = preference;
  if (distribute) return distributed(groups, distribute, near.locality);
  if (failoverPriority.length === 0) return byDistance(groups, failover, near.locality);
  const split = compacted(groups.flatMap((group) => byLabels(group, failoverPriority, near)));
  return failover.length > 0 ? byDistance(split, failover, near.locality) : split;
}

/** The first `from` that the caller is in decides; localities that it does not name get nothing (applyLocalityWeights). */
function distributed(
  groups: readonly LocalityGroup[],
  distribute: NonNullable<LocalityPreference["distribute"]>,
  locality: string,
): readonly LocalityGroup[] {
  const rule = distribute.find(({ from = "" }) => isIn(locality, from));
  if (!rule) return groups;
  return Object.entries(rule.to ?? {}).flatMap(([to, share]) => {
    const matching = groups.filter((group) => isIn(group.locality, to));
    const total = matching.reduce((sum, { weight }) => sum + weight, 0);
    return matching.map((group) => ({ ...group, weight: Math.ceil((group.weight * share) / total) }));
  });
}

/** Same subzone, zone, region, then the region that `failover` names, then the rest (applyLocalityFailover). */
function byDistance(
  groups: readonly LocalityGroup[],
  failover: NonNullable<LocalityPreference["failover"]>,
  locality: string,
): readonly LocalityGroup[] {
  const [region] = partsOf(locality);
  const rule = failover.find(({ from = "" }) => from === region);
  return compacted(
    groups.map((group) => {
      const distance = distanceOf(locality, group.locality);
      const isLast = distance === 3 && rule !== undefined && partsOf(group.locality)[0] !== (rule.to ?? "");
      return { ...group, priority: group.priority * 5 + (isLast ? 4 : distance) };
    }),
  );
}

/** How many of the labels, in their order, an endpoint shares with the caller (applyFailoverPriorityPerLocality). */
function byLabels(group: LocalityGroup, failoverPriority: readonly string[], near: Nearness): LocalityGroup[] {
  const own = withTopology(near.labels, near.locality);
  const ignoresNetwork = failoverPriority[0] === NETWORK;
  const priorityOf = ({ labels, locality }: Endpoint): number => {
    const theirs = withTopology(labels, locality);
    const differs = failoverPriority.map((text) => {
      const [label = "", value] = text.split("=");
      return (value ?? own[label] ?? "") !== (theirs[label] ?? "");
    });
    const adjust = ignoresNetwork && differs[0] ? failoverPriority.length : 0;
    const first = differs.indexOf(true, adjust > 0 ? 1 : 0);
    return (first < 0 ? 0 : failoverPriority.length - first) + adjust;
  };
  return [...Map.groupBy(group.endpoints, priorityOf)].map(([priority, endpoints]) => groupOf(group.locality, priority, endpoints));
}

/** Priorities without gaps, which Envoy does not take. */
function compacted(groups: readonly LocalityGroup[]): readonly LocalityGroup[] {
  const priorities = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: priorities.indexOf(group.priority) }));
}

const NETWORK = "topology.istio.io/network";
const TOPOLOGY = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/** A locality is known by labels too (Istio, pilot/pkg/serviceregistry/util/label, AugmentLabels). */
export function withTopology(labels: Readonly<Record<string, string>>, locality: string): Readonly<Record<string, string>> {
  const parts = partsOf(locality);
  return { ...labels, ...Object.fromEntries(TOPOLOGY.flatMap((label, index) => (parts[index] ? [[label, parts[index]]] : []))) };
}

function partsOf(locality: string): readonly string[] {
  return locality.split("/");
}

function distanceOf(own: string, other: string): number {
  const [a, b] = [partsOf(own), partsOf(other)];
  const same = [0, 1, 2].findIndex((index) => (a[index] ?? "") !== (b[index] ?? ""));
  return same < 0 ? 0 : 3 - same;
}

/** Whether a locality lies in "region", "region/zone" or "region/*" (util.LocalityMatch). */
function isIn(locality: string, rule: string): boolean {
  const own = partsOf(locality);
  const [region = "", ...rest] = partsOf(rule);
  const isSame = (part: string, index: number) => part === "*" || part === (own[index] ?? "");
  return isSame(region, 0) && rest.every((part, index) => part === "" || isSame(part, index + 1));
}
