/**
 * Sidecars: which one holds for a workload, and what its egress lets the workload's calls out know (Istio, pilot/pkg/model/sidecar.go and
 * push_context.go doGetSidecarScope). In the workload's namespace the oldest whose workloadSelector fits, else the oldest without one; else the
 * oldest without one in the root namespace. They are not merged, and none holds for a gateway.
 */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { type EgressBind, egressBind } from "../model/sidecar-egress.ts";
import { listenerProtocol } from "../model/sidecar-port.ts";
import { isVisible } from "../model/visibility.ts";
import { hasLabels } from "./callers.ts";
import { covers } from "./hosts.ts";
import { internList, memoize } from "./memo.ts";
import { type ServiceIndex, type ServiceParts, serviceFor } from "./services.ts";
import type { Service, Settings } from "./types.ts";
import { overlaps, type VirtualService } from "./virtual-services.ts";

export type Sidecar = Resource<"Sidecar">;

/** The Sidecar that holds for a workload, if any. */
export type SidecarLookup = (namespace: string, labels: Readonly<Record<string, string>>) => Sidecar | undefined;

/** `resources`: oldest first. */
export function sidecarLookup(resources: readonly Sidecar[], { rootNamespace }: Settings): SidecarLookup {
  const byNamespace = new Map<string, Sidecar[]>();
  const isSelective = ({ spec }: Sidecar) => spec.workloadSelector !== undefined;
  for (const sidecar of [...resources.filter(isSelective), ...resources.filter((one) => !isSelective(one))]) {
    const { namespace } = sidecar.metadata;
    byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), sidecar]);
  }
  const root = byNamespace.get(rootNamespace)?.find((one) => !isSelective(one));
  return (namespace, labels) =>
    byNamespace.get(namespace)?.find(({ spec }) => hasLabels(labels, spec.workloadSelector?.labels ?? {})) ?? root;
}

/** A host of an egress listener: "prod/*.example.com", and with excluded "~prod/*.example.com". */
interface EgressHost {
  /** "*" for every one. */
  readonly namespace: string;
  /** Canonical, or a wildcard. */
  readonly host: string;
  readonly excluded: boolean;
}

/** What one egress listener of a Sidecar leads to. */
export interface ListenerScope {
  readonly hosts: readonly EgressHost[];
  /** Where it is; undefined for the one that stands for all other calls. */
  readonly bind?: EgressBind;
  /** Istio's, in capitals: with `bind`. */
  readonly protocol?: string;
  readonly source: Provenance;
}

/** What a Sidecar lets the callers of one namespace know. */
export interface EgressScope {
  /** "ns/name" of the Sidecar. */
  readonly key: string;
  /** At least one; of those without `bind` at most one, the last. */
  readonly listeners: readonly ListenerScope[];
  readonly source: Provenance;
}

/** Undefined for a Sidecar without egress: it limits nothing. `namespace`: of the callers, which "." means. */
export function egressScope(sidecar: Sidecar | undefined, namespace: string, settings: Settings): EgressScope | undefined {
  if (!sidecar?.spec.egress?.length) return undefined;
  const scopes = scopesOf(sidecar, settings);
  const known = scopes.get(namespace);
  if (known) return known;
  const { metadata } = sidecar;
  const scope = {
    key: `${metadata.namespace}/${metadata.name}`,
    listeners: sidecar.spec.egress.map((listener, at) => ({
      hosts: listener.hosts.map((written) => egressHost(written, namespace, settings)),
      bind: listener.port && egressBind(listener),
      protocol: listener.port && listenerProtocol(listener.port),
      source: provenanceOf(sidecar, "spec", "egress", at),
    })),
    source: provenanceOf(sidecar, "spec", "egress"),
  };
  scopes.set(namespace, scope);
  return scope;
}

const scopesOf = memoize((_sidecar: Sidecar, _settings: Settings) => new Map<string, EgressScope>());

function egressHost(written: string, own: string, { domain }: Settings): EgressHost {
  const slash = written.indexOf("/");
  const excluded = written.startsWith("~");
  const name = written.slice(excluded ? 1 : 0, slash) || "*";
  return { namespace: name === "." ? own : name, host: canonicalHost(written.slice(slash + 1), own, domain), excluded };
}

function isExcluded({ hosts }: ListenerScope, namespace: string, host: string): boolean {
  return hosts.some((one) => one.excluded && isOf(one, namespace) && covers(one.host, host));
}

function isOf(host: EgressHost, namespace: string): boolean {
  return host.namespace === "*" || host.namespace === namespace;
}

function importsService(scope: ListenerScope, { host, namespace }: Service): boolean {
  if (isExcluded(scope, namespace, host)) return false;
  return scope.hosts.some((one) => !one.excluded && isOf(one, namespace) && covers(one.host, host));
}

/** One of its hosts must be imported, and not excluded; a wildcard on either side may cover the other (VSMatches). */
export function importsRoutes(scope: ListenerScope, { hosts, resource }: VirtualService): boolean {
  const { namespace } = resource.metadata;
  return hosts.some(
    (host) =>
      !isExcluded(scope, namespace, host) && scope.hosts.some((one) => !one.excluded && isOf(one, namespace) && overlaps(one.host, host)),
  );
}

/** A service as some callers know it: perhaps with a part of its ports only. */
export interface KnownService {
  readonly parts: ServiceParts;
  readonly service: Service;
}

/** The services that callers may name at a listener, sorted by host; `scope` undefined: where nothing limits them. */
export function importedServices(services: ServiceIndex, namespace: string, scope: ListenerScope | undefined): readonly KnownService[] {
  if (!scope) return allServices(services, namespace);
  const number = portAsked(scope);
  return [...services.values()].flatMap((candidates) => {
    const imported = candidates.filter(({ service }) => importsService(scope, service) && hasPort(service, number));
    const parts = serviceFor(imported, namespace);
    return parts ? [{ parts, service: number === undefined ? parts.service : withPorts(parts.service, new Set([number])) }] : [];
  });
}

/** Namespaces that see the same share one list. */
function allServices(services: ServiceIndex, namespace: string): readonly KnownService[] {
  const lists = listsOf(services);
  const list =
    lists.get(namespace) ??
    internList(
      [...services.values()].flatMap((candidates) => {
        const parts = serviceFor(candidates, namespace);
        return parts ? [wholeService(parts)] : [];
      }),
    );
  lists.set(namespace, list);
  return list;
}

const listsOf = memoize((_services: ServiceIndex) => new Map<string, readonly KnownService[]>());
const wholeService = memoize((parts: ServiceParts): KnownService => ({ parts, service: parts.service }));

/** A listener with a port leads to this port of its services alone, unless it is a proxy or a Unix socket (needsPortMatch). */
function portAsked({ bind, protocol }: ListenerScope): number | undefined {
  return bind && bind.port !== 0 && protocol !== "HTTP_PROXY" ? bind.port : undefined;
}

const hasPort = ({ ports }: Service, wanted: number | undefined) => wanted === undefined || ports.some(({ number }) => number === wanted);

/** Of several listeners: each service once, with the ports that any of them has (appendSidecarServices). */
export function joinKnown(all: readonly KnownService[]): readonly KnownService[] {
  const found = new Map<string, KnownService>();
  for (const one of all) {
    const before = found.get(one.service.host);
    if (before && (before.parts !== one.parts || before.service === one.service)) continue;
    const wanted = new Set([...(before?.service.ports ?? []), ...one.service.ports].map(({ number }) => number));
    found.set(one.service.host, before ? { parts: one.parts, service: withPorts(one.parts.service, wanted) } : one);
  }
  return [...found.values()];
}

/**
 * The services to which only the routes of imported VirtualServices lead: callers reach them by those routes, and cannot name them. They
 * have the ports that the routes name (collectImportedServices).
 */
export function inferredServices(
  services: ServiceIndex,
  namespace: string,
  virtualServices: readonly VirtualService[],
  imported: readonly KnownService[],
  { domain }: Settings,
  scope: ListenerScope,
): readonly KnownService[] {
  const asked = portAsked(scope);
  const found = new Map<string, KnownService>(imported.map((one) => [one.service.host, one]));
  const inferred: KnownService[] = [];
  for (const virtualService of virtualServices) {
    for (const [host, ports] of destinationsOf(virtualService, domain)) {
      const seen = (services.get(host) ?? []).filter(({ service }) => isVisible(service.exportTo, service.namespace, namespace));
      const parts = seen.find(({ service }) => service.namespace === namespace) ?? seen[0];
      const before = found.get(host);
      if (!parts || (before && (before.parts !== parts || before.service === parts.service))) continue;
      const led = asked === undefined ? ports : new Set([asked]);
      const wanted = new Set(before?.service.ports.map(({ number }) => number)).union(led);
      const service = led.has(ANY_PORT) ? parts.service : withPorts(parts.service, wanted);
      if (service.ports.length > 0) found.set(host, { parts, service });
    }
  }
  const named = new Set(imported);
  for (const one of found.values()) if (!named.has(one)) inferred.push(one);
  return inferred;
}

/** Stands for every port, where a destination names none. */
const ANY_PORT = 0;

function destinationsOf({ http, tls, tcp, namespace }: VirtualService, domain: string): ReadonlyMap<string, ReadonlySet<number>> {
  const l4 = [...tls, ...tcp].flatMap(({ spec }) => (spec.route ?? []).map(({ destination }) => ({ destination, from: namespace })));
  const l7 = http.flatMap(({ spec, namespace: from }) => {
    const mirrors = [...(spec.mirror ? [spec.mirror] : []), ...(spec.mirrors ?? []).map(({ destination }) => destination)];
    return [...(spec.route ?? []).map(({ destination }) => destination), ...mirrors].map((destination) => ({ destination, from }));
  });
  const found = new Map<string, Set<number>>();
  for (const { destination, from } of [...l7, ...l4]) {
    const host = canonicalHost(destination.host, from, domain);
    found.set(host, (found.get(host) ?? new Set()).add(destination.port?.number ?? ANY_PORT));
  }
  return found;
}

function withPorts(service: Service, wanted: ReadonlySet<number>): Service {
  const ports = service.ports.filter(({ number }) => wanted.has(number));
  if (ports.length === service.ports.length) return service;
  const variants = variantsOf(service);
  const key = ports.map(({ number }) => number).join();
  const variant = variants.get(key) ?? { ...service, ports };
  variants.set(key, variant);
  return variant;
}

const variantsOf = memoize((_service: Service) => new Map<string, Service>());
