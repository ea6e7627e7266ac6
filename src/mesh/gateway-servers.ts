/**
 * The servers of all Gateways that select a proxy, merged as Istio merges them (pilot/pkg/model/gateway.go, mergeGateways): the oldest Gateway
 * first, and what cannot stand beside what came before is left out.
 */
import type { Provenance } from "../lib/provenance.ts";
import type { GatewayServer as ServerSpec } from "../model/gateway.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { hasLabels } from "./callers.ts";
import { compareText } from "./hosts.ts";
import type { Settings, Workload } from "./types.ts";

/** What becomes of a connection: HTTP, HTTP inside of TLS, bytes inside of TLS, TLS that is passed on as it is, bytes. */
export type ServerKind = "http" | "https" | "tls" | "passthrough" | "tcp";

export interface GatewayServer {
  /** "ns/name", as VirtualServices name it. */
  readonly gateway: string;
  /** Among the Gateway's servers. */
  readonly index: number;
  readonly spec: ServerSpec;
  readonly kind: ServerKind;
  /** On which the proxy listens: spec.port.number, unless a service that selects the proxy maps it. */
  readonly port: number;
  /** "" for the workload's own address. */
  readonly bind: string;
  /** Canonical; of VirtualServices in `namespace` only, where there is one. */
  readonly hosts: readonly { readonly namespace?: string; readonly host: string }[];
  /** The route table: "http.8080", "https.443.NAME.GATEWAY.NAMESPACE"; "" where requests are not told apart. */
  readonly table: string;
  readonly source: Provenance;
}

/** Servers that share a listener, or several groups do. */
export interface ServerGroup {
  readonly port: number;
  readonly bind: string;
  /** At least one; all plain HTTP with one table, or none. */
  readonly servers: readonly GatewayServer[];
}

const HTTP: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "GRPC-WEB"]);

export interface MergedServers {
  readonly groups: readonly ServerGroup[];
  /** Those that are not in force, each with the one that stands in its place. */
  readonly skipped: readonly { readonly server: GatewayServer; readonly by: GatewayServer }[];
}

/** `gateways`: oldest first. */
export function mergedServers(gateways: readonly Resource<"Gateway">[], workload: Workload, settings: Settings): MergedServers {
  const groups = new Map<string, { port: number; bind: string; servers: GatewayServer[] }>();
  const plain = new Map<
    number,
    { readonly key: string; readonly bind: string; readonly protocol: string; readonly server: GatewayServer }
  >();
  const seenPorts = new Set<number>();
  const tables = new Map<string, GatewayServer>();
  const tlsHosts = new Map<number, Map<string, GatewayServer>>();
  const skipped: { server: GatewayServer; by: GatewayServer }[] = [];
  for (const server of gateways.flatMap((gateway) => serversOf(gateway, workload, settings))) {
    const { port, bind, kind, table } = server;
    const protocol = server.spec.port.protocol.toUpperCase();
    const key = JSON.stringify([port, protocol, bind]);
    const add = (to = key) => {
      const group = groups.get(to) ?? { port, bind, servers: [] };
      groups.set(to, group);
      group.servers.push(server);
      if (table) tables.set(table, server);
    };
    const rival = server.spec.tls && claimHosts(server, tlsHosts);
    if (rival) {
      skipped.push({ server, by: rival });
      continue;
    }
    const isTls = kind === "https" || kind === "tls" || kind === "passthrough";
    const current = plain.get(port);
    if (!seenPorts.has(port)) {
      seenPorts.add(port);
      if (!isTls) plain.set(port, { key, bind, protocol, server });
      add();
    } else if (current) {
      const merges = HTTP.has(protocol) && HTTP.has(current.protocol);
      if (current.bind !== bind) add();
      else if (merges) add(current.key);
      else skipped.push({ server, by: current.server });
    } else if (!isTls) {
      plain.set(port, { key, bind, protocol, server });
      add();
    } else {
      const same = kind === "https" ? tables.get(table) : undefined;
      if (same) skipped.push({ server, by: same });
      else add();
    }
  }
  return { groups: [...groups.values()], skipped };
}

/** Of two TLS servers on one port and address that name the same host, the first has it, and the second is none (CheckDuplicates). */
function claimHosts(server: GatewayServer, taken: Map<number, Map<string, GatewayServer>>): GatewayServer | undefined {
  const { port, bind, hosts } = server;
  const known = taken.get(port) ?? new Map<string, GatewayServer>();
  taken.set(port, known);
  const names = hosts.map(({ namespace, host }) => (namespace ? `${namespace}/${host}` : host));
  const rival = names.map((name) => known.get(name)).find((other) => other?.bind === bind);
  if (rival) return rival;
  for (const name of names) known.set(name, server);
  return undefined;
}

/** A Gateway without a selector holds for every gateway proxy, and its namespace is no limit (Istio's default, PILOT_SCOPE_GATEWAY_TO_NAMESPACE). */
function serversOf(gateway: Resource<"Gateway">, workload: Workload, settings: Settings): GatewayServer[] {
  if (!hasLabels(workload.labels, gateway.spec.selector)) return [];
  const { namespace, name } = gateway.metadata;
  return gateway.spec.servers.map((spec, index) => {
    const kind = kindOf(spec);
    const port = listenPort(spec.port.number, workload);
    const bind = spec.bind === workload.address ? "" : (spec.bind ?? "");
    return {
      gateway: `${namespace}/${name}`,
      index,
      spec,
      kind,
      port,
      bind,
      hosts: hostsOf(spec.hosts, namespace, settings),
      table: tableName(kind, spec, port, bind, `${name}.${namespace}`),
      source: provenanceOf(gateway, "spec", "servers", index),
    };
  });
}

function kindOf({ port, tls }: ServerSpec): ServerKind {
  const protocol = port.protocol.toUpperCase();
  if (HTTP.has(protocol)) return "http";
  if (!tls) return "tcp";
  if ((tls.mode ?? "PASSTHROUGH") === "PASSTHROUGH") return "passthrough";
  return protocol === "HTTPS" ? "https" : "tls";
}

/** A service that selects the proxy says where its port is really listened for (resolvePorts). */
function listenPort(number: number, { inbound }: Workload): number {
  return inbound.find(({ servicePort }) => servicePort === number)?.number ?? number;
}

/** gatewayRDSRouteName. */
function tableName(kind: ServerKind, { port }: ServerSpec, listened: number, bind: string, gateway: string): string {
  const suffix = bind ? `.${bind}` : "";
  if (kind === "http") return `http.${listened}${suffix}`;
  return kind === "https" ? `https.${port.number}.${port.name}.${gateway}${suffix}` : "";
}

/** "./host" is of the Gateway's own namespace, a host without a namespace of every one (sanitizeServerHostNamespace). */
export function hostsOf(hosts: readonly string[], own: string, settings: Settings): GatewayServer["hosts"] {
  const parsed = hosts.map((text) => {
    const slash = text.indexOf("/");
    const namespace = slash < 0 ? "*" : text.slice(0, slash);
    const host = canonicalHost(text.slice(slash + 1), own, settings.domain);
    if (namespace === "*") return { host };
    return { namespace: namespace === "." ? own : namespace, host };
  });
  return parsed.some(({ namespace, host }) => namespace === undefined && host === "*") ? [{ host: "*" }] : parsed;
}

/** The server's hosts for VirtualServices of `namespace`. */
export function hostsFor({ hosts }: Pick<GatewayServer, "hosts">, namespace: string): readonly string[] {
  return hosts.filter((one) => one.namespace === undefined || one.namespace === namespace).map(({ host }) => host);
}

/** The names by which a client's TLS asks for the server, sorted; empty for any. */
export function serverNames({ hosts }: GatewayServer, settings: Settings): readonly string[] {
  if (hosts.some(({ host }) => host === "*")) return [];
  return [...new Set(hosts.flatMap(({ host }) => clientNames(host, settings)))].sort(compareText);
}

/** Clients may write Kubernetes' name of a service of the mesh. */
export function clientNames(host: string, { domain }: Settings): readonly string[] {
  const suffix = `.${domain}`;
  const inMesh = host.endsWith(suffix) && host.slice(0, -suffix.length).split(".").length === 2;
  return inMesh ? [host, `${host.slice(0, -suffix.length)}.svc.cluster.local`] : [host];
}
