/**
 * Where a gateway sends connections whose requests it does not tell apart (Istio, pilot/pkg/networking/core/gateway.go,
 * buildGatewayNetworkFiltersFromTCPRoutes and ...FromTLSRoutes). Of a match only its port, its gateways and its names count here.
 */

import { gatewayKey } from "./gateway-names.ts";
import { boundTo, type GatewayRouteInputs } from "./gateway-routes.ts";
import { type GatewayServer, hostsFor } from "./gateway-servers.ts";
import { covers } from "./hosts.ts";
import { ruleRoute, type TcpRoute } from "./tcp-routes.ts";
import type { VirtualService } from "./virtual-services.ts";

/** The first tcp rule that holds decides for the whole server; undefined where none does, and the server is closed. */
export function gatewayTcpRoute(server: GatewayServer, inputs: GatewayRouteInputs): TcpRoute | undefined {
  for (const virtualService of bound(server, inputs)) {
    const rule = virtualService.tcp.find(
      ({ matches }) => matches.length === 0 || matches.some((match) => holds(match, virtualService, server)),
    );
    const route = rule && routeOf(rule, virtualService, server, inputs);
    if (route) return route;
  }
  return undefined;
}

export interface PassthroughRoute {
  /** For which names of TLS; "*" is any. */
  readonly sniHosts: readonly string[];
  readonly route: TcpRoute;
}

/** One for each match of a tls rule; of two for one name the first holds, and the second match is none. */
export function passthroughRoutes(server: GatewayServer, taken: Set<string>, inputs: GatewayRouteInputs): readonly PassthroughRoute[] {
  const found: PassthroughRoute[] = [];
  for (const virtualService of bound(server, inputs)) {
    for (const rule of virtualService.tls) {
      for (const match of rule.matches) {
        if (!holds(match, virtualService, server)) continue;
        const sniHosts = (match.sniHosts ?? []).map((host) => host.toLowerCase());
        const route = routeOf(rule, virtualService, server, inputs);
        if (!route || sniHosts.some((host) => taken.has(host))) continue;
        for (const host of sniHosts) taken.add(host);
        found.push({ sniHosts, route });
      }
    }
  }
  return found;
}

function bound(server: GatewayServer, inputs: GatewayRouteInputs): readonly VirtualService[] {
  return boundTo(server, inputs).filter(({ hosts, namespace }) =>
    hostsFor(server, namespace).some((own) => hosts.some((host) => covers(own, host) || covers(host, own))),
  );
}

function holds(
  { port, gateways }: { readonly port?: number; readonly gateways?: readonly string[] },
  { namespace }: VirtualService,
  { spec, gateway }: GatewayServer,
): boolean {
  if (port && port !== spec.port.number) return false;
  return !gateways?.length || gateways.some((name) => gatewayKey(name, namespace) === gateway);
}

function routeOf(
  rule: VirtualService["tcp"][number] | VirtualService["tls"][number],
  virtualService: VirtualService,
  { spec, source }: GatewayServer,
  { settings, surroundings }: GatewayRouteInputs,
): TcpRoute | undefined {
  return ruleRoute(rule, virtualService, { port: spec.port.number, sources: [source] }, surroundings, settings);
}
