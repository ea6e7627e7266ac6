/** A gateway's listeners (Istio, pilot/pkg/networking/core/gateway.go buildGatewayListeners). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TrafficDirection } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Filter, FilterChainSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { GatewayChain, GatewayListener, GatewayView } from "../mesh/gateways.ts";
import { memoize } from "../mesh/memo.ts";
import type { Settings } from "../mesh/types.ts";
import { toAddress } from "./address.ts";
import { encodeResource } from "./encode.ts";
import { corsFilter } from "./filters/cors.ts";
import { faultFilter } from "./filters/fault.ts";
import { httpConnectionManager } from "./filters/http-connection-manager.ts";
import { httpAuthorizationFilters, tcpAuthorizationFilters } from "./filters/rbac.ts";
import { routerFilter } from "./filters/router.ts";
import { tlsInspector } from "./filters/tls-inspector.ts";
import { gatewayTls } from "./gateway-tls.ts";
import { tcpProxy } from "./outbound-listener.ts";

/** By name, "10.0.0.1_8080". */
export const gatewayListeners = memoize(
  (settings: Settings, { listeners }: GatewayView): ReadonlyMap<string, EncodedResource> =>
    new Map(
      listeners.map((listener) => {
        const resource = listenerResource(settings, listener);
        return [resource.name, resource];
      }),
    ),
);

function listenerResource(settings: Settings, { address, port, chains }: GatewayListener): EncodedResource {
  const name = `${address}_${port}`;
  const listener = create(ListenerSchema, {
    name,
    address: toAddress(address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: chains.some(({ asksForTls }) => asksForTls) ? [tlsInspector()] : [],
    filterChains: chains.map((chain, index) => filterChain(settings, chain, `outbound_${name}`, index)),
    // Two gateways on one machine must not share a port silently.
    enableReusePort: false,
  });
  return encodeResource(ListenerSchema, name, listener, sourcesOf(chains));
}

/** A client that does not end its handshake holds a connection no longer than this (Istio's gatewayTransportSocketConnectTimeout). */
const HANDSHAKE_LIMIT = { seconds: 15n };

function filterChain(
  settings: Settings,
  chain: GatewayChain,
  statPrefix: string,
  index: number,
): MessageInitShape<typeof FilterChainSchema> {
  const { asksForTls, name, serverNames, tls, credentials, to } = chain;
  const filterChainMatch = asksForTls ? { transportProtocol: "tls", serverNames: [...serverNames] } : undefined;
  if (chain.missing) return { name: `${index}`, filterChainMatch, filters: [closing(settings, statPrefix)] };
  const ends = asksForTls && tls !== undefined;
  return {
    name: `${index}`,
    filterChainMatch,
    transportSocket: ends ? gatewayTls(settings, tls, credentials, "table" in to) : undefined,
    transportSocketConnectTimeout: ends ? HANDSHAKE_LIMIT : undefined,
    filters:
      "table" in to ? [manager(settings, name ?? statPrefix, to.table)] : [...tcpAuthorizationFilters(), tcpProxy(settings, to.route)],
  };
}

/**
 * Closes every connection. Without a chain of its own, what asks for a server whose certificate is missing would be taken by another server,
 * of a wildcard for one, that may ask less of its clients. No proxy has a cluster of this name; it is Istio's for the same purpose.
 */
function closing(settings: Settings, statPrefix: string): Filter {
  const nowhere = { cluster: "BlackHoleCluster", host: "", port: 0, weight: 1 };
  return tcpProxy(settings, { targets: [nowhere], statPrefix, hashSourceIp: false, sources: [] });
}

/** Who calls is what the gateway saw, not what the caller says (SANITIZE_SET, use_remote_address). */
function manager(settings: Settings, statPrefix: string, table: string): Filter {
  return httpConnectionManager(settings, {
    statPrefix,
    direction: "gateway",
    routes: { rds: table },
    filters: [...httpAuthorizationFilters(), faultFilter(), corsFilter(), routerFilter()],
    forwardClientCert: { details: ForwardClientCert.SANITIZE_SET, set: { subject: true, cert: true, dns: true, uri: true } },
  });
}

/** Each once. */
function sourcesOf(chains: readonly GatewayChain[]): readonly Provenance[] {
  return [...new Map(chains.flatMap(({ sources }) => sources).map((source) => [JSON.stringify(source), source])).values()];
}
