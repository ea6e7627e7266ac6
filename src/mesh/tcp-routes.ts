/** Where TCP connections to a port go (Istio, pilot/pkg/networking/core/tls.go and networkfilter.go). */
import { parseDuration } from "../lib/duration.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { TrafficPolicy } from "../model/traffic-policy.ts";
import { compareText } from "./hosts.ts";
import { clusterName, onlyPort, type RouteTarget, type Surroundings, targetOf } from "./http-routes.ts";
import type { Protocol, Service, ServicePort, Settings } from "./types.ts";
import { l4Candidates, type VirtualService, type VirtualServiceIndex } from "./virtual-services.ts";

/** Where TCP connections to a service's port go. */
export interface TcpRoute {
  /** What of the connection is asked: undefined holds for all. The address that was called, and the name that TLS asks for. */
  readonly match?: { readonly destinationSubnets: readonly string[]; readonly sniHosts: readonly string[] };
  /** At least one. */
  readonly targets: readonly (RouteTarget & { readonly weight: number })[];
  /** Envoy's stat prefix, Istio's form. */
  readonly statPrefix: string;
  readonly idleTimeoutMs?: number;
  readonly maxConnectionDurationMs?: number;
  readonly hashSourceIp: boolean;
  /** The connection goes on inside an HTTP request for this host, of one destination alone. */
  readonly tunnel?: Tunnel;
  /** The name that TLS asks for is resolved, and called at this port (resolution DYNAMIC_DNS). */
  readonly namedPort?: number;
  readonly sources: readonly Provenance[];
}

export interface TcpInputs {
  readonly settings: Settings;
  readonly virtualServices: VirtualServiceIndex;
  /** For connections at a Unix socket, which have no port and no address to match. */
  readonly unix?: boolean;
}

/**
 * The routes of a port, of which the most specific that holds for a connection decides, as in Envoy's choice of a filter chain; a connection
 * for which none holds is closed. No two have the same match.
 */
export function tcpRoutes(service: Service, port: ServicePort, surroundings: Surroundings, inputs: TcpInputs): readonly TcpRoute[] {
  const routes = isTls(port.protocol) ? tlsRulesAt(service, port, surroundings, inputs) : tcpRulesAt(service, port, surroundings, inputs);
  return firstClaims(routes);
}

/** TLS of the application's own, which the mesh carries and does not end. */
export function isTls(protocol: Protocol): boolean {
  return protocol === "TLS" || protocol === "HTTPS";
}

/**
 * Envoy refuses a listener in which a subnet and a name lead to two filter chains; the first route to claim a pair has it
 * (tls.go: matchHasBeenHandled, for equal matches alone).
 */
export function firstClaims(routes: readonly TcpRoute[]): readonly TcpRoute[] {
  const claimed = new Set<string>();
  return routes.flatMap((route) => {
    const subnets = orAny(route.match?.destinationSubnets);
    const names = orAny(route.match?.sniHosts);
    const free = names.map((name) => ({ name, subnets: subnets.filter((subnet) => !claimed.has(`${subnet} ${name}`)) }));
    for (const name of names) for (const subnet of subnets) claimed.add(`${subnet} ${name}`);
    if (free.every((one) => one.subnets.length === subnets.length)) return [route];
    return free
      .filter((one) => one.subnets.length > 0)
      .map((one) => ({ ...route, match: matchOf(one.subnets.filter(Boolean), [one.name].filter(Boolean)) }));
  });
}

function orAny(values: readonly string[] | undefined): readonly string[] {
  return values?.length ? values : [""];
}

/** The first tcp rule that takes every address ends the list; without one the service itself does (buildSidecarOutboundTCPFilterChainOpts). */
function tcpRulesAt(service: Service, port: ServicePort, surroundings: Surroundings, inputs: TcpInputs): TcpRoute[] {
  const routes: TcpRoute[] = [];
  for (const virtualService of l4Candidates(inputs.virtualServices, service.host)) {
    for (const rule of virtualService.tcp) {
      const holding = rule.matches.filter((match) => !match.port || (match.port === port.number && !inputs.unix));
      if (rule.matches.length > 0 && holding.length === 0) continue;
      const takesAll = inputs.unix || holding.length === 0 || holding.some(({ destinationSubnets }) => !destinationSubnets?.length);
      const subnets = takesAll ? [] : holding.flatMap(({ destinationSubnets = [] }) => destinationSubnets);
      const route = ruleRoute(rule, virtualService, calledAt(service, port), surroundings, inputs.settings);
      if (!route) continue;
      routes.push({ ...route, match: takesAll ? undefined : matchOf(subnets, []) });
      if (takesAll) return routes;
    }
  }
  return [...routes, ownRoute(service, port, surroundings)];
}

/** One route for each match; with any the service itself has none (buildSidecarOutboundTLSFilterChainOpts). */
function tlsRulesAt(service: Service, port: ServicePort, surroundings: Surroundings, inputs: TcpInputs): TcpRoute[] {
  const routes = l4Candidates(inputs.virtualServices, service.host).flatMap((virtualService) =>
    virtualService.tls.flatMap((rule) =>
      rule.matches
        .filter((match) => !match.port || (match.port === port.number && !inputs.unix))
        .flatMap((match) => {
          const route = ruleRoute(rule, virtualService, calledAt(service, port), surroundings, inputs.settings);
          return route ? [{ ...route, match: matchOf(inputs.unix ? [] : (match.destinationSubnets ?? []), match.sniHosts ?? []) }] : [];
        }),
    ),
  );
  return routes.length > 0 ? routes : [ownRoute(service, port, surroundings)];
}

function matchOf(destinationSubnets: readonly string[], sniHosts: readonly string[]): NonNullable<TcpRoute["match"]> {
  const sorted = (values: readonly string[]) => [...new Set(values)].sort(compareText);
  return { destinationSubnets: sorted(destinationSubnets), sniHosts: sorted(sniHosts.map((host) => host.toLowerCase())) };
}

function calledAt({ source, otherSources }: Service, { number }: ServicePort) {
  return { port: number, sources: [source, ...otherSources] };
}

/** Undefined where all of its weights are 0. */
export function ruleRoute(
  rule: VirtualService["tcp"][number] | VirtualService["tls"][number],
  { resource, namespace }: VirtualService,
  called: { readonly port: number; readonly sources: readonly Provenance[] },
  surroundings: Surroundings,
  settings: Settings,
): TcpRoute | undefined {
  const resolved = (rule.spec.route ?? []).map(({ destination, weight = 0 }) => ({
    // Unlike a sidecar's http route, a tcp route looks up the whole service (networkfilter.go, GetDestinationCluster).
    ...targetOf(destination, namespace, settings.domain, (known) => onlyPort(known) ?? called.port, surroundings),
    weight,
  }));
  const weighted = resolved.length === 1 ? resolved : resolved.filter(({ weight }) => weight > 0);
  if (weighted.length === 0) return undefined;
  const single = resolved.length === 1 ? resolved[0]?.target : undefined;
  return {
    targets: weighted.map(({ target, weight }) => ({ ...target, weight })),
    statPrefix: single ? single.cluster : `${resource.metadata.name}.${resource.metadata.namespace}`,
    ...tcpPolicy(resolved[0]?.service, single?.subset, surroundings),
    namedPort: weighted.find(({ target }) => target.byName)?.target.port,
    tunnel: single && tunnelOf(resolved[0]?.service, single.subset, surroundings),
    sources: [rule.source, ...ruleSources(resolved[0]?.service, surroundings), ...called.sources],
  };
}

function ownRoute(service: Service, port: ServicePort, surroundings: Surroundings): TcpRoute {
  const cluster = clusterName(service.host, port.number);
  const byName = service.resolution === "DYNAMIC_DNS" || undefined;
  return {
    ...(byName ? { match: matchOf([], namesOf(service.host)), namedPort: port.number } : {}),
    targets: [{ cluster, host: service.host, port: port.number, weight: 0, byName }],
    statPrefix: cluster,
    ...tcpPolicy(service, undefined, surroundings),
    tunnel: tunnelOf(service, undefined, surroundings),
    sources: [...ruleSources(service, surroundings), service.source, ...service.otherSources],
  };
}

/** As names that TLS may ask for: Envoy's wildcard is a whole label, so "*example.com" is the name itself and those below it. */
function namesOf(wildcard: string): readonly string[] {
  return wildcard.startsWith("*.") ? [wildcard] : [wildcard.slice(1), `*.${wildcard.slice(1)}`];
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

type Tunnel = NonNullable<TrafficPolicy["tunnel"]>;

/** A subset's own, or the host's where no subset is meant; nothing is inherited (tunnelingconfig/apply.go). */
function tunnelOf(service: Service | undefined, subset: string | undefined, surroundings: Surroundings): Tunnel | undefined {
  const rule = service && surroundings.rule(service);
  const policy = subset ? rule?.subsets.find(({ name }) => name === subset)?.trafficPolicy : rule?.trafficPolicy;
  return policy?.tunnel;
}

function ruleSources(service: Service | undefined, surroundings: Surroundings): readonly Provenance[] {
  return service ? surroundings.rule(service).sources : [];
}
