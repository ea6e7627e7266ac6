/** Where TCP connections to a port go (Istio, pilot/pkg/networking/core/tls.go and networkfilter.go). */
import { parseDuration } from "../lib/duration.ts";
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf } from "../model/resource.ts";
import { clusterName, type RouteTarget, type Surroundings, targetOf, tcpMatches } from "./http-routes.ts";
import type { Service, ServicePort, Settings } from "./types.ts";
import { tcpCandidates, type VirtualServiceIndex } from "./virtual-services.ts";

/** Where TCP connections to a service's port go. */
export interface TcpRoute {
  /** At least one. */
  readonly targets: readonly (RouteTarget & { readonly weight: number })[];
  /** Envoy's stat prefix, Istio's form. */
  readonly statPrefix: string;
  readonly idleTimeoutMs?: number;
  readonly maxConnectionDurationMs?: number;
  readonly hashSourceIp: boolean;
  readonly sources: readonly Provenance[];
}

export interface TcpInputs {
  readonly settings: Settings;
  readonly virtualServices: VirtualServiceIndex;
}

/** The first tcp rule that holds at the port, of the oldest VirtualService that has one (tls.go, buildSidecarOutboundTCPFilterChainOpts). */
export function tcpRoute(service: Service, port: ServicePort, surroundings: Surroundings, inputs: TcpInputs): TcpRoute {
  const isTls = port.protocol === "TLS" || port.protocol === "HTTPS";
  for (const { resource, namespace } of isTls ? [] : tcpCandidates(inputs.virtualServices, service.host)) {
    for (const [index, rule] of (resource.spec.tcp ?? []).entries()) {
      if (!rule.route?.length || !tcpMatches(rule.match, port.number)) continue;
      const resolved = rule.route.map(({ destination, weight = 0 }) => ({
        ...targetOf(destination, namespace, inputs.settings.domain, (known) => onlyPort(known) ?? port.number, surroundings),
        weight,
      }));
      const weighted = resolved.length === 1 ? resolved : resolved.filter(({ weight }) => weight > 0);
      const [first] = weighted;
      if (!first) continue;
      const single = resolved.length === 1 ? first.target : undefined;
      return {
        targets: weighted.map(({ target, weight }) => ({ ...target, weight })),
        statPrefix: single ? single.cluster : `${resource.metadata.name}.${resource.metadata.namespace}`,
        ...tcpPolicy(resolved[0]?.service, single?.subset, surroundings),
        sources: [
          provenanceOf(resource, "spec", "tcp", index),
          ...ruleSources(resolved[0]?.service, surroundings),
          service.source,
          ...service.otherSources,
        ],
      };
    }
  }
  const cluster = clusterName(service.host, port.number);
  return {
    targets: [{ cluster, host: service.host, port: port.number, weight: 0 }],
    statPrefix: cluster,
    ...tcpPolicy(service, undefined, surroundings),
    sources: [...ruleSources(service, surroundings), service.source, ...service.otherSources],
  };
}

/** Unlike an http route, a tcp route looks up the whole service (networkfilter.go, GetDestinationCluster). */
function onlyPort(service: Service | undefined): number | undefined {
  return service?.ports.length === 1 ? service.ports[0]?.number : undefined;
}

/** The listener's share of the rule is the host's own policy, whatever the port; only the hash looks at the subset (networkfilter.go). */
function tcpPolicy(service: Service | undefined, subsetName: string | undefined, surroundings: Surroundings) {
  const rule = service && surroundings.rule(service);
  const pool = rule?.trafficPolicy?.connectionPool?.tcp;
  const subset = rule?.subsets.find(({ name }) => name === subsetName)?.trafficPolicy?.loadBalancer;
  return {
    idleTimeoutMs: parseDuration(pool?.idleTimeout ?? ""),
    maxConnectionDurationMs: parseDuration(pool?.maxConnectionDuration ?? ""),
    hashSourceIp: (subset ?? rule?.trafficPolicy?.loadBalancer)?.consistentHash?.useSourceIp ?? false,
  };
}

function ruleSources(service: Service | undefined, surroundings: Surroundings): readonly Provenance[] {
  return service ? surroundings.rule(service).sources : [];
}
