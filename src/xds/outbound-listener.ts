/**
 * Where a sidecar takes the application's calls out: one listener for HTTP, at which the Host header names the service, and one for each port
 * of a service that is called at an address of its own. There is no interception, so every listener is bound.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TrafficDirection } from "../gen/envoy/config/core/v3/base_pb.ts";
import { type Filter, type FilterChainSchema, FilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import { parseCidr } from "../lib/ip.ts";
import { isLoopback } from "../lib/loopback.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { EgressListener } from "../mesh/egress-listeners.ts";
import { type LocalPlace, localPlaces } from "../mesh/local-places.ts";
import { memoize } from "../mesh/memo.ts";
import type { OutboundView } from "../mesh/outbound.ts";
import type { OutboundPort } from "../mesh/outbound-ports.ts";
import { HTTP_PROXY } from "../mesh/route-tables.ts";
import type { TcpRoute } from "../mesh/tcp-routes.ts";
import type { Settings, Workload } from "../mesh/types.ts";
import { toAddress } from "./address.ts";
import { detectionTimeout, durationOfMs } from "./duration.ts";
import { encodeResource, packAny } from "./encode.ts";
import { tcpAccessLogs } from "./filters/access-log.ts";
import { corsFilter } from "./filters/cors.ts";
import { NAMED_TLS_FILTER, namedFilter, namedTlsFilter } from "./filters/dynamic-forward-proxy.ts";
import { faultFilter } from "./filters/fault.ts";
import { httpConnectionManager } from "./filters/http-connection-manager.ts";
import { routerFilter } from "./filters/router.ts";
import { tlsInspector } from "./filters/tls-inspector.ts";

/** What listeners for HTTP need besides, of the view that they lead to. */
export interface WaysOut {
  /** Some cluster calls names that are resolved when they are called. */
  readonly byName: boolean;
  /** Hosts that the mesh does not know may be called, by CONNECT too. */
  readonly connect: boolean;
}

const WAYS: readonly WaysOut[] = [false, true].flatMap((byName) => [false, true].map((connect) => ({ byName, connect })));

/** One object for all views that are alike. */
export const waysOut = memoize(({ clusters, unknown }: OutboundView): WaysOut => {
  const byName = clusters.some(({ service }) => service.resolution === "DYNAMIC_DNS");
  const connect = unknown !== undefined;
  return WAYS.find((one) => one.byName === byName && one.connect === connect) ?? { byName, connect };
});

/** Sorted by name. Of two that ask for one place the first has it: the outbound listener, then services by host. */
export const outboundListeners = memoize(
  (
    settings: Settings,
    workload: Workload,
    ports: readonly OutboundPort[],
    egress: readonly EgressListener[],
    ways: WaysOut,
  ): ReadonlyMap<string, EncodedResource> => {
    const taken: LocalPlace[] = workload.inbound.map(({ number, address = workload.address }) => ({ address, port: number }));
    const listeners = new Map<string, EncodedResource>();
    const add = (place: LocalPlace, make: (name: string) => EncodedResource) => {
      if (taken.some((other) => collides(place, other))) return;
      taken.push(place);
      const name = `${isUnix(place.address) ? "unix://" : ""}${place.address}_${place.port}`;
      listeners.set(name, make(name));
    };
    // The bytes are shared, but a port that is taken is mended in this workload's entry.
    add(workload.outbound, (name) => ({ ...proxyListener(settings, ways, name, workload.outbound), sources: [workload.source] }));
    for (const listener of egress) add(listener.bind, (name) => egressListener(settings, ways, listener, name));
    for (const port of ports) {
      for (const place of localPlaces(workload, port)) add(place, (name) => serviceListener(settings, ways, port, name, place));
    }
    return new Map([...listeners].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  },
);

function collides(a: LocalPlace, b: LocalPlace): boolean {
  return a.port === b.port && (a.address === b.address || isAny(a.address) || isAny(b.address));
}

function isUnix(address: string): boolean {
  return /^[/@]/.test(address);
}

function isAny(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** Shared by all proxies that listen at the same place. */
function proxyListener(settings: Settings, ways: WaysOut, name: string, place: LocalPlace): EncodedResource {
  const made = proxyListeners(settings, ways);
  const listener = made.get(name) ?? listenerResource(settings, name, place, httpChains(settings, ways, name, HTTP_PROXY), []);
  made.set(name, listener);
  return listener;
}

function egressListener(settings: Settings, ways: WaysOut, listener: EgressListener, name: string): EncodedResource {
  const made = egressListeners(settings, ways, listener);
  const { bind, table, tcp = [], services, source } = listener;
  const own = services.flatMap((service) => [service.source, ...service.otherSources]);
  const found =
    made.get(name) ??
    (table === undefined
      ? listenerResource(settings, name, bind, tcpChains(settings, tcp), [source, ...sourcesOf(tcp)])
      : listenerResource(settings, name, bind, httpChains(settings, ways, name, table), [source, ...own]));
  made.set(name, found);
  return found;
}

function serviceListener(settings: Settings, ways: WaysOut, port: OutboundPort, name: string, place: LocalPlace): EncodedResource {
  const made = serviceListeners(settings, ways, port);
  const { service, tcp } = port;
  const listener =
    made.get(name) ??
    (tcp
      ? listenerResource(settings, name, place, tcpChains(settings, tcp), sourcesOf(tcp))
      : listenerResource(settings, name, place, httpChains(settings, ways, name, String(port.port.number)), [
          service.source,
          ...service.otherSources,
        ]));
  made.set(name, listener);
  return listener;
}

const egressListeners = memoize((_settings: Settings, _ways: WaysOut, _listener: EgressListener) => new Map<string, EncodedResource>());
const proxyListeners = memoize((_settings: Settings, _ways: WaysOut) => new Map<string, EncodedResource>());
const serviceListeners = memoize((_settings: Settings, _ways: WaysOut, _port: OutboundPort) => new Map<string, EncodedResource>());

type Chain = MessageInitShape<typeof FilterChainSchema>;

function listenerResource(
  settings: Settings,
  name: string,
  place: LocalPlace,
  filterChains: Chain[],
  sources: readonly Provenance[],
): EncodedResource {
  const asksForName = filterChains.some(
    ({ filterChainMatch, filters }) => filterChainMatch?.serverNames?.length || filters?.some((filter) => filter.name === NAMED_TLS_FILTER),
  );
  const listener = create(ListenerSchema, {
    name,
    address: toAddress(place.address, place.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: asksForName ? [tlsInspector()] : [],
    listenerFiltersTimeout: asksForName ? detectionTimeout(settings) : undefined,
    filterChains,
    // Several sidecars on one machine must not share a port silently: the second one's bind fails, and `weft proxies` shows it.
    enableReusePort: false,
    // A service's address need not be one of this host's; a listener that nobody can reach harms nobody, a refused one stays a NACK.
    freebind: isLoopback(place.address) || isUnix(place.address) ? undefined : true,
  });
  return encodeResource(ListenerSchema, name, listener, sources);
}

function httpChains(settings: Settings, { byName, connect }: WaysOut, name: string, table: string): Chain[] {
  const manager = httpConnectionManager(settings, {
    statPrefix: `outbound_${name}`,
    direction: "outbound",
    routes: { rds: table },
    filters: [faultFilter(), corsFilter(), ...(byName ? [namedFilter()] : []), routerFilter()],
    connect,
  });
  return [{ filters: [manager] }];
}

/** Envoy takes the chain that fits a connection best (mesh/tcp-routes.ts, routeOfConnection), and closes it where none does. */
function tcpChains(settings: Settings, routes: readonly TcpRoute[]): Chain[] {
  return routes.map((route) => ({
    filterChainMatch: route.match && {
      prefixRanges: route.match.destinationSubnets.flatMap(cidrRange),
      serverNames: route.match.sniHosts.filter((host) => host !== "*"),
    },
    filters: [...(route.namedPort === undefined ? [] : [namedTlsFilter(route.namedPort)]), tcpProxy(settings, route)],
  }));
}

/** Each once. */
function sourcesOf(routes: readonly TcpRoute[]): readonly Provenance[] {
  return [...new Map(routes.flatMap(({ sources }) => sources).map((source) => [JSON.stringify(source), source])).values()];
}

function cidrRange(block: string) {
  const cidr = parseCidr(block);
  return cidr ? [{ addressPrefix: cidr.address, prefixLen: cidr.prefixLength }] : [];
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

export function tcpProxy(settings: Settings, route: TcpRoute): Filter {
  const [first, ...more] = route.targets;
  const clusters = route.targets.map(({ cluster, weight }) => ({ name: cluster, weight }));
  const proxy = create(TcpProxySchema, {
    statPrefix: route.statPrefix,
    clusterSpecifier:
      first && more.length === 0 ? { case: "cluster", value: first.cluster } : { case: "weightedClusters", value: { clusters } },
    idleTimeout: route.idleTimeoutMs === undefined ? undefined : durationOfMs(route.idleTimeoutMs),
    maxDownstreamConnectionDuration: route.maxConnectionDurationMs === undefined ? undefined : durationOfMs(route.maxConnectionDurationMs),
    tunnelingConfig: route.tunnel && {
      hostname: `${bracketed(route.tunnel.targetHost)}:${route.tunnel.targetPort}`,
      usePost: route.tunnel.protocol === "POST",
    },
    hashPolicy: route.hashSourceIp ? [{ policySpecifier: { case: "sourceIp", value: {} } }] : [],
    ...tcpAccessLogs(settings),
  });
  return create(FilterSchema, {
    name: "envoy.filters.network.tcp_proxy",
    configType: { case: "typedConfig", value: packAny(TcpProxySchema, proxy) },
  });
}
