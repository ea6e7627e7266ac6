/**
 * DestinationRules: which one holds for a caller and a service, and what it says for a port and a subset.
 *
 * Looked up in the caller's namespace, then the service's, then the root namespace; the first namespace with a rule that covers the host
 * decides, by its most specific host (Istio, push_context.go, destinationRule). Rules of one namespace for the same host add up: subsets of all,
 * the first traffic policy there is (destination_rule.go, mergeDestinationRule).
 */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { ConsistentHash, TrafficPolicy } from "../model/traffic-policy.ts";
import { compareText, mostSpecific } from "./hosts.ts";
import { memoize } from "./memo.ts";
import type { Service, ServicePort, Settings } from "./types.ts";

export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficPolicy?: TrafficPolicy;
  readonly source: Provenance;
}

/** All rules of one namespace for one host. */
export interface DestinationRule {
  readonly trafficPolicy?: TrafficPolicy;
  /** In the order of the rules, oldest first. */
  readonly subsets: readonly Subset[];
  readonly sources: readonly Provenance[];
}

/** Where no DestinationRule holds. */
export const NO_RULE: DestinationRule = { subsets: [], sources: [] };

/** What is in force at one port of a service or a subset, in the words of the user; absent parts are Istio's defaults. */
export type EffectivePolicy = Pick<TrafficPolicy, "connectionPool" | "loadBalancer" | "outlierDetection" | "tls">;

/** By namespace, then by canonical host. */
export type DestinationRuleIndex = ReadonlyMap<string, ReadonlyMap<string, DestinationRule>>;

/** `rules`: oldest first. */
export function buildDestinationRules(rules: readonly Resource<"DestinationRule">[], settings: Settings): DestinationRuleIndex {
  const grouped = new Map<string, Map<string, Resource<"DestinationRule">[]>>();
  for (const rule of rules) {
    const { namespace } = rule.metadata;
    const byHost = grouped.get(namespace) ?? new Map<string, Resource<"DestinationRule">[]>();
    grouped.set(namespace, byHost);
    const host = canonicalHost(rule.spec.host, namespace, settings.domain);
    byHost.set(host, [...(byHost.get(host) ?? []), rule]);
  }
  return new Map(
    [...grouped].map(([namespace, byHost]) => [namespace, new Map([...byHost].map(([host, same]) => [host, merged(...same)]))]),
  );
}

const merged = memoize((...rules: Resource<"DestinationRule">[]): DestinationRule => {
  const subsets = new Map<string, Subset>();
  for (const rule of rules) {
    for (const [index, { name, labels = {}, trafficPolicy }] of (rule.spec.subsets ?? []).entries()) {
      const source = provenanceOf(rule, "spec", "subsets", index);
      if (!subsets.has(name)) subsets.set(name, { name, labels, trafficPolicy, source });
    }
  }
  return {
    trafficPolicy: rules.find(({ spec }) => spec.trafficPolicy)?.spec.trafficPolicy,
    subsets: [...subsets.values()],
    sources: rules.map((rule) => provenanceOf(rule, "spec")),
  };
});

/** The rule that callers of `clientNamespace` meet, NO_RULE where there is none. */
export function ruleFor(index: DestinationRuleIndex, clientNamespace: string, service: Service, settings: Settings): DestinationRule {
  // A caller in the root namespace does not let the mesh-wide rules hide the service's own.
  const callers = clientNamespace === settings.rootNamespace ? [] : [clientNamespace];
  for (const namespace of [...callers, service.namespace, settings.rootNamespace]) {
    const rules = index.get(namespace);
    const found = rules && mostSpecific(service.host, rules);
    if (found) return found;
  }
  return NO_RULE;
}

/** The policy at a port; with a subset, the subset's over the host's (util.MergeSubsetTrafficPolicy). */
export const effectivePolicy = memoize((rule: DestinationRule, subset: Subset | typeof NO_SUBSET, port: ServicePort): EffectivePolicy => {
  const host = atPort(rule.trafficPolicy, port).policy;
  if (subset === NO_SUBSET || !subset.trafficPolicy) return host;
  const own = atPort(subset.trafficPolicy, port);
  if (!rule.trafficPolicy || own.isPortLevel) return own.policy;
  return {
    connectionPool: own.policy.connectionPool ?? host.connectionPool,
    loadBalancer: own.policy.loadBalancer ?? host.loadBalancer,
    outlierDetection: own.policy.outlierDetection ?? host.outlierDetection,
    tls: own.policy.tls ?? host.tls,
  };
});

/** The service as a whole, where a subset could stand. */
export const NO_SUBSET: Subset = { name: "", labels: {}, source: { kind: "", namespace: "", name: "", file: "", line: 0 } };

/** A port's own settings replace the others whole: what they leave out is Istio's default, not the host's (GetPortLevelTrafficPolicy). */
function atPort(policy: TrafficPolicy | undefined, port: ServicePort): { policy: EffectivePolicy; isPortLevel: boolean } {
  const own = policy?.portLevelSettings?.find((settings) => settings.port.number === port.number);
  const { connectionPool, loadBalancer, outlierDetection, tls } = own ?? policy ?? {};
  return { policy: { connectionPool, loadBalancer, outlierDetection, tls }, isPortLevel: own !== undefined };
}

/**
 * The consistent hash for a route's destination. Only a port that the destination names selects port level settings, and a port level hash
 * does not hide the host's when it is absent (route.go, HashForHTTPDestination).
 */
export function hashFor(
  rule: DestinationRule,
  destination: { readonly subset?: string; readonly port?: number },
): ConsistentHash | undefined {
  const atPortOf = (policy: TrafficPolicy | undefined) =>
    policy?.portLevelSettings?.find(({ port }) => port.number === destination.port)?.loadBalancer?.consistentHash;
  const subset = rule.subsets.find(({ name }) => name === destination.subset)?.trafficPolicy;
  return (
    atPortOf(subset) ??
    subset?.loadBalancer?.consistentHash ??
    atPortOf(rule.trafficPolicy) ??
    rule.trafficPolicy?.loadBalancer?.consistentHash
  );
}

/** Subsets by name, for output that does not depend on their order. */
export function sortedSubsets(rule: DestinationRule): readonly Subset[] {
  return [...rule.subsets].sort((a, b) => compareText(a.name, b.name));
}
