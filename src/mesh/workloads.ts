/** WorkloadEntries, each with its identity and the ports that the services which select it give it. */
import {
  ANNOTATION,
  type Parsed,
  parseAddressPort,
  parseAppAnnotation,
  parseListenAnnotation,
  parseNodeName,
  parseTypeAnnotation,
  parseUnixUser,
} from "../model/annotations.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf } from "../model/resource.ts";
import { type IngressListener, parseDefaultEndpoint } from "../model/sidecar.ts";
import { listenerProtocol } from "../model/sidecar-port.ts";
import { isServiceAccount } from "../model/workload-entry.ts";
import { withKnownSuites } from "./gateways.ts";
import { internList, memoize } from "./memo.ts";
import { isOwn, ownSidecarPorts } from "./own-workload.ts";
import { groupOf } from "./readiness.ts";
import { labelsOf, localityOf, type Selection, type ServiceEntry, type WorkloadEntry } from "./selection.ts";
import { protocolOf, servicePort } from "./services.ts";
import type { Sidecar, SidecarLookup } from "./sidecars.ts";
import type { InboundPort, Settings, Workload } from "./types.ts";

const DEFAULT_OUTBOUND = { address: "127.0.0.1", port: 15001 };

/** By "ns/name". */
export function buildWorkloads(
  entries: ReadonlyMap<string, WorkloadEntry>,
  selecting: Selection["entries"],
  settings: Settings,
  sidecars: SidecarLookup,
): ReadonlyMap<string, Workload> {
  const built = new Map<string, Workload>();
  for (const [key, workload] of entries) {
    const sidecar = isOwn(workload, settings) ? undefined : sidecars(workload.metadata.namespace, labelsOf(workload));
    built.set(key, workloadOf(settings, workload, selecting.get(key) ?? NO_ENTRIES, sidecar?.spec.ingress?.length ? sidecar : NO_INGRESS));
  }
  return built;
}

const NO_ENTRIES = internList<ServiceEntry>([]);

/** spiffe://TRUST_DOMAIN/ns/NS/sa/SA, undefined without a service account, or one that a store of an earlier weft holds and no ID can have. */
export function spiffeIdOf(settings: Settings, namespace: string, serviceAccount: string | undefined): string | undefined {
  return serviceAccount && isServiceAccount(serviceAccount)
    ? `spiffe://${settings.trustDomain}/ns/${namespace}/sa/${serviceAccount}`
    : undefined;
}

/** What of a workload its WorkloadEntry alone says, and who calls is told by. */
export type WorkloadTraits = Pick<Workload, "type" | "namespace" | "labels" | "locality">;

export function traitsOf(entry: WorkloadEntry): WorkloadTraits {
  const { metadata, spec } = entry;
  const labels = labelsOf(entry);
  const isGateway = read(metadata.annotations[ANNOTATION.type], parseTypeAnnotation) === "gateway";
  return { type: isGateway ? "gateway" : undefined, namespace: metadata.namespace, labels, locality: localityOf(spec.locality, labels) };
}

/** Whether it says where it listens for services. */
export function saysWhereItListens({ metadata }: WorkloadEntry): boolean {
  return metadata.annotations[ANNOTATION.listen] !== undefined;
}

/** Of workloads whose ports are those of their services. */
const NO_INGRESS = {};

const workloadOf = memoize(
  (settings: Settings, entry: WorkloadEntry, selecting: readonly ServiceEntry[], sidecar: Sidecar | object): Workload => {
    const { metadata, spec } = entry;
    const { namespace, name, annotations } = metadata;
    const listen = read(annotations[ANNOTATION.listen], parseListenAnnotation);
    const traits = traitsOf(entry);
    const isGateway = traits.type === "gateway";
    const ports = inboundPorts(settings, entry, selecting);
    return {
      key: `${namespace}/${name}`,
      ...traits,
      name,
      group: groupOf(entry),
      node: read(annotations[ANNOTATION.node], parseNodeName),
      ...(isOwn(entry, settings) ? { own: true } : {}),
      address: spec.address ?? "",
      serviceAccount: spec.serviceAccount || undefined,
      spiffeId: spiffeIdOf(settings, namespace, spec.serviceAccount),
      unixUser: read(annotations[ANNOTATION.unixUser], parseUnixUser),
      inbound: "spec" in sidecar && !isGateway ? ingressPorts(sidecar, entry, ports) : ports,
      outbound: read(annotations[ANNOTATION.outbound], parseAddressPort) ?? DEFAULT_OUTBOUND,
      listen: listen?.map((entry) => ({ ...entry, host: canonicalHost(entry.host, namespace, settings.domain) })),
      source: provenanceOf(entry, "spec"),
    };
  },
);

function inboundPorts(settings: Settings, workload: WorkloadEntry, selecting: readonly ServiceEntry[]): readonly InboundPort[] {
  const { metadata, spec } = workload;
  const apps = read(metadata.annotations[ANNOTATION.app], parseAppAnnotation);
  const only = isOwn(workload, settings) ? ownSidecarPorts(workload) : undefined;
  const ports = new Map<number, InboundPort>();
  for (const entry of selecting) {
    for (const port of (entry.spec.ports ?? []).map(servicePort)) {
      if (only && !only.has(port.name)) continue;
      const number = spec.ports?.[port.name] ?? port.targetPort;
      // Of several services that claim a port the oldest gives it its protocol.
      if (ports.has(number)) continue;
      ports.set(number, {
        number,
        protocol: port.protocol,
        app: apps?.get(port.name) ?? apps?.get(String(number)) ?? { address: "127.0.0.1", port: number },
        service: canonicalHost(entry.spec.hosts[0] ?? "", entry.metadata.namespace, settings.domain),
        servicePort: port.number,
      });
    }
  }
  return [...ports.values()].sort((a, b) => a.number - b.number);
}

/** A Sidecar's ingress stands in place of the services' ports, for a workload that is an instance of some service. */
function ingressPorts(sidecar: Sidecar, { metadata, spec }: WorkloadEntry, ports: readonly InboundPort[]): readonly InboundPort[] {
  if (ports.length === 0) return ports;
  const apps = read(metadata.annotations[ANNOTATION.app], parseAppAnnotation);
  const appOf = ({ port, defaultEndpoint }: IngressListener, own: InboundPort | undefined): InboundPort["app"] => {
    const place = parseDefaultEndpoint(defaultEndpoint ?? "");
    if (place) return { address: place.address ?? spec.address ?? "", port: place.port };
    return apps?.get(port.name ?? "") ?? own?.app ?? apps?.get(String(port.number)) ?? { address: "127.0.0.1", port: port.number };
  };
  return (sidecar.spec.ingress ?? [])
    .map((listener, at): InboundPort => {
      const { number } = listener.port;
      const { tls, bind } = listener;
      const protocol = protocolOf(listenerProtocol(listener.port)) ?? "TCP";
      const own = ports.find((port) => port.number === number);
      return {
        number,
        ...(bind ? { address: bind } : {}),
        // Whether or not it is in force, the port counts as what is inside (Protocol.AfterTLSTermination).
        ...(tls ? { tls: withKnownSuites(tls), protocol: protocol === "HTTPS" ? "HTTP" : "TCP" } : { protocol }),
        app: appOf(listener, own),
        service: own?.service ?? `${sidecar.metadata.name}.${sidecar.metadata.namespace}`,
        servicePort: own?.servicePort ?? number,
        source: provenanceOf(sidecar, "spec", "ingress", at),
      };
    })
    .sort((a, b) => a.number - b.number);
}

/** The model has refused what cannot be read; a mesh is built of anything. */
function read<T>(text: string | undefined, parse: (text: string) => Parsed<T>): T | undefined {
  const parsed = text === undefined ? undefined : parse(text);
  return parsed && "value" in parsed ? parsed.value : undefined;
}
