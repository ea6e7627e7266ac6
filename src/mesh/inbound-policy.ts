/**
 * What a service's DestinationRule says about the side that takes calls: its connection pool, so that the server has room for what its
 * callers may send (Istio, cluster_builder.go buildInboundCluster). Subsets and workloadSelectors are the callers' alone.
 */
import type { Provenance } from "../lib/provenance.ts";
import { type DestinationRuleIndex, type EffectivePolicy, effectivePolicy, NO_SUBSET, ruleFor } from "./destination-rules.ts";
import type { Pool } from "./memo.ts";
import { type ServiceIndex, serviceFor } from "./services.ts";
import type { Settings, Workload } from "./types.ts";

export interface InboundPolicy {
  readonly connectionPool?: EffectivePolicy["connectionPool"];
  readonly retryBudget?: EffectivePolicy["retryBudget"];
  readonly sources: readonly Provenance[];
}

export interface InboundPolicyInputs {
  readonly settings: Settings;
  readonly services: ServiceIndex;
  readonly rules: DestinationRuleIndex;
  readonly pool: Pool;
}

/** By workload key, then by number of the inbound port; without those about which no rule says anything. */
export function buildInboundPolicies(
  workloads: ReadonlyMap<string, Workload>,
  inputs: InboundPolicyInputs,
): ReadonlyMap<string, ReadonlyMap<number, InboundPolicy>> {
  const all = [...workloads.values()].flatMap((workload) => {
    const ports = policiesOf(workload, inputs);
    return ports.length === 0 ? [] : [[workload.key, inputs.pool.keep(`inbound ${JSON.stringify(ports)}`, () => new Map(ports))] as const];
  });
  return new Map(all);
}

function policiesOf({ namespace, inbound }: Workload, { settings, services, rules }: InboundPolicyInputs): [number, InboundPolicy][] {
  return inbound.flatMap(({ number, service: host, servicePort }): [number, InboundPolicy][] => {
    const service = serviceFor(services.get(host) ?? [], namespace)?.service;
    const port = service?.ports.find((one) => one.number === servicePort);
    if (!service || !port) return [];
    const rule = ruleFor(rules, { namespace, labels: {}, locality: "" }, service, settings);
    const { connectionPool, retryBudget } = effectivePolicy(rule, NO_SUBSET, port);
    return connectionPool || retryBudget ? [[number, { connectionPool, retryBudget, sources: rule.sources }]] : [];
  });
}
