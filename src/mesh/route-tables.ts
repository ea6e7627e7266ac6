/**
 * The route tables of a namespace's callers: "http_proxy" for the sidecar's outbound listener, where the Host header names host and port, and
 * one named by the port number ("8080") for each port at which an address of a service is listened for (Istio, httproute.go).
 */
import type { Provenance } from "../lib/provenance.ts";
import { DomainClaims, hostForms } from "./domains.ts";
import { compareText, isWildcard } from "./hosts.ts";
import { buildHttpRoutes, defaultHttpRoutes, destinationHosts, type HttpRoute, type Surroundings } from "./http-routes.ts";
import { internList, memoize, type Pool, retain } from "./memo.ts";
import { isHttp } from "./services.ts";
import type { Service, ServicePort, Settings } from "./types.ts";
import { type UnknownHosts, unknownVirtualHost } from "./unknown-hosts.ts";
import { httpCandidates, overlaps, type VirtualService, type VirtualServiceIndex } from "./virtual-services.ts";

export interface VirtualHost {
  /** "orders.default.mesh.local:8080" */
  readonly name: string;
  /** As Envoy matches them against the Host header; no two virtual hosts of a table share one. */
  readonly domains: readonly string[];
  readonly routes: readonly HttpRoute[];
  /** Whether plaintext is answered by a redirect to https. */
  readonly requireTls?: boolean;
  /** VirtualServices, then DestinationRules that hash, then the ServiceEntry. */
  readonly sources: readonly Provenance[];
}

export interface RouteTable {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  /** Whether the port in a Host header means nothing, because the listener's is meant. */
  readonly ignorePort: boolean;
}

/** The route table of the outbound listener, by Istio's name for its HTTP proxy's. */
export const HTTP_PROXY = "http_proxy";

export interface RouteInputs {
  readonly namespace: string;
  readonly settings: Settings;
  readonly pool: Pool;
  /** Sorted by host. */
  readonly services: readonly Service[];
  readonly virtualServices: VirtualServiceIndex;
  /** Whether and how the callers may call what is in no table. */
  readonly unknown?: UnknownHosts;
  readonly surroundings: Surroundings;
}

/** The same object for the same place, so that who claims which domain is worked out once for the same places. */
interface Place {
  readonly host: string;
  readonly port: number;
  /** Undefined for a host that only a VirtualService names. */
  readonly service?: Service;
}

/** A host and port with its routes, before it is known by which domains it is called. */
interface Site {
  readonly place: Place;
  readonly routes: readonly HttpRoute[];
  readonly sources: readonly Provenance[];
}

/** `ports`: the numbered tables that some listener needs. */
export function buildRouteTables(inputs: RouteInputs, ports: ReadonlySet<number>): ReadonlyMap<string, RouteTable> {
  const sites = [...inputs.services.flatMap((service) => serviceSites(service, inputs)), ...looseSites(inputs)];
  const tables = new Map([[HTTP_PROXY, tableOf(HTTP_PROXY, sites, inputs)]]);
  for (const port of [...ports].sort((a, b) => a - b)) {
    const name = String(port);
    tables.set(
      name,
      tableOf(
        name,
        sites.filter(({ place }) => place.port === port),
        inputs,
      ),
    );
  }
  return tables;
}

/** The table of an egress listener at `port`; 0 for one at which the Host header names the port. */
export function listenerTable(name: string, port: number, inputs: RouteInputs): RouteTable {
  const sites = [...inputs.services.flatMap((service) => serviceSites(service, inputs)), ...looseSites(inputs)];
  return tableOf(name, port === 0 ? sites : sites.filter(({ place }) => place.port === port), inputs, port === 0);
}

function serviceSites(service: Service, inputs: RouteInputs): Site[] {
  return service.ports
    .filter(({ protocol }) => isHttp(protocol))
    .map((port) => ({ place: placeOf(service, port), ...serviceRoutes(service, port, inputs) }));
}

const placeOf = memoize((service: Service, { number }: ServicePort): Place => ({ host: service.host, port: number, service }));

function serviceRoutes(service: Service, port: ServicePort, inputs: RouteInputs): Pick<Site, "routes" | "sources"> {
  for (const virtualService of httpCandidates(inputs.virtualServices, service.host)) {
    const routes = routesOf(virtualService, port.number, inputs);
    if (routes.length > 0) return { routes, sources: sourcesOf(routes, inputs, virtualService, service) };
  }
  const rule = inputs.surroundings.rule(service);
  const routes = defaultHttpRoutes(service, port, rule);
  return { routes, sources: sourcesOf(routes, inputs, undefined, service) };
}

/**
 * Hosts that a VirtualService names and no ServiceEntry does: they are routed at the ports of the VirtualService's other hosts, or at
 * port 80 when it has none (route.go, buildSidecarVirtualHostsForVirtualService). A wildcard that shares names with a service's is none of
 * them, though the service's be the wider one (separateVSHostsAndServices).
 */
function looseSites(inputs: RouteInputs): Site[] {
  const known = new Map(inputs.services.map((service) => [service.host, service]));
  const sites = new Map<string, Site>();
  for (const virtualService of inputs.virtualServices.all) {
    const isLoose = (host: string) =>
      isWildcard(host) ? !inputs.services.some((service) => overlaps(host, service.host)) : !known.has(host);
    const loose = virtualService.hosts.filter(isLoose);
    if (loose.length === 0) continue;
    const named = virtualService.hosts.flatMap((host) => known.get(host) ?? []).flatMap(({ ports }) => ports);
    const ports = new Set(named.filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number));
    for (const port of ports.size > 0 ? ports : [80]) {
      const routes = routesOf(virtualService, port, inputs);
      const sources = sourcesOf(routes, inputs, virtualService);
      for (const host of loose) {
        const name = `${host}:${port}`;
        if (routes.length > 0 && !sites.has(name)) {
          sites.set(name, { place: inputs.pool.keep(`place ${name}`, () => ({ host, port })), routes, sources });
        }
      }
    }
  }
  return [...sites.values()].sort(({ place: a }, { place: b }) => compareText(a.host, b.host) || a.port - b.port);
}

function tableOf(
  name: string,
  sites: readonly Site[],
  { namespace, settings, pool, unknown }: RouteInputs,
  isProxy = name === HTTP_PROXY,
): RouteTable {
  const places = internList(sites.map(({ place }) => place));
  const { domains, leavesOthers } = claimed(settings, pool, places)(namespace, isProxy);
  const virtualHosts = sites.flatMap((site, at) => {
    const own = domains[at] ?? [];
    return own.length > 0 ? [virtualHost(site, own)] : [];
  });
  const others = isProxy && unknown && leavesOthers ? [unknownVirtualHost(unknown)] : [];
  const table = tablesOf(internList([...virtualHosts, ...others]))(name, !isProxy);
  // They are looked for by the next build.
  retain(table, places);
  return table;
}

interface Claimed {
  /** Of each place, none where others have them all. */
  readonly domains: readonly (readonly string[])[];
  /** Whether nobody has "*". */
  readonly leavesOthers: boolean;
}

const claimed = memoize((settings: Settings, pool: Pool, places: readonly Place[]) => {
  const known = new Map<string, Claimed>();
  return (namespace: string, isProxy: boolean): Claimed => {
    const key = `${namespace} ${isProxy}`;
    const found = known.get(key) ?? claimDomains(settings, pool, places, { namespace, isProxy });
    known.set(key, found);
    return found;
  };
});

function claimDomains(
  settings: Settings,
  pool: Pool,
  places: readonly Place[],
  { namespace, isProxy }: { readonly namespace: string; readonly isProxy: boolean },
): Claimed {
  const claims = new DomainClaims();
  const forms = places.map(({ host, service }) => (service ? hostForms(service, namespace, settings) : { full: [host], short: [] }));
  const withPorts = (hosts: readonly string[], place: Place) => (isProxy ? hosts.flatMap((host) => proxyForms(host, place)) : hosts);
  // What a host is really called goes before every short form of another.
  const full = places.map((place, at) => claims.claim(withPorts(forms[at]?.full ?? [], place)));
  const short = places.map((place, at) => claims.claim(withPorts(forms[at]?.short ?? [], place)));
  const domains = places.map((_, at) => pool.strings([...(full[at] ?? []), ...(short[at] ?? [])]));
  return { domains, leavesOthers: claims.claim(["*"]).length > 0 };
}

/** "host:port", and "host" alone where callers that name no port mean this one. */
function proxyForms(host: string, { port, service }: Place): string[] {
  return isDefaultPort(port, service) ? [host, `${host}:${port}`] : [`${host}:${port}`];
}

/** Port 80 as in every URL; a service without it is meant by its lowest HTTP port. */
function isDefaultPort(port: number, service: Service | undefined): boolean {
  if (port === 80) return true;
  // Envoy calls the port that the Host header names, and 80 where it names none.
  if (service?.resolution === "DYNAMIC_DNS") return false;
  const http = (service?.ports ?? []).filter(({ protocol }) => isHttp(protocol)).map(({ number }) => number);
  return !http.includes(80) && http[0] === port;
}

/** The key holds all that the routes depend on: the VirtualService, the services that it leads to, and their rules. */
function routesOf(virtualService: VirtualService, port: number, { settings, surroundings }: RouteInputs): readonly HttpRoute[] {
  const services = destinationsOf(virtualService, settings).map((host) => surroundings.service(host));
  const inputs = services.flatMap((service) => (service ? [service, surroundings.rule(service)] : [NONE]));
  const byPort = routesByPort(settings, virtualService, ...inputs);
  const known = byPort.get(port);
  if (known) return known;
  const routes = buildHttpRoutes(virtualService, port, settings.domain, surroundings);
  byPort.set(port, routes);
  retain(routes, inputs);
  return routes;
}

const destinationsOf = memoize((virtualService: VirtualService, { domain }: Settings) => destinationHosts(virtualService, domain));

const NONE = {};
const routesByPort = memoize(
  (_settings: Settings, _virtualService: VirtualService, ..._inputs: readonly object[]) => new Map<number, readonly HttpRoute[]>(),
);

/** The VirtualService, the DestinationRules whose hash the routes carry, the ServiceEntries. */
function sourcesOf(
  routes: readonly HttpRoute[],
  { surroundings }: RouteInputs,
  virtualService?: VirtualService,
  service?: Service,
): readonly Provenance[] {
  const hosts = hashedHosts(routes);
  if (hosts.length === 0) return plainSources(virtualService ?? NONE, service ?? NONE);
  const hashed = hosts.flatMap((host) => surroundings.service(host) ?? []);
  const rules = [...new Set(hashed.map((target) => surroundings.rule(target)))].flatMap((rule) => rule.sources);
  return internList([...(virtualService?.sources ?? []), ...rules, ...(service ? [service.source, ...service.otherSources] : [])]);
}

const plainSources = memoize((virtualService: Partial<VirtualService>, service: Partial<Service>) => {
  const own = service.source ? [service.source, ...(service.otherSources ?? [])] : [];
  return internList([...(virtualService.sources ?? []), ...own]);
});

const hashedHosts = memoize((routes: readonly HttpRoute[]) =>
  routes.flatMap(({ targets }) => targets.filter(({ hash }) => hash)).map(({ host }) => host),
);

function virtualHost(site: Site, domains: readonly string[]): VirtualHost {
  const known = virtualHosts(site.routes, domains, site.sources);
  const name = `${site.place.host}:${site.place.port}`;
  const found = known.get(name) ?? { name, domains, routes: site.routes, sources: site.sources };
  known.set(name, found);
  return found;
}

const virtualHosts = memoize(
  (_routes: readonly HttpRoute[], _domains: readonly string[], _sources: readonly Provenance[]) => new Map<string, VirtualHost>(),
);

const tablesOf = memoize((virtualHosts: readonly VirtualHost[]) => {
  const byName = new Map<string, RouteTable>();
  return (name: string, ignorePort: boolean): RouteTable => {
    const key = `${name} ${ignorePort}`;
    const table = byName.get(key) ?? { name, virtualHosts, ignorePort };
    byName.set(key, table);
    return table;
  };
});
