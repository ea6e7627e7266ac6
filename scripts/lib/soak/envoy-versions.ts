/**
 * What an Envoy has, by its own word. It says versions, but not always those of what it has: a listener whose filter chains were updated in place has
 * the new ones under the version of the old (ListenerImpl::newListenerWithFilterChain), and a route configuration the version of the last virtual
 * host that came (RouteConfigUpdateReceiverImpl::onVhdsUpdate). For these the version is that of weft's resource of the same content.
 */
import { TYPE } from "../../../src/lib/encoded.ts";
import type { Versions } from "./client.ts";
import type { Town } from "./town.ts";

interface RouteJson {
  readonly name: string;
  readonly virtual_hosts?: readonly { readonly name: string }[];
}

interface DumpJson {
  readonly configs: readonly {
    readonly dynamic_active_clusters?: readonly { readonly version_info: string; readonly cluster: { readonly name: string } }[];
    readonly dynamic_listeners?: readonly { readonly name: string; readonly active_state?: { readonly listener: object } }[];
    readonly dynamic_route_configs?: readonly { readonly version_info: string; readonly route_config: RouteJson }[];
  }[];
}

interface ConfigJson {
  readonly resources: readonly { readonly type: string; readonly name: string; readonly version: string; readonly config: object }[];
}

const OTHER = "of other content";

/** Clusters, listeners, route configurations and virtual hosts. */
export async function envoyVersions({ weft, sidecar }: Town, name: string): Promise<Versions> {
  const { configs } = JSON.parse(await sidecar(name).admin("/config_dump")) as DumpJson;
  const { resources } = (await weft.api("GET", `/v1/proxies/default/${name}/config`)).json as ConfigJson;
  const sent = new Map(resources.map((one) => [`${one.type} ${one.name}`, one]));
  /** The version of weft's resource of that type and name, where it is `content`. */
  const versionOf = (type: string, resource: string, content: unknown) => {
    const ours = sent.get(`${type} ${resource}`);
    return ours && Bun.deepEquals(plain(content), plain(ours.config)) ? ours.version : OTHER;
  };
  const [clusters, listeners, routes, hosts] = [1, 2, 3, 4].map(() => new Map<string, string>()) as Maps;
  for (const { dynamic_active_clusters = [], dynamic_listeners = [], dynamic_route_configs = [] } of configs) {
    for (const { cluster, version_info } of dynamic_active_clusters) clusters.set(cluster.name, version_info);
    for (const { name, active_state } of dynamic_listeners) listeners.set(name, versionOf("LDS", name, active_state?.listener));
    for (const { route_config: route, version_info } of dynamic_route_configs) {
      const isDiscovered = "vhds" in route;
      const { virtual_hosts = [], ...rest } = route;
      routes.set(route.name, isDiscovered ? versionOf("RDS", route.name, rest) : version_info);
      for (const host of isDiscovered ? virtual_hosts : [])
        hosts.set(host.name, versionOf("VHDS", host.name, { "@type": TYPE.virtualHost, ...host }));
    }
  }
  return new Map<string, ReadonlyMap<string, string>>([
    [TYPE.cluster, clusters],
    [TYPE.listener, listeners],
    [TYPE.route, routes],
    ...(hosts.size > 0 ? [[TYPE.virtualHost, hosts] as const] : []),
  ]);
}

type Maps = [Map<string, string>, Map<string, string>, Map<string, string>, Map<string, string>];

/** Envoy writes the fields' own names, weft their names in JSON (lowerCamelCase). */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [camel(name), plain(part)]));
}
