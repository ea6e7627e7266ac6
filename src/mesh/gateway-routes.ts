/**
 * The route tables of a gateway (Istio, pilot/pkg/networking/core/gateway.go buildGatewayHTTPRouteConfig): for each host on which a server and
 * a VirtualService that is bound to its Gateway agree, the routes of all such VirtualServices together, those that take everything last.
 */

import { hasLabels } from "./callers.ts";
import { gatewayKey } from "./gateway-names.ts";
import { clientNames, type GatewayServer, hostsFor } from "./gateway-servers.ts";
import { compareText, isWildcard } from "./hosts.ts";
import { buildHttpRoutes, type HttpRoute, type Surroundings, takesAll } from "./http-routes.ts";
import type { Pool } from "./memo.ts";
import type { RouteTable, VirtualHost } from "./route-tables.ts";
import type { Settings, Workload } from "./types.ts";
import type { RuleMatch, VirtualService } from "./virtual-services.ts";

export interface GatewayRouteInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly workload: Workload;
  /** Those that the proxy sees and that are bound to gateways, in the order in which they are asked. */
  readonly virtualServices: readonly VirtualService[];
  readonly surroundings: Surroundings;
}

interface Host {
  readonly port: number;
  routes: HttpRoute[];
  requireTls: boolean;
  sources: VirtualHost["sources"];
}

/** `servers`: at least one, all with the table `name`. */
export function gatewayTable(name: string, servers: readonly GatewayServer[], inputs: GatewayRouteInputs): RouteTable {
  const hosts = new Map<string, Host>();
  const hostAt = (host: string, { spec, source }: GatewayServer): Host => {
    const found = hosts.get(host) ?? { port: spec.port.number, routes: [], requireTls: false, sources: [source] };
    hosts.set(host, found);
    return found;
  };
  const made = new Map<string, readonly HttpRoute[]>();
  for (const server of servers) {
    for (const virtualService of boundTo(server, inputs)) {
      const shared = intersection(hostsFor(server, virtualService.namespace), virtualService.hosts);
      if (shared.length === 0) continue;
      const key = `${server.gateway} ${virtualService.namespace}/${virtualService.resource.metadata.name}`;
      const routes = made.get(key) ?? routesAt(server, virtualService, inputs);
      if (routes.length === 0) continue;
      made.set(key, routes);
      for (const name of shared) {
        const host = hostAt(name, server);
        host.routes = [...host.routes, ...routes];
        host.sources = [...host.sources, ...virtualService.sources];
      }
    }
    if (server.spec.tls?.httpsRedirect) {
      const own = new Set(server.hosts.map(({ host }) => host));
      for (const host of own) hostAt(host, server);
      for (const [host, found] of hosts) if (server.hosts.some((one) => subsetOf(host, one.host))) found.requireTls = true;
    }
  }
  const virtualHosts = [...hosts].sort(([a], [b]) => compareText(a, b)).map(([host, found]) => virtualHost(host, found, inputs.settings));
  const sources = servers.map(({ source }) => source);
  return inputs.pool.keep(`gateway table ${JSON.stringify([name, sources, virtualHosts])}`, () => ({
    name,
    ignorePort: true,
    virtualHosts: virtualHosts.length > 0 ? virtualHosts : [nothing(servers)],
  }));
}

/** The VirtualServices of a server's Gateway. */
export function boundTo({ gateway }: GatewayServer, { virtualServices }: GatewayRouteInputs): readonly VirtualService[] {
  return virtualServices.filter(({ resource, namespace }) =>
    resource.spec.gateways?.some((name) => gatewayKey(name, namespace) === gateway),
  );
}

function routesAt(server: GatewayServer, virtualService: VirtualService, { workload, settings, surroundings }: GatewayRouteInputs) {
  const holds = ({ match }: RuleMatch) => {
    if (match?.gateways?.length) return match.gateways.some((name) => gatewayKey(name, virtualService.namespace) === server.gateway);
    return hasLabels(workload.labels, match?.sourceLabels) && (!match?.sourceNamespace || match.sourceNamespace === workload.namespace);
  };
  const http = virtualService.http.flatMap((rule) => {
    const matches = rule.matches.filter(holds);
    return matches.length > 0 ? [{ ...rule, matches }] : [];
  });
  const at = { gateway: true, tls: server.spec.tls !== undefined };
  return buildHttpRoutes({ ...virtualService, http }, server.spec.port.number, settings.domain, surroundings, at);
}

/** The narrower of each two that meet (pkg/config/host/names.go, Intersection). */
export function intersection(some: readonly string[], others: readonly string[]): readonly string[] {
  const found = some.flatMap((a) => others.flatMap((b) => (subsetOf(a, b) ? [a] : subsetOf(b, a) ? [b] : [])));
  return [...new Set(found)];
}

/** host.Name.SubsetOf. */
function subsetOf(host: string, pattern: string): boolean {
  if (!isWildcard(pattern)) return host === pattern;
  if (isWildcard(host) && host.length < pattern.length) return false;
  return (isWildcard(host) ? host.slice(1) : host).endsWith(pattern.slice(1));
}

/** Routes after one that takes everything are never reached, so those go last (SortVHostRoutes). */
function virtualHost(host: string, { port, routes, requireTls, sources }: Host, settings: Settings): VirtualHost {
  const [last, first] = [routes.filter(({ match }) => takesAll(match)), routes.filter(({ match }) => !takesAll(match))];
  return {
    name: `${host}:${port}`,
    domains: clientNames(host, settings),
    routes: [...first, ...last],
    requireTls,
    sources,
  };
}

/** Without a VirtualService every request is answered with 404. */
function nothing(servers: readonly GatewayServer[]): VirtualHost {
  return {
    name: `blackhole:${servers[0]?.spec.port.number ?? 0}`,
    domains: ["*"],
    routes: [],
    sources: servers.map(({ source }) => source),
  };
}
