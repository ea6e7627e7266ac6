/** Everything that one proxy gets: its namespace's outbound side, shared with its neighbours, and its own inbound side and secrets. */
import { type EncodedResource, type ProxySnapshot, TYPE, type TypeUrl } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import { type Credential, credentialClusters } from "../mesh/credentials.ts";
import type { GatewayView } from "../mesh/gateways.ts";
import { memoize } from "../mesh/memo.ts";
import type { OutboundView } from "../mesh/outbound.ts";
import type { LoadAssignment, OutboundCluster } from "../mesh/outbound-clusters.ts";
import { HTTP_PROXY } from "../mesh/route-tables.ts";
import { type Injection, injectionOn, type WorkloadInjections } from "../mesh/token-injection.ts";
import type { Mesh, Settings, Workload } from "../mesh/types.ts";
import { type Carried, clusterResource } from "./cluster.ts";
import { ANONYMOUS, type Caller, callerWith, IDENTIFIED } from "./cluster-tls.ts";
import { encodeList, layered } from "./encoded-lists.ts";
import { endpointResource } from "./endpoint.ts";
import { applyEnvoyPatches } from "./envoy-filter/index.ts";
import { ALL_ABILITIES, type EnvoyAbilities } from "./envoy-version.ts";
import { listenerSettings } from "./filters/access-log.ts";
import { gatewayListeners } from "./gateway-listener.ts";
import { gatewayPolicyExtensions, inboundResources } from "./inbound.ts";
import { outboundListeners, waysOut } from "./outbound-listener.ts";
import { destinationSettings } from "./peer-metadata.ts";
import { routeResource } from "./route.ts";
import { credentialResources } from "./secret.ts";
import { systemRootsFor } from "./system-roots.ts";
import { discoveredTable, discoverPatched } from "./virtual-hosts.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/**
 * undefined where the mesh has no such workload ("ns/name"). The map of a type is the same object (===) as long as none of its resources
 * changed; endpoints and routes are so for all proxies of a namespace.
 */
export function buildSnapshot(
  mesh: Mesh,
  workloadKey: string,
  secrets: readonly EncodedResource[],
  abilities: EnvoyAbilities = ALL_ABILITIES,
): ProxySnapshot | undefined {
  const patches = mesh.envoyPatches.get(workloadKey);
  // Patches are for whole tables.
  const snapshot = unpatchedSnapshot(mesh, workloadKey, secrets, patches ? { ...abilities, virtualHosts: false } : abilities);
  const workload = mesh.workloads.get(workloadKey);
  if (!snapshot || !workload) return snapshot;
  const logged = toldListeners(snapshot.resources, mesh.accessLogs.get(workloadKey));
  const traced = toldListeners(logged, mesh.tracing.get(workloadKey));
  const resources = toldListeners(traced, mesh.metrics.get(workloadKey));
  if (!patches) return { ...snapshot, resources };
  const patched = applyEnvoyPatches(resources, patches, workload);
  if (!abilities.virtualHosts || mesh.gateways.has(workloadKey)) return { ...snapshot, resources: patched };
  const table = mesh.outbound.get(workloadKey)?.routes.get(HTTP_PROXY);
  return { ...snapshot, resources: discoverPatched(mesh.settings, table, patched) };
}

function unpatchedSnapshot(
  mesh: Mesh,
  workloadKey: string,
  secrets: readonly EncodedResource[],
  abilities: EnvoyAbilities,
): ProxySnapshot | undefined {
  const workload = mesh.workloads.get(workloadKey);
  const view = workload && mesh.outbound.get(workload.key);
  if (!workload || !view) return undefined;
  const gateway = mesh.gateways.get(workload.key);
  if (gateway) return gatewaySnapshot(mesh, workload, { view, gateway, abilities }, secrets);
  const inbound = inboundResources(mesh, workload, abilities);
  const resources = new Map<TypeUrl, Resources>([
    [TYPE.cluster, layered(clustersFor(mesh, workload, view), listed(inbound.clusters))],
    [TYPE.endpoint, assignmentResources(mesh, view)],
    [
      TYPE.listener,
      union(
        // weft calls nobody through its sidecar.
        workload.own
          ? NO_RESOURCES
          : outboundListeners(listenerSettings(mesh, workload, abilities), workload, view.ports, view.listeners, waysOut(view)),
        listed(inbound.listeners),
      ),
    ],
    ...routeTables(mesh.settings, view, abilities),
    [TYPE.secret, allSecrets(mesh, workload, view, secrets)],
    [TYPE.extension, listed(inbound.extensions)],
  ]);
  return { revision: mesh.revision, resources };
}

/** Telemetry decides on every listener's logs, spans and metrics, so that it is among the sources of each. */
function toldListeners(resources: ReadonlyMap<TypeUrl, Resources>, telemetry: Told | undefined): ReadonlyMap<TypeUrl, Resources> {
  const listeners = resources.get(TYPE.listener);
  return telemetry && listeners ? new Map([...resources, [TYPE.listener, withSources(listeners, telemetry)]]) : resources;
}

interface Told {
  readonly sources: readonly Provenance[];
}

const withSources = memoize(
  (listeners: Resources, { sources }: Told): Resources =>
    new Map([...listeners].map(([name, listener]) => [name, { ...listener, sources: [...listener.sources, ...sources] }])),
);

/** A gateway calls the mesh as a sidecar does, but takes calls only as its Gateways say, and none of an application beside it. */
function gatewaySnapshot(
  mesh: Mesh,
  workload: Workload,
  { view, gateway, abilities }: { readonly view: OutboundView; readonly gateway: GatewayView; readonly abilities: EnvoyAbilities },
  secrets: readonly EncodedResource[],
): ProxySnapshot {
  const { settings } = mesh;
  const authentication = mesh.authentication.get(workload.key);
  const authorization = mesh.authorization.get(workload.key);
  // The Mesh has both for each of its workloads; any other gets nothing rather than an open port.
  const listeners = authentication && authorization ? gatewayListeners(listenerSettings(mesh, workload, abilities), gateway) : NO_RESOURCES;
  const resources = new Map<TypeUrl, Resources>([
    [TYPE.cluster, clustersFor(mesh, workload, view)],
    [TYPE.endpoint, assignmentResources(mesh, view)],
    [TYPE.listener, listeners],
    [TYPE.route, tables(settings, ...gateway.tables)],
    [TYPE.secret, allSecrets(mesh, workload, view, secrets)],
    [TYPE.extension, authentication && authorization ? listed(gatewayPolicyExtensions(authentication, authorization)) : NO_RESOURCES],
  ]);
  return { revision: mesh.revision, resources };
}

const NO_RESOURCES: Resources = new Map();

const byName = (resources: readonly EncodedResource[]) => new Map(resources.map((resource) => [resource.name, resource]));

const listed = memoize((resources: readonly EncodedResource[]): Resources => byName(resources));

const union = memoize((one: Resources, other: Resources): Resources => new Map([...one, ...other]));

function clustersFor(mesh: Mesh, workload: Workload, { clusters }: OutboundView): Resources {
  const injections = mesh.injections.get(workload.key) ?? NO_INJECTIONS;
  return outboundClusters(clusters, destinationSettings(mesh), ...callersOf(mesh, workload), injections);
}

/** `forSecrets`: the caller as far as Secrets matter; the others' clusters are the same for all callers with an identity. */
const outboundClusters = encodeList(
  (cluster: OutboundCluster, settings: Settings, caller: Caller, forSecrets: Caller, injections: WorkloadInjections) => {
    const injection = injectionOn(injections, cluster);
    const who = cluster.policy.tls?.credentialName ? forSecrets : caller;
    return clusterResource(settings, cluster, who, injection ? carrying(injection) : NOTHING);
  },
);

const NOTHING: Carried = {};
const carrying = memoize((injection: Injection): Carried => ({ injection }));
const NO_INJECTIONS: WorkloadInjections = { injections: [] };

function callersOf(mesh: Mesh, workload: Workload): [Caller, Caller] {
  const clusters = mesh.outbound.get(workload.key)?.clusters ?? [];
  const caller = workload.spiffeId ? IDENTIFIED : ANONYMOUS;
  if (credentialClusters(clusters).length === 0) return [caller, caller];
  return [caller, callerWith(workload, mesh.credentials.get(workload.key) ?? [])];
}

const NO_CREDENTIALS: readonly Credential[] = [];

function allSecrets(mesh: Mesh, { key }: Workload, { clusters }: OutboundView, own: readonly EncodedResource[]): Resources {
  const stored = credentialResources(mesh.credentials.get(key) ?? NO_CREDENTIALS);
  return union(union(listed(own), listed(stored)), listed(systemRootsFor(clusters)));
}

export function assignmentResources(mesh: Mesh, { assignments }: OutboundView): Resources {
  return assignmentList(assignments, destinationSettings(mesh));
}

const assignmentList = encodeList((assignment: LoadAssignment, settings: Settings) => endpointResource(settings, assignment));

/** A view is new whenever a cluster changed, though its tables may not be. */
function routeTables(settings: Settings, { routes }: OutboundView, { virtualHosts }: EnvoyAbilities): [TypeUrl, Resources][] {
  const proxy = virtualHosts ? routes.get(HTTP_PROXY) : undefined;
  if (!proxy) return [[TYPE.route, tables(settings, ...routes.values())]];
  const discovered = discoveredTable(settings, proxy);
  const others = [...routes.values()].filter((table) => table !== proxy);
  return [
    [TYPE.route, union(alone(discovered.route), tables(settings, ...others))],
    [TYPE.virtualHost, discovered.virtualHosts],
  ];
}

const alone = memoize((resource: EncodedResource): Resources => byName([resource]));

const tables = memoize((settings: Settings, ...all: Parameters<typeof routeResource>[1][]) =>
  byName(all.map((table) => routeResource(settings, table))),
);
