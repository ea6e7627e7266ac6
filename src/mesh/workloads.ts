/** WorkloadEntries, each with its identity and the ports that the services which select it give it. */
import {
  ANNOTATION,
  type Parsed,
  parseAddressPort,
  parseAppAnnotation,
  parseListenAnnotation,
  parseTypeAnnotation,
} from "../model/annotations.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf } from "../model/resource.ts";
import { compareText } from "./hosts.ts";
import { internList, memoize } from "./memo.ts";
import { labelsOf, localityOf, type Selection, type ServiceEntry, type WorkloadEntry } from "./selection.ts";
import { servicePort } from "./services.ts";
import type { InboundPort, Settings, Workload } from "./types.ts";

const DEFAULT_OUTBOUND = { address: "127.0.0.1", port: 15001 };

/** By "ns/name", sorted. The selection's entries are oldest first. */
export function buildWorkloads(selection: Selection, settings: Settings): ReadonlyMap<string, Workload> {
  const built = [...selection.entries].map(([workload, entries]) => workloadOf(settings, workload, internList(entries)));
  return new Map(built.sort((a, b) => compareText(a.key, b.key)).map((workload) => [workload.key, workload]));
}

/** spiffe://TRUST_DOMAIN/ns/NS/sa/SA, undefined without a service account. */
export function spiffeIdOf(settings: Settings, namespace: string, serviceAccount: string | undefined): string | undefined {
  return serviceAccount ? `spiffe://${settings.trustDomain}/ns/${namespace}/sa/${serviceAccount}` : undefined;
}

const workloadOf = memoize((settings: Settings, entry: WorkloadEntry, selecting: readonly ServiceEntry[]): Workload => {
  const { metadata, spec } = entry;
  const { namespace, name, annotations } = metadata;
  const listen = read(annotations[ANNOTATION.listen], parseListenAnnotation);
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    type: read(annotations[ANNOTATION.type], parseTypeAnnotation) === "gateway" ? "gateway" : undefined,
    address: spec.address ?? "",
    labels: labelsOf(entry),
    locality: localityOf(spec.locality, labelsOf(entry)),
    serviceAccount: spec.serviceAccount || undefined,
    spiffeId: spiffeIdOf(settings, namespace, spec.serviceAccount),
    inbound: inboundPorts(settings, entry, selecting),
    outbound: read(annotations[ANNOTATION.outbound], parseAddressPort) ?? DEFAULT_OUTBOUND,
    listen: listen?.map((entry) => ({ ...entry, host: canonicalHost(entry.host, namespace, settings.domain) })),
    source: provenanceOf(entry, "spec"),
  };
});

function inboundPorts(settings: Settings, { metadata, spec }: WorkloadEntry, selecting: readonly ServiceEntry[]): readonly InboundPort[] {
  const apps = read(metadata.annotations[ANNOTATION.app], parseAppAnnotation);
  const ports = new Map<number, InboundPort>();
  for (const entry of selecting) {
    for (const port of (entry.spec.ports ?? []).map(servicePort)) {
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

/** The model has refused what cannot be read; a mesh is built of anything. */
function read<T>(text: string | undefined, parse: (text: string) => Parsed<T>): T | undefined {
  const parsed = text === undefined ? undefined : parse(text);
  return parsed && "value" in parsed ? parsed.value : undefined;
}
