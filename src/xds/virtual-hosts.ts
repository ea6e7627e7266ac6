/**
 * The route table "http_proxy" over VHDS: the route configuration stays as it is, and each virtual host is a resource, "http_proxy/orders.default.mesh.local:80",
 * so that one VirtualService that changes is all that is sent. docs/design.md, "Speed", says on which Envoys.
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { type VirtualHost, VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { type EncodedResource, TYPE, type TypeUrl } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import { memoize } from "../mesh/memo.ts";
import { HTTP_PROXY, type RouteTable } from "../mesh/route-tables.ts";
import type { Settings } from "../mesh/types.ts";
import { adsSource } from "./config-source.ts";
import { encodeResource } from "./encode.ts";
import { LONGEST_BODY, virtualHost } from "./route.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** A route configuration without virtual hosts, and those, by name. */
export interface DiscoveredTable {
  readonly route: EncodedResource;
  readonly virtualHosts: Resources;
}

export const discoveredTable = memoize(
  (settings: Settings, table: RouteTable): DiscoveredTable => ({
    route: emptyTable(settings),
    virtualHosts: named(table.virtualHosts.map((host) => virtualHostResource(settings, host))),
  }),
);

/** It depends on no service: whatever would change it would have every virtual host sent again. */
const emptyTable = memoize((_settings: Settings): EncodedResource => {
  const table = create(RouteConfigurationSchema, {
    name: HTTP_PROXY,
    validateClusters: false,
    maxDirectResponseBodySizeBytes: LONGEST_BODY,
  });
  return encodeResource(RouteConfigurationSchema, HTTP_PROXY, withDiscovery(table), []);
});

function withDiscovery(table: RouteConfiguration): RouteConfiguration {
  return { ...table, virtualHosts: [], vhds: create(RouteConfigurationSchema, { vhds: { configSource: adsSource() } }).vhds };
}

const virtualHostResource = memoize(
  (settings: Settings, host: RouteTable["virtualHosts"][number]): EncodedResource => encodeHost(virtualHost(settings, host), host.sources),
);

/** Envoy takes a virtual host away by its own name, and finds its route configuration by what is before the last slash of the resource's. */
function encodeHost(host: VirtualHost, sources: readonly Provenance[]): EncodedResource {
  const name = `${HTTP_PROXY}/${host.name.replaceAll("/", "|")}`;
  return encodeResource(VirtualHostSchema, name, { ...host, name }, sources);
}

/** `resources` of a proxy that EnvoyFilters patch, with `table`, as they left it, in parts. */
export function discoverPatched(
  settings: Settings,
  table: RouteTable | undefined,
  resources: ReadonlyMap<TypeUrl, Resources>,
): ReadonlyMap<TypeUrl, Resources> {
  const routes = resources.get(TYPE.route);
  const whole = routes?.get(HTTP_PROXY);
  if (!table || !routes || !whole) return resources;
  const { route, virtualHosts } = patchedTable(settings, table, whole);
  return new Map([...resources, [TYPE.route, withRoute(routes, route)], [TYPE.virtualHost, virtualHosts]]);
}

const withRoute = memoize((routes: Resources, route: EncodedResource): Resources => new Map([...routes, [route.name, route]]));

const patchedTable = memoize((settings: Settings, table: RouteTable, whole: EncodedResource): DiscoveredTable => {
  const own = discoveredTable(settings, table);
  const filters = whole.sources.filter(({ kind }) => kind === "EnvoyFilter");
  const patched = fromBinary(RouteConfigurationSchema, fromBinary(AnySchema, whole.any).value);
  const route = encodeResource(
    RouteConfigurationSchema,
    HTTP_PROXY,
    { ...withDiscovery(patched), maxDirectResponseBodySizeBytes: patched.maxDirectResponseBodySizeBytes ?? LONGEST_BODY },
    filters,
  );
  const taken = new Map<string, number>();
  const hosts = patched.virtualHosts.map((host) => {
    // A table may have two of one name, and an EnvoyFilter may add the second.
    const count = (taken.get(host.name) ?? 0) + 1;
    taken.set(host.name, count);
    const made = encodeHost(count === 1 ? host : { ...host, name: `${host.name}#${count}` }, filters);
    const before = own.virtualHosts.get(made.name);
    if (!before) return made;
    return before.version === made.version ? before : { ...made, sources: [...filters, ...before.sources] };
  });
  return { route: route.version === own.route.version ? own.route : route, virtualHosts: named(hosts) };
});

/** Never none: Envoy's listener waits for the first. One that has no route for any host is 404, as where there is no virtual host. */
function named(hosts: readonly EncodedResource[]): Resources {
  const some = hosts.length > 0 ? hosts : [encodeHost(create(VirtualHostSchema, { name: "none", domains: ["*"] }), [])];
  return new Map(some.map((host) => [host.name, host]));
}
