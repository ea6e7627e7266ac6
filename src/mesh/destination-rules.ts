/**
 * DestinationRules: which one holds for a caller and a service, and what it says for a port and a subset.
 *
 * Among those exported to the caller, looked up in the caller's namespace, then the service's, then the root namespace; the first namespace with a rule that covers the host
 * decides, by its most specific host (Istio, push_context.go, destinationRule). Rules of one namespace for the same host add up: subsets of all,
 * the first traffic policy there is (destination_rule.go, mergeDestinationRule).
 */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { ConsistentHash, TrafficPolicy } from "../model/traffic-policy.ts";
import { type Caller, hasLabels } from "./callers.ts";
import { compareText, mostSpecific } from "./hosts.ts";
import { lasting, memoize } from "./memo.ts";
import type { TrafficDefaults } from "./mesh-defaults.ts";
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
  /** Whether it is for workloads that it selects. */
  readonly selected?: boolean;
  /** In the order of the rules, oldest first. */
  readonly subsets: readonly Subset[];
  /** What holds where it says nothing. */
  readonly defaults?: TrafficDefaults;
  readonly sources: readonly Provenance[];
}

/** The rule with MeshConfig's defaults below it; the rule itself where there are none. */
export function overDefaults(rule: DestinationRule, { defaults }: Settings): DestinationRule {
  return defaults?.traffic ? defaulted(rule, defaults.traffic) : rule;
}

const defaulted = memoize((rule: DestinationRule, defaults: TrafficDefaults): DestinationRule => ({ ...rule, defaults }));

/** Where no DestinationRule holds. */
export const NO_RULE: DestinationRule = { subsets: [], sources: [] };

/** What is in force at one port of a service or a subset, in the words of the user; absent parts are Istio's defaults. */
export type EffectivePolicy = Pick<
  TrafficPolicy,
  "connectionPool" | "loadBalancer" | "outlierDetection" | "tls" | "tunnel" | "proxyProtocol" | "retryBudget"
>;

/** Rules of one host in one namespace that were not merged, in Istio's order. */
interface Variant {
  readonly exportTo: ReadonlySet<string>;
  /** Callers that it holds for; undefined for all. */
  readonly selector?: Readonly<Record<string, string>>;
  readonly rule: DestinationRule;
}

/** By canonical host or wildcard. */
type Rules = ReadonlyMap<string, readonly Variant[]>;

export interface DestinationRuleIndex {
  /** By namespace: what its own callers see. */
  readonly local: ReadonlyMap<string, Rules>;
  /** By namespace: what callers of others may see. */
  readonly exported: ReadonlyMap<string, Rules>;
  /** The root namespace's rules for itself alone. */
  readonly rootLocal: Rules;
  /** By namespace: the labels of its callers that its selectors look at. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
  /** Every rule, merged as it is met. */
  readonly all: readonly DestinationRule[];
}

/** `rules`: oldest first (push_context.go, setDestinationRules). */
export function buildDestinationRules(rules: readonly Resource<"DestinationRule">[], settings: Settings): DestinationRuleIndex {
  const local = new Map<string, Collection>();
  const exported = new Map<string, Collection>();
  const rootLocal: Collection = new Map();
  const labels = new Map<string, Set<string>>();
  const hasSelector = ({ spec }: Resource<"DestinationRule">) => spec.workloadSelector !== undefined;
  for (const rule of [...rules.filter(hasSelector), ...rules.filter((one) => !hasSelector(one))]) {
    const { namespace } = rule.metadata;
    const selector = selectorOf(rule);
    for (const key of Object.keys(selector ?? {})) labels.set(namespace, (labels.get(namespace) ?? new Set()).add(key));
    // Rules with a selector are never exported.
    const exportTo = new Set(selector ? ["."] : rule.spec.exportTo);
    const host = canonicalHost(rule.spec.host, namespace, settings.domain);
    const holdsHere = exportTo.size === 0 || ["*", ".", namespace].some((name) => exportTo.has(name));
    if (holdsHere) collect(collectionOf(local, namespace), host, rule, exportTo);
    const isPrivate = exportTo.size === 1 && (exportTo.has(".") || exportTo.has(namespace));
    if (!isPrivate) collect(collectionOf(exported, namespace), host, rule, exportTo);
    else if (namespace === settings.rootNamespace) collect(rootLocal, host, rule, exportTo);
  }
  const all = (collections: ReadonlyMap<string, Collection>) => new Map([...collections].map(([key, one]) => [key, rulesOf(one)]));
  const index = { local: all(local), exported: all(exported), rootLocal: rulesOf(rootLocal), labels };
  const met = [...index.local.values(), ...index.exported.values(), index.rootLocal].flatMap((one) => [...one.values()].flat());
  return { ...index, all: [...new Set(met.map(({ rule }) => rule))] };
}

interface Collected {
  readonly exportTo: ReadonlySet<string>;
  readonly rules: Resource<"DestinationRule">[];
}

type Collection = Map<string, Collected[]>;

function collectionOf(collections: Map<string, Collection>, namespace: string): Collection {
  const found = collections.get(namespace) ?? new Map();
  collections.set(namespace, found);
  return found;
}

function selectorOf({ spec }: Resource<"DestinationRule">): Readonly<Record<string, string>> | undefined {
  return spec.workloadSelector && (spec.workloadSelector.matchLabels ?? {});
}

/** Which rules of a host are merged, and which stand beside each other (destination_rule.go, mergeDestinationRule, to the letter). */
function collect(collection: Collection, host: string, rule: Resource<"DestinationRule">, exportTo: ReadonlySet<string>): void {
  const known = collection.get(host) ?? [];
  collection.set(host, known);
  const own = selectorOf(rule);
  let standsAlone = true;
  for (const one of known) {
    const [first] = one.rules;
    if (!first) continue;
    const isSame = exportTo.size === one.exportTo.size && exportTo.isSubsetOf(one.exportTo);
    standsAlone = !isSame;
    if (!isSame && !(one.exportTo.size > 0 && one.exportTo.isSubsetOf(exportTo))) continue;
    const other = selectorOf(first);
    if (own && other && !sameLabels(own, other)) {
      standsAlone = true;
      continue;
    }
    if ((own === undefined) === (other === undefined)) standsAlone = false;
    one.rules.push(rule);
  }
  if (standsAlone) known.push({ exportTo, rules: [rule] });
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  return Object.keys(a).length === Object.keys(b).length && hasLabels(a, b);
}

function rulesOf(collection: Collection): Rules {
  const variant = ({ exportTo, rules }: Collected): Variant[] => {
    const [first] = rules;
    return first ? [{ exportTo, selector: selectorOf(first), rule: merged(...rules) }] : [];
  };
  return new Map([...collection].map(([host, variants]) => [host, variants.flatMap(variant)]));
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
    selected: rules[0]?.spec.workloadSelector !== undefined,
    trafficPolicy: rules.find(({ spec }) => spec.trafficPolicy)?.spec.trafficPolicy,
    subsets: [...subsets.values()],
    sources: rules.map((rule) => provenanceOf(rule, "spec")),
  };
});

/** The rule that a caller meets, NO_RULE where there is none. */
export function ruleFor(index: DestinationRuleIndex, caller: Caller, service: Service, { rootNamespace }: Settings): DestinationRule {
  const { namespace } = caller;
  // A caller in the root namespace does not let the mesh-wide rules hide the service's own.
  const own = namespace === rootNamespace ? index.rootLocal : index.local.get(namespace);
  const found = own && mostSpecific(service.host, own);
  if (found) return chosen(found, caller);
  for (const owner of [service.namespace, rootNamespace]) {
    const rules = index.exported.get(owner);
    const exported = (rules && mostSpecific(service.host, rules))?.filter(({ exportTo }) => isExported(exportTo, namespace)) ?? [];
    if (exported.length > 0) return chosen(exported, caller);
  }
  return NO_RULE;
}

function isExported(exportTo: ReadonlySet<string>, namespace: string): boolean {
  return exportTo.size === 0 || exportTo.has("*") || exportTo.has(namespace);
}

/** The first whose selector takes the caller, else the last without one (sidecar.go, DestinationRule). */
function chosen(variants: readonly Variant[], { labels }: Caller): DestinationRule {
  const selected = variants.find(({ selector }) => selector && hasLabels(labels, selector));
  return (selected ?? variants.findLast(({ selector }) => !selector))?.rule ?? NO_RULE;
}

/** The policy at a port, over MeshConfig's defaults block by block. */
export const effectivePolicy = memoize((subset: Subset, port: ServicePort, rule: DestinationRule): EffectivePolicy => {
  const policy = ownPolicy(rule, subset, port);
  if (!rule.defaults) return policy;
  const { connectionPool, outlierDetection, localityLbSetting } = rule.defaults;
  const isOpen = localityLbSetting !== undefined && policy.loadBalancer?.localityLbSetting === undefined;
  return {
    ...policy,
    connectionPool: policy.connectionPool ?? connectionPool,
    outlierDetection: policy.outlierDetection ?? outlierDetection,
    loadBalancer: isOpen ? { ...policy.loadBalancer, localityLbSetting } : policy.loadBalancer,
  };
});

/** With a subset, the subset's over the host's (util.MergeSubsetTrafficPolicy). */
function ownPolicy(rule: DestinationRule, subset: Subset | typeof NO_SUBSET, port: ServicePort): EffectivePolicy {
  const host = atPort(rule.trafficPolicy, port).policy;
  if (subset === NO_SUBSET || !subset.trafficPolicy) return host;
  const own = atPort(subset.trafficPolicy, port);
  if (!rule.trafficPolicy) return own.policy;
  if (own.isPortLevel) return { ...own.policy, ...unported(own.policy, host) };
  return {
    connectionPool: own.policy.connectionPool ?? host.connectionPool,
    loadBalancer: own.policy.loadBalancer ?? host.loadBalancer,
    outlierDetection: own.policy.outlierDetection ?? host.outlierDetection,
    tls: own.policy.tls ?? host.tls,
    ...unported(own.policy, host),
  };
}

/** What port level settings have not: the subset's, else the host's, unless the host has settings for the port (MergeTrafficPolicy). */
function unported(own: EffectivePolicy, host: EffectivePolicy): Pick<EffectivePolicy, "tunnel" | "proxyProtocol" | "retryBudget"> {
  return {
    tunnel: own.tunnel ?? host.tunnel,
    proxyProtocol: own.proxyProtocol ?? host.proxyProtocol,
    retryBudget: own.retryBudget ?? host.retryBudget,
  };
}

/** The service as a whole, where a subset could stand. */
export const NO_SUBSET: Subset = lasting({ name: "", labels: {}, source: { kind: "", namespace: "", name: "", file: "", line: 0 } });

/** A port's own settings replace the others whole: what they leave out is Istio's default, not the host's (GetPortLevelTrafficPolicy). */
function atPort(policy: TrafficPolicy | undefined, port: ServicePort): { policy: EffectivePolicy; isPortLevel: boolean } {
  const own = policy?.portLevelSettings?.find((settings) => settings.port.number === port.number);
  const { connectionPool, loadBalancer, outlierDetection, tls } = own ?? policy ?? {};
  const { tunnel, proxyProtocol, retryBudget } = own ? {} : (policy ?? {});
  return {
    policy: { connectionPool, loadBalancer, outlierDetection, tls, tunnel, proxyProtocol, retryBudget },
    isPortLevel: own !== undefined,
  };
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
