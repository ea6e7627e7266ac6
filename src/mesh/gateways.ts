/** What each gateway proxy takes in: listeners with filter chains, and the route tables that they name. */
import type { Provenance } from "../lib/provenance.ts";
import { CIPHER_SUITES, type ServerTls } from "../model/gateway-tls.ts";
import type { Resource } from "../model/resource.ts";
import { type CredentialNames, findCredentials, type SecretIndex, serverCredentials } from "./credentials.ts";
import { gatewayTcpRoute, passthroughRoutes } from "./gateway-connections.ts";
import { type GatewayRouteInputs, gatewayTable } from "./gateway-routes.ts";
import { type GatewayServer, mergedServers, type ServerGroup, serverNames } from "./gateway-servers.ts";
import { compareText } from "./hosts.ts";
import type { RouteTable } from "./route-tables.ts";
import type { TcpRoute } from "./tcp-routes.ts";
import type { Workload } from "./types.ts";

/** As written, without the cipher suites that Envoy does not know. */
export type GatewayTls = ServerTls;

/** What of a listener's connections is treated alike. No two of a listener take the same connections. */
export interface GatewayChain {
  /** Whether the connection must speak TLS; false takes those that no chain with `true` takes. */
  readonly asksForTls: boolean;
  /** The server's name, by which Envoy counts the requests of one that ends TLS for HTTP. */
  readonly name?: string;
  /** The names that TLS asks for, wildcards included, sorted; empty for any. */
  readonly serverNames: readonly string[];
  /** The TLS that ends here; undefined for plaintext, and for TLS that is passed through. */
  readonly tls?: GatewayTls;
  /** The SDS resources of that TLS, where its certificates come from Secrets. */
  readonly credentials?: CredentialNames;
  /** What is missing for that TLS, a sentence each: the chain takes its connections, so that no other does, and closes them. */
  readonly missing?: readonly string[];
  /** The route table for requests, or where all bytes go. */
  readonly to: { readonly table: string } | { readonly route: TcpRoute };
  readonly sources: readonly Provenance[];
}

export interface GatewayListener {
  readonly address: string;
  readonly port: number;
  /** At least one. */
  readonly chains: readonly GatewayChain[];
}

export interface GatewayView {
  /** Sorted by address, then port. */
  readonly listeners: readonly GatewayListener[];
  /** Sorted by name. */
  readonly tables: readonly RouteTable[];
}

export interface GatewayInputs extends GatewayRouteInputs {
  readonly secrets: SecretIndex;
}

/** `gateways`: oldest first. */
export function buildGateway(gateways: readonly Resource<"Gateway">[], inputs: GatewayInputs): GatewayView {
  const { workload, settings, pool } = inputs;
  const { groups } = mergedServers(gateways, workload, settings);
  const listeners = new Map<string, { readonly address: string; readonly port: number; chains: GatewayChain[] }>();
  const names = new Map<number, Set<string>>();
  for (const group of groups) {
    const address = group.bind || workload.address;
    const key = JSON.stringify([address, group.port]);
    const listener = listeners.get(key) ?? { address, port: group.port, chains: [] };
    const taken = names.get(group.port) ?? new Set();
    names.set(group.port, taken);
    for (const chain of chainsOf(group, taken, inputs)) {
      if (!listener.chains.some((other) => sameMatch(other, chain))) listener.chains.push(chain);
    }
    if (listener.chains.length > 0) listeners.set(key, listener);
  }
  const sorted = [...listeners.values()].sort((a, b) => compareText(a.address, b.address) || a.port - b.port);
  const tables = tablesOf(groups, inputs);
  return pool.keep(`gateway ${JSON.stringify([sorted, tables])}`, () => ({ listeners: sorted, tables }));
}

function chainsOf({ servers }: ServerGroup, taken: Set<string>, inputs: GatewayInputs): readonly GatewayChain[] {
  const [first] = servers;
  if (first?.kind === "http") {
    const sources = servers.map(({ source }) => source);
    return [{ asksForTls: false, serverNames: [], to: { table: first.table }, sources }];
  }
  return servers.flatMap((server): GatewayChain[] => {
    const { kind, spec, source } = server;
    if (kind === "passthrough") {
      return passthroughRoutes(server, taken, inputs).map(({ sniHosts, route }) => ({
        asksForTls: true,
        serverNames: sniHosts.includes("*") ? [] : [...new Set(sniHosts)].sort(compareText),
        to: { route },
        sources: route.sources,
      }));
    }
    const chain = {
      asksForTls: kind !== "tcp",
      serverNames: kind === "tcp" ? [] : serverNames(server, inputs.settings),
      ...ending(spec.tls, inputs),
    };
    if (kind === "https") return [{ ...chain, name: spec.name || undefined, to: { table: server.table }, sources: [source] }];
    const route = gatewayTcpRoute(server, inputs);
    return route ? [{ ...chain, to: { route }, sources: route.sources }] : [];
  });
}

/** The TLS that ends at a server, if any, and where its certificates come from. */
function ending(tls: ServerTls | undefined, { workload, secrets }: GatewayInputs): Pick<GatewayChain, "tls" | "credentials" | "missing"> {
  if (!tls) return {};
  const credentials = serverCredentials(tls);
  if (credentials) {
    const { missing } = findCredentials(credentials, workload.namespace, secrets);
    return { tls: withKnownSuites(tls), credentials, ...(missing.length > 0 ? { missing } : {}) };
  }
  if (tls.mode === "ISTIO_MUTUAL" && workload.spiffeId === undefined) {
    return { tls: withKnownSuites(tls), missing: [`${workload.key} has no service account, so no identity to show`] };
  }
  return { tls: withKnownSuites(tls) };
}

/** Without cipher suites that Envoy does not know, which it would refuse. */
export function withKnownSuites(tls: ServerTls): GatewayTls {
  const suites = [...new Set(tls.cipherSuites ?? [])].filter((suite) => CIPHER_SUITES.has(suite));
  return { ...tls, cipherSuites: suites };
}

/** Envoy refuses a listener in which two chains take the same connections: the first has them. */
function sameMatch(a: GatewayChain, b: GatewayChain): boolean {
  if (a.asksForTls !== b.asksForTls) return false;
  if (a.serverNames.length === 0 || b.serverNames.length === 0) return a.serverNames.length === b.serverNames.length;
  return a.serverNames.some((name) => b.serverNames.includes(name));
}

function tablesOf(groups: readonly ServerGroup[], inputs: GatewayRouteInputs): readonly RouteTable[] {
  const byName = new Map<string, GatewayServer[]>();
  for (const server of groups.flatMap(({ servers }) => servers)) {
    if (server.table) byName.set(server.table, [...(byName.get(server.table) ?? []), server]);
  }
  return [...byName].sort(([a], [b]) => compareText(a, b)).map(([name, servers]) => gatewayTable(name, servers, inputs));
}

export function isGateway({ type }: Workload): boolean {
  return type === "gateway";
}
