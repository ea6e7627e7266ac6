/**
 * Patches of route tables (Istio, pilot/pkg/networking/core/envoyfilter/rc_patch.go). Istio has one table for each port; weft's sidecar takes plain
 * HTTP at one listener, with one table for all ports ("http_proxy"): there a match by port, or by a table's name that is a port, means the virtual
 * hosts of that port, and no table.
 */
import type { Route, VirtualHost } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type { RouteConfiguration } from "../../gen/envoy/config/route/v3/route_pb.ts";
import type { EnvoyPatch } from "../../mesh/envoy-filters.ts";
import { HTTP_PROXY } from "../../mesh/route-tables.ts";
import { isAddition, isMerge, mergeValue, type Patches, patchList, patchValue } from "./patch.ts";

/** Changes `table`. */
export function patchRouteConfiguration(patches: Patches, table: RouteConfiguration): void {
  for (const patch of patches.of("ROUTE_CONFIGURATION")) {
    if (isMerge(patch) && tableMatches(table, patch) && mergeValue(patch, table)) patches.touch(patch);
  }
  const removed = new Set<string>();
  table.virtualHosts = table.virtualHosts.map((host) => {
    const patched = patchVirtualHost(patches, table, host);
    if (patched) return patched;
    removed.add(host.name);
    return host;
  });
  for (const patch of patches.of("VIRTUAL_HOST")) {
    if (!isAddition(patch) || !takesHost(table, patch)) continue;
    const value = patchValue<VirtualHost>(patch);
    if (!value) continue;
    table.virtualHosts.push(value);
    patches.touch(patch);
  }
  table.virtualHosts = table.virtualHosts.filter(({ name }) => !removed.has(name));
}

/** undefined where it is removed. */
function patchVirtualHost(patches: Patches, table: RouteConfiguration, before: VirtualHost): VirtualHost | undefined {
  let host = before;
  for (const patch of patches.of("VIRTUAL_HOST")) {
    if (!hostMatches(table, host, patch)) continue;
    if (patch.operation === "REMOVE") {
      patches.touch(patch);
      return undefined;
    }
    if (isMerge(patch) && mergeValue(patch, host)) patches.touch(patch);
    const value = patch.operation === "REPLACE" ? patchValue<VirtualHost>(patch) : undefined;
    if (!value) continue;
    host = value;
    patches.touch(patch);
  }
  patchRoutes(patches, table, host);
  return host;
}

function patchRoutes(patches: Patches, table: RouteConfiguration, host: VirtualHost): void {
  const removed = new Set<Route>();
  const all = patches.of("HTTP_ROUTE").filter((patch) => hostMatches(table, host, patch));
  for (const route of host.routes) {
    for (const patch of all) {
      if (removed.has(route) || !routeMatches(route, patch)) continue;
      if (patch.operation === "REMOVE") removed.add(route);
      if (patch.operation === "REMOVE" || (isMerge(patch) && mergeValue(patch, route))) patches.touch(patch);
    }
  }
  for (const patch of all) {
    if (!isAddition(patch)) continue;
    const named = patch.match.routeConfiguration?.vhost?.route !== undefined;
    const matches = (route: Route) => !removed.has(route) && routeMatches(route, patch);
    // Among routes, unlike filters, INSERT_FIRST wants the route of its match to be there.
    if (patch.operation === "INSERT_FIRST" && named && !host.routes.some(matches)) continue;
    if (patchList(host.routes, patch, { named, matches })) patches.touch(patch);
  }
  host.routes = host.routes.filter((route) => !removed.has(route));
}

function tableMatches({ name }: RouteConfiguration, { match }: EnvoyPatch): boolean {
  const asked = match.routeConfiguration;
  if (!asked) return true;
  if (asked.name && asked.name !== name) return false;
  const own = gatewayTable(name);
  if (!own) return !asked.portNumber || asked.portNumber === portOfTable(name);
  if (asked.portName && asked.portName !== own.portName) return false;
  if (asked.gateway && asked.gateway !== own.gateway) return false;
  return !asked.portNumber || asked.portNumber === own.port;
}

/** What a gateway's table is named by: "http.8080", or "https.443.PORTNAME.GATEWAY.NAMESPACE" (ParseGatewayRDSRouteName); a sidecar's is no such. */
function gatewayTable(name: string): { readonly port: number; readonly portName?: string; readonly gateway?: string } | undefined {
  const [, port, https] = /^https?\.(\d+)(?:\.(.*))?$/.exec(name) ?? [];
  if (port === undefined) return undefined;
  const [portName, gateway, namespace, ...more] = name.startsWith("https.") ? (https ?? "").split(".") : [];
  // With more parts, a server's bind, Istio reads no names.
  return namespace === undefined || more.length > 0
    ? { port: Number(port) }
    : { port: Number(port), portName, gateway: `${namespace}/${gateway}` };
}

/** "8080" and "inbound|8080||". */
function portOfTable(name: string): number {
  return Number(name.startsWith("inbound|") ? name.split("|")[1] : name);
}

function hostMatches(table: RouteConfiguration, host: VirtualHost, patch: EnvoyPatch): boolean {
  const asked = patch.match.routeConfiguration;
  if (!tableMatches(table, patch) && !(table.name === HTTP_PROXY && isAtPort(host, patch))) return false;
  const vhost = asked?.vhost;
  if (vhost?.name && vhost.name !== host.name) return false;
  return !vhost?.domainName || host.domains.includes(vhost.domainName);
}

/** Whether a virtual host that the patch adds belongs into the table. */
function takesHost(table: RouteConfiguration, patch: EnvoyPatch): boolean {
  return tableMatches(table, patch) || (table.name === HTTP_PROXY && table.virtualHosts.some((host) => isAtPort(host, patch)));
}

/** Whether the host, "orders.default.mesh.local:80", is of the port that the patch's match of a table stands for. */
function isAtPort({ name: host }: VirtualHost, { match }: EnvoyPatch): boolean {
  const { name, portNumber } = match.routeConfiguration ?? {};
  const ports = [...(name && name !== HTTP_PROXY ? [name] : []), ...(portNumber ? [String(portNumber)] : [])];
  return ports.every((port) => host.endsWith(`:${port}`));
}

const ACTIONS: Readonly<Record<string, string>> = { route: "ROUTE", redirect: "REDIRECT", directResponse: "DIRECT_RESPONSE" };

function routeMatches(route: Route, { match }: EnvoyPatch): boolean {
  const asked = match.routeConfiguration?.vhost?.route;
  if (!asked) return true;
  if (asked.name && asked.name !== route.name) return false;
  const kind = ACTIONS[route.action.case ?? ""];
  return !asked.action || asked.action === "ANY" || kind === undefined || kind === asked.action;
}
