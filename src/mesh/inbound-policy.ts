/**
 * What a service's DestinationRule says about the side that takes calls: its connection pool, so that the server has room for what its
 * callers may send (Istio, cluster_builder.go buildInboundCluster); a Sidecar's own goes before it. Subsets and workloadSelectors are the callers' alone.
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf } from "../model/resource.ts";
import { type DestinationRuleIndex, type EffectivePolicy, effectivePolicy, NO_SUBSET, ruleFor } from "./destination-rules.ts";
import type { Pool } from "./memo.ts";
import { type ServiceIndex, serviceFor } from "./services.ts";
import type { SidecarLookup } from "./sidecars.ts";
import type { InboundPort, Settings, Workload } from "./types.ts";

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
  readonly sidecars: SidecarLookup;
}

/** By workload key, then by number of the inbound port; without ports about which no rule says anything. */
export function buildInboundPolicies(
  workloads: ReadonlyMap<string, Workload>,
  inputs: InboundPolicyInputs,
): ReadonlyMap<string, ReadonlyMap<number, InboundPolicy>> {
  const all = [...workloads.values()].map((workload) => {
    const ports = policiesOf(workload, inputs);
    const policies = ports.length === 0 ? NONE : inputs.pool.keep(`inbound ${JSON.stringify(ports)}`, () => new Map(ports));
    return [workload.key, policies] as const;
  });
  return new Map(all);
}

const NONE: ReadonlyMap<number, InboundPolicy> = new Map();

function policiesOf(workload: Workload, inputs: InboundPolicyInputs): [number, InboundPolicy][] {
  return workload.inbound.flatMap((port): [number, InboundPolicy][] => {
    const rule = ofRule(workload, port, inputs);
    const pool = ofSidecar(workload, port.number, inputs);
    const policy = pool ? { ...rule, connectionPool: pool.connectionPool, sources: [...pool.sources, ...(rule?.sources ?? [])] } : rule;
    return policy?.connectionPool || policy?.retryBudget ? [[port.number, policy]] : [];
  });
}

function ofRule(
  { namespace }: Workload,
  inbound: InboundPort,
  { settings, services, rules }: InboundPolicyInputs,
): InboundPolicy | undefined {
  const service = serviceFor(services.get(inbound.service) ?? [], namespace)?.service;
  const port = service?.ports.find((one) => one.number === inbound.servicePort);
  if (!service || !port) return undefined;
  const rule = ruleFor(rules, { namespace, labels: {}, locality: "" }, service, settings);
  const { connectionPool, retryBudget } = effectivePolicy(NO_SUBSET, port, rule);
  return { connectionPool, retryBudget, sources: rule.sources };
}

/** The pool of the port's ingress listener, else the Sidecar's for all ports: whole, in place of a DestinationRule's (InboundConnectionPoolForPort). */
function ofSidecar({ type, namespace, labels }: Workload, number: number, { sidecars }: InboundPolicyInputs): InboundPolicy | undefined {
  const sidecar = type === "gateway" ? undefined : sidecars(namespace, labels);
  const at = sidecar?.spec.ingress?.findIndex(({ port }) => port.number === number) ?? -1;
  const own = sidecar?.spec.ingress?.[at]?.connectionPool;
  if (sidecar && own) return { connectionPool: own, sources: [provenanceOf(sidecar, "spec", "ingress", at, "connectionPool")] };
  const all = sidecar?.spec.inboundConnectionPool;
  return sidecar && all ? { connectionPool: all, sources: [provenanceOf(sidecar, "spec", "inboundConnectionPool")] } : undefined;
}
