/** The clusters of a service, one for each port and subset, and the endpoints of those that get them by EDS. */
import type { Provenance } from "../lib/provenance.ts";
import { type AutomaticTls, automaticTls, EACH, withMutualTls } from "./automatic-tls.ts";
import { hasLabels } from "./callers.ts";
import { type DestinationRule, type EffectivePolicy, effectivePolicy, NO_SUBSET, type Subset, sortedSubsets } from "./destination-rules.ts";
import { clusterName } from "./http-routes.ts";
import { isLocalityWeighted, type LocalityGroup, localityGroups, type Nearness, preferenceOf } from "./localities.ts";
import { internList, memoize } from "./memo.ts";
import { isHttp } from "./services.ts";
import { isTls } from "./tcp-routes.ts";
import type { Endpoint, Service, ServicePort } from "./types.ts";

/** How a port of a service, or of a subset of it, is called. */
export interface OutboundCluster {
  /** "outbound|8080|v1|orders.default.mesh.local" */
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset?: string;
  readonly policy: EffectivePolicy;
  /** With which TLS its endpoints are called, where `policy` says nothing of it. */
  readonly automaticTls: AutomaticTls;
  /** Identities that a mutual TLS server may present: of the service's endpoints and its ServiceEntry, sorted. */
  readonly subjectAltNames: readonly string[];
  /** Resolution DNS only: what to resolve. Others get their endpoints by EDS. */
  readonly endpoints?: readonly Endpoint[];
  /** Of `endpoints`. */
  readonly localities?: readonly LocalityGroup[];
  /** Whether the DestinationRule is for workloads that it selects. */
  readonly selected: boolean;
  /** Whether localities have weights that are not their endpoints'. */
  readonly localityWeighted: boolean;
  readonly sources: readonly Provenance[];
}

/** The endpoints of a cluster that gets them by EDS. */
export interface LoadAssignment {
  readonly cluster: string;
  readonly port: ServicePort;
  readonly endpoints: readonly Endpoint[];
  /** The same endpoints, as the caller prefers them. */
  readonly localities: readonly LocalityGroup[];
  readonly sources: readonly Provenance[];
}

/** For callers who are `near`, where `rule` holds for them. */
export const clustersOf = memoize(
  (
    service: Service,
    endpoints: readonly Endpoint[],
    rule: DestinationRule,
    names: readonly string[],
    near: Nearness,
    namespaceTls: AutomaticTls,
  ) => {
    const clusters: OutboundCluster[] = [];
    const assignments: LoadAssignment[] = [];
    // No instance is known, so none is in a subset either (cluster_builder.go, applyDestinationRule).
    if (service.resolution === "DYNAMIC_DNS") {
      const called = service.ports.filter(({ protocol }) => isHttp(protocol) || isTls(protocol));
      return { clusters: called.map((port) => edsCluster(NO_SUBSET, port, service, rule, names, namespaceTls)), assignments };
    }
    for (const port of service.ports) {
      for (const subset of [NO_SUBSET, ...sortedSubsets(rule)]) {
        const tls = effectivePolicy(subset, port, rule).tls ? EACH : automaticTls(namespaceTls, rule, subset, port);
        const matching = (tls.endpoints === "all" ? endpoints.map((endpoint) => withMutualTls(endpoint)) : endpoints).filter(
          (endpoint) => endpoint.ports.has(port.number) && hasLabels(endpoint.labels, subset.labels),
        );
        // One name, whose addresses are taken in turn: Envoy has room for no second (LOGICAL_DNS).
        const own = internList(service.resolution === "DNS_ROUND_ROBIN" ? matching.slice(0, 1) : matching);
        const localities = localityGroups(own, preferenceOf(effectivePolicy(subset, port, rule)), near);
        if (service.resolution === "STATIC") {
          clusters.push(edsCluster(subset, port, service, rule, names, namespaceTls));
          assignments.push(assignmentOf(subset, port, service, localities));
        } else if (own.length > 0) {
          // A DNS cluster without endpoints is none (cluster_builder.go, buildCluster): routes to it answer 503.
          clusters.push(dnsCluster(subset, port, service, rule, names, namespaceTls, localities));
        }
      }
    }
    return { clusters, assignments };
  },
);

/** Its endpoints are found elsewhere: by EDS, or by the name that is called. */
const edsCluster = memoize(clusterOf);
const dnsCluster = memoize(
  (
    subset: Subset,
    port: ServicePort,
    service: Service,
    rule: DestinationRule,
    names: readonly string[],
    namespaceTls: AutomaticTls,
    localities: readonly LocalityGroup[],
  ) => ({
    ...clusterOf(subset, port, service, rule, names, namespaceTls),
    endpoints: localities.flatMap(({ endpoints }) => endpoints),
    localities,
  }),
);

function clusterOf(
  subset: Subset,
  port: ServicePort,
  service: Service,
  rule: DestinationRule,
  names: readonly string[],
  namespaceTls: AutomaticTls,
): OutboundCluster {
  const policy = effectivePolicy(subset, port, rule);
  return {
    name: clusterName(service.host, port.number, subset.name),
    service,
    port,
    subset: subset.name || undefined,
    policy,
    automaticTls: automaticTls(namespaceTls, rule, subset, port),
    selected: rule.selected ?? false,
    localityWeighted: isLocalityWeighted(preferenceOf(policy)),
    subjectAltNames: names,
    sources: [...(subset === NO_SUBSET ? [] : [subset.source]), ...rule.sources, service.source, ...service.otherSources],
  };
}

const assignmentOf = memoize(
  (subset: Subset, port: ServicePort, service: Service, localities: readonly LocalityGroup[]): LoadAssignment => {
    const endpoints = localities.flatMap((group) => group.endpoints);
    return {
      cluster: clusterName(service.host, port.number, subset.name),
      port,
      endpoints,
      localities,
      sources: [service.source, ...service.otherSources, ...endpoints.filter(({ workload }) => workload).map(({ source }) => source)],
    };
  },
);
