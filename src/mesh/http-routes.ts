/** A VirtualService's http routes at one port, each with the clusters that it leads to (Istio, pilot/pkg/networking/core/route/route.go). */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf } from "../model/resource.ts";
import type { ConsistentHash } from "../model/traffic-policy.ts";
import type { HttpRoute as HttpRouteSpec, TcpRoute as TcpRouteSpec } from "../model/virtual-service.ts";
import type { HttpMatch, L4Match } from "../model/virtual-service-match.ts";
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
  /** The rule as written: redirect, rewrite, timeout, retries, fault, headers. Undefined for a service without a VirtualService. */
  readonly rule?: HttpRouteSpec;
  /** Empty with a redirect. */
  readonly targets: readonly WeightedTarget[];
  readonly mirrors: readonly MirrorTarget[];
  /** The port that the caller called. */
  readonly port: number;
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
  { resource, namespace }: VirtualService,
  port: number,
  domain: string,
  surroundings: Surroundings,
): readonly HttpRoute[] {
  const routes: HttpRoute[] = [];
  for (const [index, rule] of (resource.spec.http ?? []).entries()) {
    // Always the port that was called, even where the service has another only: a sidecar's routes know services by that port alone
    // (httproute.go, BuildSidecarOutboundVirtualHosts: servicesByName).
    const resolve = (destination: Destination) => targetOf(destination, namespace, domain, () => port, surroundings);
    const targets = (rule.route ?? []).map(({ destination, weight = 0, headers }, at): WeightedTarget => {
      const { target, service } = resolve(destination);
      const hash = service && hashFor(surroundings.rule(service), { subset: target.subset, port: destination.port?.number });
      return { ...target, weight, headers, hash, source: provenanceOf(resource, "spec", "http", index, "route", at) };
    });
    const mirrors = mirrorsOf(rule, (destination) => resolve(destination).target);
    const matches: readonly (HttpMatch | undefined)[] = rule.match?.length ? rule.match : [undefined];
    for (const [at, match] of matches.entries()) {
      if (match?.port !== undefined && match.port !== port) continue;
      const source = match ? provenanceOf(resource, "spec", "http", index, "match", at) : provenanceOf(resource, "spec", "http", index);
      const name = match?.name ? `${rule.name ?? ""}.${match.name}` : (rule.name ?? "");
      routes.push({ name, match, rule, targets, mirrors, port, source });
      if (takesAll(match)) return routes;
    }
  }
  return routes;
}

/** The route of a service that no VirtualService routes. */
export const defaultHttpRoutes = memoize(
  (service: Service, port: { readonly number: number }, rule: DestinationRule): readonly HttpRoute[] => {
    const { host } = service;
    const target = { cluster: clusterName(host, port.number), host, port: port.number, weight: 0, source: service.source };
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
    target: { cluster: clusterName(canonical, number, subset), host: canonical, port: number, subset: subset || undefined },
    service,
  };
}

/** Hosts that a VirtualService leads to, for knowing what its routes depend on. */
export function destinationHosts({ resource, namespace }: VirtualService, domain: string): readonly string[] {
  const http = (resource.spec.http ?? []).flatMap((rule) => [
    ...(rule.route ?? []).map(({ destination }) => destination),
    ...(rule.mirror ? [rule.mirror] : []),
    ...(rule.mirrors ?? []).map(({ destination }) => destination),
  ]);
  const tcp = (resource.spec.tcp ?? []).flatMap((rule: TcpRouteSpec) => (rule.route ?? []).map(({ destination }) => destination));
  return [...http, ...tcp].map(({ host }) => canonicalHost(host, namespace, domain));
}

/** Without a percentage everything is mirrored; with 0 nothing (MirrorPercent). */
function mirrorsOf(rule: HttpRouteSpec, resolve: (destination: Destination) => RouteTarget): readonly MirrorTarget[] {
  const percentOf = (percentage: Percent | undefined, older?: number) => (percentage ? (percentage.value ?? 0) : (older ?? 100));
  const one = rule.mirror ? [{ ...resolve(rule.mirror), percent: percentOf(rule.mirrorPercentage, rule.mirrorPercent) }] : [];
  const many = (rule.mirrors ?? []).map(({ destination, percentage }) => ({ ...resolve(destination), percent: percentOf(percentage) }));
  return [...one, ...many].filter(({ percent }) => percent > 0);
}

/** IsCatchAllRoute. */
function takesAll(match: HttpMatch | undefined): boolean {
  if (!match) return true;
  const { uri, headers, withoutHeaders, queryParams, method, authority, scheme } = match;
  const anyPath = uri === undefined || uri.prefix === "/" || uri.regex === ".*" || Object.keys(uri).length === 0;
  const size = (map: object | undefined) => Object.keys(map ?? {}).length;
  return anyPath && !method && !authority && !scheme && size(headers) + size(withoutHeaders) + size(queryParams) === 0;
}

/** Whether one of a tcp rule's matches holds at the port; no match at all holds (matchTCP). */
export function tcpMatches(matches: readonly L4Match[] | undefined, port: number): boolean {
  return !matches?.length || matches.some((match) => match.port === undefined || match.port === port);
}
