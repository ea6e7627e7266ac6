/**
 * A service's endpoints: the WorkloadEntries that its ServiceEntries select, and the endpoints written in them
 * (Istio, pilot/pkg/serviceregistry/serviceentry/conversion.go).
 */
import { provenanceOf, type Resource } from "../model/resource.ts";
import { isPassthrough, resolutionOf, type ServiceEntryEndpoint, singleAddresses } from "../model/service-entry.ts";
import type { WorkloadEntrySpec } from "../model/workload-entry.ts";
import { compareText } from "./hosts.ts";
import { withTopology } from "./localities.ts";
import { internList, memoize, type Pool } from "./memo.ts";
import { isOwn, ownSidecarPorts } from "./own-workload.ts";
import { buildMtls, mtlsModeAt, type WorkloadMtls } from "./peer-authentication.ts";
import { keyOf, labelsOf, localityOf, type Selection, type ServiceEntry, type WorkloadEntry, withNetwork } from "./selection.ts";
import { type ServiceParts, servicePort } from "./services.ts";
import type { Endpoint, Service, Settings, Workload } from "./types.ts";
import { spiffeIdOf } from "./workloads.ts";

export interface EndpointInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly selection: Pick<Selection, "workloads">;
  /** The effective PeerAuthentication of a WorkloadEntry by its key, and of an inline endpoint by inlineKey. */
  mtls(key: string): WorkloadMtls | undefined;
}

/** Sorted by address, then ports. */
export function endpointsOf({ service, entries }: ServiceParts, inputs: EndpointInputs): readonly Endpoint[] {
  const byInstance = new Map<string, Endpoint>();
  const add = (entry: ServiceEntry, key: string, endpoint: Endpoint) => {
    const placed = atServicePorts(endpoint, service, entry);
    const known = byInstance.get(key);
    if (placed.ports.size > 0) byInstance.set(key, known ? withPortsOf(known, placed) : placed);
  };
  for (const entry of entries) {
    // A name among the addresses of an older entry could not be told to Envoy.
    if (service.resolution === "STATIC" && resolutionOf(entry.spec, service.host) !== "STATIC") continue;
    if (resolvesItself(entry, service.host)) add(entry, service.host, hostEndpoint(service, entry));
    if (isPassthrough(entry.spec)) for (const [address, one] of passthroughEndpoints(entry)) add(entry, address, one);
    for (const [key, endpoint] of endpointsOfEntry(entry, inputs)) add(entry, key, endpoint);
  }
  return internList([...byInstance.values()].sort(byAddress));
}

/** The key of the `index`th endpoint written in a ServiceEntry. */
function inlineKey({ metadata }: ServiceEntry, index: number): string {
  return `${metadata.namespace}/ServiceEntry/${metadata.name}/${index}`;
}

/** Its ServiceEntry, "ns/name". */
export function inlineOwner(key: string): string {
  const [namespace, , name] = key.split("/");
  return `${namespace}/${name}`;
}

/** Endpoints written in ServiceEntries have sidecars too where they have a service account: PeerAuthentication holds for them alike. */
export function inlineMtls(
  policies: readonly Resource<"PeerAuthentication">[],
  entries: readonly ServiceEntry[],
  settings: Settings,
): ReadonlyMap<string, WorkloadMtls> {
  const pseudo = new Map<string, Workload>();
  for (const entry of entries) {
    for (const [index, endpoint] of inlineEndpoints(entry).entries()) {
      const key = inlineKey(entry, index);
      pseudo.set(key, {
        key,
        namespace: entry.metadata.namespace,
        name: entry.metadata.name,
        address: endpoint.address ?? "",
        labels: inlineLabels(endpoint),
        locality: "",
        inbound: [],
        outbound: { address: "", port: 0 },
        source: provenanceOf(entry, "spec", "endpoints", index),
      });
    }
  }
  return buildMtls(policies, pseudo, settings);
}

function inlineEndpoints({ spec }: ServiceEntry): readonly ServiceEntryEndpoint[] {
  return spec.workloadSelector || isPassthrough(spec) ? [] : (spec.endpoints ?? []);
}

const inlineLabels = ({ labels = {}, network }: ServiceEntryEndpoint) => withNetwork(labels, network);

/** A DNS service that names no instance is reached by resolving its own host (convertServiceEntryToInstances). */
function resolvesItself({ spec }: ServiceEntry, host: string): boolean {
  if (["STATIC", "DYNAMIC_DNS"].includes(resolutionOf(spec, host))) return false;
  return isPassthrough(spec) || (!spec.workloadSelector && !spec.endpoints?.length);
}

/** A client means a port besides the place: a targetPort changes nothing. */
const samePorts = ({ spec }: ServiceEntry) => new Map((spec.ports ?? []).map(({ number }) => [number, number]));

const hostEndpoint = memoize(
  (service: Service, entry: ServiceEntry): Endpoint => ({
    ...endpoint(entry, { address: service.host }, {}),
    ...(isPassthrough(entry.spec) ? { ports: samePorts(entry) } : {}),
    mtlsPorts: new Set(),
    source: service.source,
  }),
);

/** The addresses that clients connect to. */
const passthroughEndpoints = memoize((entry: ServiceEntry): readonly [string, Endpoint][] =>
  singleAddresses(entry.spec).map((address) => [
    address,
    {
      ...endpoint(entry, { address }, {}),
      ports: samePorts(entry),
      mtlsPorts: new Set(),
      source: provenanceOf(entry, "spec", "addresses", entry.spec.addresses?.indexOf(address) ?? 0),
    },
  ]),
);

function endpointsOfEntry(entry: ServiceEntry, inputs: EndpointInputs): [string, Endpoint][] {
  const selected = (inputs.selection.workloads.get(keyOf(entry)) ?? []).map((workload): [string, Endpoint] => {
    const key = keyOf(workload);
    const behind = isOwn(workload, inputs.settings) ? ownSidecarPorts(workload) : undefined;
    return [
      key,
      workloadEndpoint(inputs.settings, workload, entry, tlsPorts(entry, workload.spec, labelsOf(workload), key, inputs, behind)),
    ];
  });
  const inline = inlineEndpoints(entry).map((endpoint, index): [string, Endpoint] => {
    const key = inlineKey(entry, index);
    return [key, inlineEndpoint(inputs.settings, endpoint, entry, tlsPorts(entry, endpoint, inlineLabels(endpoint), key, inputs))];
  });
  return [...selected, ...inline];
}

const workloadEndpoint = memoize(
  (settings: Settings, workload: WorkloadEntry, entry: ServiceEntry, mtlsPorts: ReadonlySet<number>): Endpoint => {
    const { namespace, name } = workload.metadata;
    return {
      ...endpoint(entry, workload.spec, labelsOf(workload)),
      workload: `${namespace}/${name}`,
      spiffeId: spiffeIdOf(settings, namespace, workload.spec.serviceAccount),
      mtlsPorts,
      source: provenanceOf(workload, "spec"),
    };
  },
);

const inlineEndpoint = memoize(
  (settings: Settings, spec: ServiceEntryEndpoint, entry: ServiceEntry, mtlsPorts: ReadonlySet<number>): Endpoint => ({
    ...endpoint(entry, spec, inlineLabels(spec)),
    spiffeId: spiffeIdOf(settings, entry.metadata.namespace, spec.serviceAccount),
    mtlsPorts,
    source: provenanceOf(entry, "spec", "endpoints", entry.spec.endpoints?.indexOf(spec) ?? 0),
  }),
);

function endpoint(entry: ServiceEntry, spec: WorkloadEntrySpec, labels: Readonly<Record<string, string>>) {
  const address = spec.address ?? "";
  const locality = localityOf(spec.locality, labels);
  return {
    address: address.replace(/^unix:\/\//, ""),
    ports: new Map((entry.spec.ports ?? []).map((port) => [port.number, instancePort(spec, servicePort(port))])),
    labels: withTopology(labels, locality),
    // Zero means "not given": Envoy takes no zero (GetLoadBalancingWeight).
    weight: spec.weight || 1,
    locality,
  };
}

/** unixAddress > ports of the instance > targetPort > number (convertWorkloadInstanceToServiceInstance). */
function instancePort(spec: WorkloadEntrySpec, port: { readonly name: string; readonly targetPort: number }): number {
  return spec.address?.startsWith("unix://") ? 0 : (spec.ports?.[port.name] ?? port.targetPort);
}

/** The service's ports at which the instance accepts Istio's mutual TLS. Kept by content, so that an unrelated policy changes no endpoint. */
function tlsPorts(
  entry: ServiceEntry,
  spec: WorkloadEntrySpec,
  labels: Readonly<Record<string, string>>,
  key: string,
  { mtls, pool }: EndpointInputs,
  /** Names of the ports that its sidecar takes; all where undefined. */
  behindSidecar?: ReadonlySet<string>,
): ReadonlySet<number> {
  const tlsMode = labels["security.istio.io/tlsMode"] ?? (spec.serviceAccount ? "istio" : "disabled");
  const policy = mtls(key);
  const ports = (entry.spec.ports ?? [])
    .filter(({ name }) => behindSidecar?.has(name) ?? true)
    .filter((port) => tlsMode === "istio" && policy && mtlsModeAt(policy, instancePort(spec, servicePort(port))).mode !== "DISABLE")
    .map((port) => port.number)
    .sort((a, b) => a - b);
  return pool.keep(`ports ${ports}`, () => new Set(ports));
}

/** An entry's instance at the service's ports, which the entry may number otherwise: their names tell which is which (BuildClusterLoadAssignment). */
const atServicePorts = memoize((endpoint: Endpoint, service: Service, entry: ServiceEntry): Endpoint => {
  const own = entry.spec.ports ?? [];
  const pairs = service.ports.flatMap(({ number, name }) =>
    own.filter((port) => port.name === name).map((port) => [number, port.number] as const),
  );
  if (pairs.length === own.length && pairs.every(([number, written]) => number === written)) return endpoint;
  return {
    ...endpoint,
    ports: new Map(pairs.map(([number, written]) => [number, endpoint.ports.get(written) ?? 0])),
    mtlsPorts: new Set(pairs.filter(([, written]) => endpoint.mtlsPorts.has(written)).map(([number]) => number)),
  };
});

/** One instance under two entries of the same host: their ports together, the older one's first. */
const withPortsOf = memoize(
  (older: Endpoint, younger: Endpoint): Endpoint => ({
    ...older,
    ports: new Map([...younger.ports, ...older.ports].sort(([a], [b]) => a - b)),
    mtlsPorts: new Set([...older.mtlsPorts, ...younger.mtlsPorts].sort((a, b) => a - b)),
  }),
);

function byAddress(a: Endpoint, b: Endpoint): number {
  return (
    compareText(a.address, b.address) ||
    compareText(JSON.stringify([...a.ports]), JSON.stringify([...b.ports])) ||
    compareText(a.workload ?? "", b.workload ?? "") ||
    compareText(JSON.stringify(a.labels), JSON.stringify(b.labels))
  );
}
