/** A VirtualService's http routes at one port, each with the clusters that it leads to (Istio, pilot/pkg/networking/core/route/route.go). */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import type { ConsistentHash } from "../model/traffic-policy.ts";
import type { HttpRoute as HttpRouteSpec } from "../model/virtual-service.ts";
import type { HttpMatch } from "../model/virtual-service-match.ts";
import type { Destination, Headers, Percent } from "../model/virtual-service-route.ts";
import { type DestinationRule, hashFor } from "./destination-rules.ts";
import { memoize } from "./memo.ts";
import type { Service } from "./types.ts";
import type { VirtualService } from "./virtual-services.ts";

/** Where a route leads: "outbound|8080|v1|orders.default.mesh.local", which may not exist (Envoy answers 503, NC). */
export interface RouteTarget {
  readonly cluster: string;
  readonly host: string;
  readonly port: number;
  readonly subset?: string;
  /** The name that is called is resolved then (resolution DYNAMIC_DNS). */
  readonly byName?: boolean;
}

export interface WeightedTarget extends RouteTarget {
  /** As written; 0 where none is. */
  readonly weight: number;
  readonly headers?: Headers;
  readonly hash?: ConsistentHash;
  readonly source: Provenance;
}

export interface MirrorTarget extends RouteTarget {
  /** 0 to 100. */
  readonly percent: number;
}

/** One match of one http rule; the first that matches a request decides. */
export interface HttpRoute {
  /** "rule.match" of the names that the user gave, or "". */
  readonly name: string;
  /** Undefined matches every request. */
  readonly match?: HttpMatch;
  /**
   * The rule as written (a delegate's with what it inherits): redirect, directResponse, rewrite, timeout, retries, fault, headers, corsPolicy.
   * Undefined for a service without a VirtualService.
   */
  readonly rule?: HttpRouteSpec;
  /** Empty with a redirect or a directResponse. */
  readonly targets: readonly WeightedTarget[];
  readonly mirrors: readonly MirrorTarget[];
  /** The port that the caller called. */
  readonly port: number;
  /** Whether TLS ended here: what a redirect without a scheme means. */
  readonly tls?: boolean;
  /** Takes CONNECT alone: the tunnel ends here, or at the destination. */
  readonly connect?: "ends" | "passes";
  readonly source: Provenance;
}

/** What a caller of some namespace knows about a host. */
export interface Surroundings {
  service(host: string): Service | undefined;
  rule(service: Service): DestinationRule;
}

export function clusterName(host: string, port: number, subset = ""): string {
  return `outbound|${port}|${subset}|${host}`;
}

/** Empty where no route holds for the port: then the VirtualService has no say there. Routes after one that takes all are left out. */
export function buildHttpRoutes(
  { http }: VirtualService,
  port: number,
  domain: string,
  surroundings: Surroundings,
  at: { readonly gateway: boolean; readonly tls?: boolean } = { gateway: false },
): readonly HttpRoute[] {
  const routes: HttpRoute[] = [];
  for (const { spec: rule, matches, namespace, targets: sources } of http) {
    // Always the port that was called, even where the service has another only: a sidecar's routes know services by that port alone
    // (httproute.go, BuildSidecarOutboundVirtualHosts: servicesByName). A gateway looks up the whole service (route.go, GetDestinationCluster).
    const portOf = (service: Service | undefined) => (at.gateway ? onlyPort(service) : undefined) ?? port;
    const resolve = (destination: Destination) => targetOf(destination, namespace, domain, portOf, surroundings);
    const targets = isAnsweredHere(rule)
      ? []
      : (rule.route ?? []).flatMap(({ destination, weight = 0, headers }, at): WeightedTarget[] => {
          const { target, service } = resolve(destination);
          const hash = service && hashFor(surroundings.rule(service), { subset: target.subset, port: destination.port?.number });
          const source = sources[at];
          return source ? [{ ...target, weight, headers, hash, source }] : [];
        });
    const mirrors = isAnsweredHere(rule) ? [] : mirrorsOf(rule, (destination) => resolve(destination).target);
    for (const { match, source } of matches) {
      if (match?.port && match.port !== port) continue;
      const name = match?.name ? `${rule.name ?? ""}.${match.name}` : (rule.name ?? "");
      routes.push({ name, match, rule, targets, mirrors, port, tls: at.tls || undefined, source });
      if (takesAll(match)) return routes;
    }
  }
  return routes;
}

/** The older field counts only without the newer one (TranslateCORSPolicy). */
export function allowedOrigins({
  allowOrigins,
  allowOrigin = [],
}: NonNullable<HttpRouteSpec["corsPolicy"]>): NonNullable<NonNullable<HttpRouteSpec["corsPolicy"]>["allowOrigins"]> {
  return allowOrigins ?? allowOrigin.map((exact) => ({ exact }));
}

/** A delegate's redirect goes before a directResponse that it inherits, and both before its route (TranslateRoute). */
function isAnsweredHere({ redirect, directResponse }: HttpRouteSpec): boolean {
  return redirect !== undefined || directResponse !== undefined;
}

/** The route of a service that no VirtualService routes. */
export const defaultHttpRoutes = memoize(
  (service: Service, port: { readonly number: number }, rule: DestinationRule): readonly HttpRoute[] => {
    const { host } = service;
    const byName = isByName(service);
    const target = { cluster: clusterName(host, port.number), host, port: port.number, weight: 0, byName, source: service.source };
    const hash = hashFor(rule, { port: port.number });
    return [{ name: "default", targets: [{ ...target, hash }], mirrors: [], port: port.number, source: service.source }];
  },
);

/** Without a port: the one that `portOf` says for the service, which may be unknown. */
export function targetOf(
  { host, port, subset }: Destination,
  namespace: string,
  domain: string,
  portOf: (service: Service | undefined) => number,
  surroundings: Surroundings,
): { readonly target: RouteTarget; readonly service?: Service } {
  const canonical = canonicalHost(host, namespace, domain);
  const service = surroundings.service(canonical);
  const number = port?.number ?? portOf(service);
  return {
    target: {
      cluster: clusterName(canonical, number, subset),
      host: canonical,
      port: number,
      subset: subset || undefined,
      byName: isByName(service),
    },
    service,
  };
}

const isByName = (service: Service | undefined) => service?.resolution === "DYNAMIC_DNS" || undefined;

/** Hosts that a VirtualService's http routes lead to, for knowing what they depend on. */
export function destinationHosts({ http }: VirtualService, domain: string): readonly string[] {
  return http.flatMap(({ spec, namespace }) => {
    const destinations = [
      ...(spec.route ?? []).map(({ destination }) => destination),
      ...(spec.mirror ? [spec.mirror] : []),
      ...(spec.mirrors ?? []).map(({ destination }) => destination),
    ];
    return destinations.map(({ host }) => canonicalHost(host, namespace, domain));
  });
}

/** Without a percentage everything is mirrored; with 0 nothing (MirrorPercent). */
function mirrorsOf(rule: HttpRouteSpec, resolve: (destination: Destination) => RouteTarget): readonly MirrorTarget[] {
  const percentOf = (percentage: Percent | undefined, older?: number) => (percentage ? (percentage.value ?? 0) : (older ?? 100));
  const one = rule.mirror ? [{ ...resolve(rule.mirror), percent: percentOf(rule.mirrorPercentage, rule.mirrorPercent) }] : [];
  const many = (rule.mirrors ?? []).map(({ destination, percentage }) => ({ ...resolve(destination), percent: percentOf(percentage) }));
  return [...one, ...many].filter(({ percent }) => percent > 0);
}

/** The port that a destination without one means, where its service leaves no choice. */
export function onlyPort(service: Service | undefined): number | undefined {
  return service?.ports.length === 1 ? service.ports[0]?.number : undefined;
}

/** IsCatchAllRoute. */
export function takesAll(match: HttpMatch | undefined): boolean {
  if (!match) return true;
  const { uri, headers, withoutHeaders, queryParams, method, authority, scheme } = match;
  const anyPath = uri === undefined || uri.prefix === "/" || uri.regex === ".*" || Object.keys(uri).length === 0;
  const size = (map: object | undefined) => Object.keys(map ?? {}).length;
  return anyPath && !method && !authority && !scheme && size(headers) + size(withoutHeaders) + size(queryParams) === 0;
}
