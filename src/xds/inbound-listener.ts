/**
 * The listener of an inbound port, and its filter chains by mutual TLS mode
 * (Istio, pilot/pkg/networking/core/filterchain_options.go and listener_inbound.go).
 *
 *     PERMISSIVE  TLS with a mesh ALPN -> mutual TLS;  plaintext -> as it is;  any other TLS -> HTTP: no chain, closed; TCP: passed through
 *     STRICT      TLS -> mutual TLS;  plaintext -> no chain, closed
 *     DISABLE     everything -> as it is, or by the TLS of a Sidecar's ingress
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TrafficDirection } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  type Filter,
  type FilterChain,
  type FilterChainMatchSchema,
  FilterChainSchema,
  FilterSchema,
} from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import { type MtlsMode, servedMode } from "../mesh/peer-authentication.ts";
import { serviceName } from "../mesh/services.ts";
import type { InboundPort, Protocol, Settings, Workload } from "../mesh/types.ts";
import { detectionTimeout } from "./duration.ts";
import { encodeResource, packAny } from "./encode.ts";
import { tcpAccessLogs } from "./filters/access-log.ts";
import { grpcWebFilter } from "./filters/grpc-web.ts";
import { httpConnectionManager } from "./filters/http-connection-manager.ts";
import type { Server } from "./filters/metrics.ts";
import { httpAuthorizationFilters, tcpAuthorizationFilters } from "./filters/rbac.ts";
import { routerFilter } from "./filters/router.ts";
import { tlsInspector } from "./filters/tls-inspector.ts";
import { gatewayTls } from "./gateway-tls.ts";
import { inboundClusterName } from "./inbound-cluster.ts";
import { inboundRoute } from "./inbound-route.ts";
import { MESH_ALPNS, serverMutualTls } from "./tls.ts";

const HTTP: ReadonlySet<Protocol> = new Set<Protocol>(["HTTP", "HTTP2", "GRPC", "GRPC-WEB"]);

/** "inbound|8080||10.0.0.1": the workload's port and address. */
export function inboundListenerName(workload: Workload, port: InboundPort): string {
  return `${inboundClusterName(port)}${port.address ?? workload.address}`;
}

/** undefined where nothing may come in. */
export function inboundListener(
  workload: Workload,
  port: InboundPort,
  mode: MtlsMode,
  settings: Settings,
  sources: readonly Provenance[],
): EncodedResource | undefined {
  const effective = servedMode(workload, mode);
  if (effective === undefined) return undefined;
  const name = inboundListenerName(workload, port);
  const make = HTTP.has(port.protocol) ? httpFilters : tcpFilters;
  const filters = (mtls: boolean) => make(workload, port, settings, serverOf(workload, port, mtls, settings));
  const filterChains = (HTTP.has(port.protocol) ? httpChains : tcpChains)(effective, filters, settings);
  if (effective === "DISABLE" && port.tls) endTls(filterChains, settings, port.tls, HTTP.has(port.protocol));
  const listener = create(ListenerSchema, {
    name,
    address: {
      address: {
        case: "socketAddress",
        value: { address: port.address ?? workload.address, portSpecifier: { case: "portValue", value: port.number } },
      },
    },
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: effective === "DISABLE" ? [] : [tlsInspector()],
    // A client that waits for the server to speak first (MySQL, SMTP) sends nothing to inspect: after Envoy's 15 s it counts as plaintext.
    continueOnListenerFiltersTimeout: true,
    listenerFiltersTimeout: detectionTimeout(settings),
    filterChains,
    // Two workloads at one address and port must not share it silently, call by call: the second one's bind fails, and `weft proxies` shows it.
    enableReusePort: false,
  });
  return encodeResource(ListenerSchema, name, listener, sources);
}

/** By whether the clients of a chain show a certificate. */
type Filters = (mtls: boolean) => Filter[];

function httpChains(mode: MtlsMode, filters: Filters, settings: Settings): FilterChain[] {
  switch (mode) {
    case "STRICT":
      return strictChains(filters, settings);
    case "PERMISSIVE":
      return [mutualTlsChain("mtls", MESH_TLS, filters, settings), plainChain("plaintext", PLAINTEXT, filters)];
    case "DISABLE":
      return [plainChain("plaintext", {}, filters)];
  }
}

function tcpChains(mode: MtlsMode, filters: Filters, settings: Settings): FilterChain[] {
  switch (mode) {
    case "STRICT":
      return strictChains(filters, settings);
    case "PERMISSIVE":
      return [
        mutualTlsChain("mtls", MESH_TLS, filters, settings),
        plainChain("tls-passthrough", ANY_TLS, filters),
        plainChain("plaintext", PLAINTEXT, filters),
      ];
    case "DISABLE":
      return [plainChain("plaintext", {}, filters)];
  }
}

/**
 * The first chain is PERMISSIVE's, byte for byte, so that a change between the two modes (an in-place update) closes none of the mesh's
 * connections, only those that the new mode forbids.
 */
function strictChains(filters: Filters, settings: Settings): FilterChain[] {
  return [mutualTlsChain("mtls", MESH_TLS, filters, settings), mutualTlsChain("mtls-any-alpn", ANY_TLS, filters, settings)];
}

/** The Sidecar's own TLS, which can only be there where mutual TLS is not (listener_inbound.go, buildInboundListeners). */
function endTls(chains: readonly FilterChain[], settings: Settings, tls: NonNullable<InboundPort["tls"]>, http: boolean): void {
  for (const chain of chains) {
    chain.name = "tls";
    chain.transportSocket = gatewayTls(settings, tls, undefined, http);
  }
}

type Match = MessageInitShape<typeof FilterChainMatchSchema>;

const MESH_TLS: Match = { transportProtocol: "tls", applicationProtocols: [...MESH_ALPNS] };
const ANY_TLS: Match = { transportProtocol: "tls" };
const PLAINTEXT: Match = { transportProtocol: "raw_buffer" };

function mutualTlsChain(name: string, filterChainMatch: Match, filters: Filters, settings: Settings): FilterChain {
  return create(FilterChainSchema, { name, filterChainMatch, filters: filters(true), transportSocket: serverMutualTls(settings) });
}

/** Without a transport socket: raw bytes. */
function plainChain(name: string, filterChainMatch: Match, filters: Filters): FilterChain {
  return create(FilterChainSchema, { name, filterChainMatch, filters: filters(false) });
}

function serverOf({ spiffeId }: Workload, { service }: InboundPort, mtls: boolean, { domain }: Settings): Server {
  return { mtls, spiffeId, service: { host: service, name: serviceName(service, domain) } };
}

function httpFilters(workload: Workload, port: InboundPort, settings: Settings, server: Server): Filter[] {
  return [
    httpConnectionManager(settings, {
      statPrefix: `inbound_${port.address ?? workload.address}_${port.number}`,
      direction: "inbound",
      routes: { inline: inboundRoute(port, workload.own) },
      server,
      filters: [...httpAuthorizationFilters(), ...(port.protocol === "GRPC-WEB" ? [grpcWebFilter()] : []), routerFilter()],
      noUpgrades: workload.own,
      forwardClientCert: workload.own
        ? { details: ForwardClientCert.SANITIZE_SET, set: { uri: true } }
        : // Istio's default (pilot/pkg/networking/util/util.go GetProxyHeaders).
          { details: ForwardClientCert.APPEND_FORWARD, set: { subject: true, uri: true, dns: true } },
    }),
  ];
}

function tcpFilters(_workload: Workload, port: InboundPort, settings: Settings, server: Server): Filter[] {
  const cluster = inboundClusterName(port);
  const proxy = create(TcpProxySchema, {
    statPrefix: cluster,
    clusterSpecifier: { case: "cluster", value: cluster },
    ...tcpAccessLogs(settings, server),
  });
  const tcpProxy = create(FilterSchema, {
    name: "envoy.filters.network.tcp_proxy",
    configType: { case: "typedConfig", value: packAny(TcpProxySchema, proxy) },
  });
  return [...tcpAuthorizationFilters(), tcpProxy];
}
