/**
 * ServiceEntries, as services by host. Several entries for one host in one namespace make one service: the oldest decides, the others add
 * addresses, and ports where they are like it (Istio, pilot/pkg/model/sidecar.go, appendSidecarServices). Entries for one host in different namespaces make
 * different services, and so do entries that are exported to others: a caller meets, of those that it sees, the one of its own namespace, else
 * the oldest.
 */
import { canonicalHost } from "../model/host.ts";
import { provenanceOf } from "../model/resource.ts";
import { isPassthrough, resolutionOf, type ServiceEntryPort } from "../model/service-entry.ts";
import { isVisible } from "../model/visibility.ts";
import { compareText } from "./hosts.ts";
import { internList, memoize } from "./memo.ts";
import type { ServiceEntry } from "./selection.ts";
import type { Protocol, Service, ServicePort, Settings } from "./types.ts";

/** A service with the entries that make it, oldest first. */
export interface ServiceParts {
  /** Host, namespace and exportTo, which tell it from all others. */
  readonly key: string;
  readonly service: Service;
  readonly entries: readonly ServiceEntry[];
}

/** By canonical host, sorted; for each one part for each namespace and exportTo, the one with the oldest entry first. */
export type ServiceIndex = ReadonlyMap<string, readonly ServiceParts[]>;

/** `entries`: oldest first. */
export function buildServices(entries: readonly ServiceEntry[], settings: Settings): ServiceIndex {
  const byHost = new Map<string, Map<string, ServiceEntry[]>>();
  for (const entry of entries) {
    const { namespace } = entry.metadata;
    for (const host of new Set(entry.spec.hosts.map((name) => canonicalHost(name, namespace, settings.domain)))) {
      const byNamespace = byHost.get(host) ?? new Map<string, ServiceEntry[]>();
      byHost.set(host, byNamespace);
      const exportTo = exportToOf(entry);
      const key = exportTo.length === 0 ? namespace : JSON.stringify([namespace, ...exportTo]);
      const known = byNamespace.get(key);
      if (known) known.push(entry);
      else byNamespace.set(key, [entry]);
    }
  }
  const index = new Map<string, readonly ServiceParts[]>();
  for (const host of [...byHost.keys()].sort(compareText)) {
    const parts = [...(byHost.get(host)?.values() ?? [])].map((sources) => partsOf(settings, host, sources));
    index.set(host, internList(parts));
  }
  return index;
}

function exportToOf({ spec }: ServiceEntry): readonly string[] {
  return [...(spec.exportTo ?? [])].sort(compareText);
}

/** The service that callers of `namespace` mean by a host: those that are not for all go first (servicesExportedToNamespace). */
export function serviceFor(parts: readonly ServiceParts[], namespace: string): ServiceParts | undefined {
  const [only] = parts;
  // As a rule there is one, and this is asked for every route.
  if (parts.length === 1) return only && isVisible(only.service.exportTo, only.service.namespace, namespace) ? only : undefined;
  const seen = parts.filter(({ service }) => isVisible(service.exportTo, service.namespace, namespace));
  const own = seen.find(({ service }) => service.namespace === namespace);
  const named = seen.find(({ service }) => service.exportTo.length > 0 && !service.exportTo.includes("*"));
  return own ?? named ?? seen[0];
}

const partsByHost = memoize((_settings: Settings, ..._entries: ServiceEntry[]) => new Map<string, ServiceParts>());

function partsOf(settings: Settings, host: string, entries: readonly ServiceEntry[]): ServiceParts {
  const known = partsByHost(settings, ...entries);
  const parts = known.get(host) ?? partsFrom(settings, host, entries);
  known.set(host, parts);
  return parts;
}

function partsFrom(settings: Settings, host: string, entries: readonly ServiceEntry[]): ServiceParts {
  const [oldest] = entries;
  if (!oldest) throw new TypeError("a service has at least one entry");
  let service: Service | undefined;
  return {
    key: JSON.stringify([host, oldest.metadata.namespace, ...exportToOf(oldest)]),
    get service() {
      service ??= serviceOf(settings, host, oldest, entries);
      return service;
    },
    entries: internList(entries),
  };
}

/** Where clients' own proxies may listen for the service. With resolution NONE the addresses are the service's: nobody else listens there. */
const ownAddresses = ({ spec }: ServiceEntry) => (isPassthrough(spec) ? [] : (spec.addresses ?? []));

function serviceOf(settings: Settings, host: string, oldest: ServiceEntry, entries: readonly ServiceEntry[]): Service {
  const ports = new Map<number, ServicePort>();
  for (const port of entries.filter((entry) => entry === oldest || isAlike(entry, oldest)).flatMap(({ spec }) => spec.ports ?? [])) {
    if (!ports.has(port.number)) ports.set(port.number, servicePort(port));
  }
  return {
    host,
    name: serviceName(host, settings.domain),
    namespace: oldest.metadata.namespace,
    ports: [...ports.values()].sort((a, b) => a.number - b.number),
    resolution: resolutionOf(oldest.spec, host),
    // Istio's default: what does not say that it is part of the mesh is outside, and gets no automatic mutual TLS.
    location: oldest.spec.location ?? "MESH_EXTERNAL",
    addresses: [...new Set(entries.flatMap(ownAddresses).map(withoutHostMask))].sort(compareText),
    exportTo: exportToOf(oldest),
    subjectAltNames: [...new Set(entries.flatMap(({ spec }) => spec.subjectAltNames ?? []))].sort(compareText),
    source: provenanceOf(oldest, "spec"),
    otherSources: entries.slice(1).map((other) => provenanceOf(other, "spec")),
  };
}

/** Whether the ports of the one are the other's too (canMergeServices). Its instances are, at ports of the same name. */
function isAlike(a: ServiceEntry, b: ServiceEntry): boolean {
  const traits = ({ metadata, spec }: ServiceEntry) =>
    JSON.stringify([spec.resolution ?? "NONE", sorted(metadata.labels), sorted(spec.workloadSelector?.labels)]);
  return traits(a) === traits(b);
}

function sorted(labels: Readonly<Record<string, string>> | undefined): readonly (readonly [string, string])[] {
  return Object.entries(labels ?? {}).sort(([a], [b]) => compareText(a, b));
}

/** The first label of a host in the mesh's domain, else the host. */
export function serviceName(host: string, domain: string): string {
  return host.endsWith(`.${domain}`) ? (host.split(".")[0] ?? host) : host;
}

/** The protocol as written, else by the port's name ("http-api"), else TCP: weft detects no protocol (Istio's protocol selection rules). */
export function servicePort(port: ServiceEntryPort): ServicePort {
  return {
    number: port.number,
    name: port.name,
    protocol: protocolOf(port.protocol) ?? protocolOf(port.name.split("-")[0]) ?? (/^grpc-web(-|$)/i.test(port.name) ? "GRPC-WEB" : "TCP"),
    targetPort: port.targetPort || port.number,
  };
}

const PROTOCOLS: readonly Protocol[] = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "REDIS"];

/** Istio's protocol.Parse ignores case. */
export function protocolOf(text: string | undefined): Protocol | undefined {
  const wanted = text?.toUpperCase();
  return PROTOCOLS.find((protocol) => protocol === wanted);
}

/** "10.0.0.1/32" is one address, and is treated as one (Istio, convertServices). */
function withoutHostMask(address: string): string {
  return address.includes(":") ? address.replace(/\/128$/, "") : address.replace(/\/32$/, "");
}

/** HTTP in the sense of Istio's protocol.IsHTTP: its requests are routed one by one. */
export function isHttp(protocol: Protocol): boolean {
  return protocol === "HTTP" || isHttp2(protocol);
}

/** Spoken as HTTP/2 to the service's instances. */
export function isHttp2(protocol: Protocol): boolean {
  return protocol === "HTTP2" || protocol === "GRPC" || protocol === "GRPC-WEB";
}
