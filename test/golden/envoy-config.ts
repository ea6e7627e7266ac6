/**
 * A proxy's snapshot as a static Envoy configuration, so that `envoy --mode validate` reads all of it: what a running Envoy would ask for
 * (endpoints, routes, extensions) is put in place.
 */
import type { ProxySnapshot } from "../../src/lib/encoded.ts";
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { describeResource } from "../../src/xds/describe.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

export function staticConfig(snapshot: ProxySnapshot): JsonObject {
  const described = (type: TypeUrl) =>
    new Map([...(snapshot.resources.get(type) ?? [])].map(([name, resource]) => [name, inner(describeResource(resource) as JsonObject)]));
  const endpoints = described(TYPE.endpoint);
  const routes = described(TYPE.route);
  const extensions = described(TYPE.extension);
  const clusters = [...described(TYPE.cluster).values()].map((cluster) => withEndpoints(cluster, endpoints));
  const listeners = [...described(TYPE.listener).values()].map((listener) => inPlace(listener, routes, extensions));
  return {
    node: { id: "test", cluster: "test" },
    static_resources: { clusters: [ADS, ...clusters].map(withoutAds), listeners: listeners.map(withoutAds) },
  };
}

const ADS: JsonObject = {
  name: "ads",
  type: "STATIC",
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

/** Envoy 1.40 crashes in validate mode on secrets over ADS for static clusters: let them come from a server of their own. */
function withoutAds(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutAds);
  if (value === null || typeof value !== "object") return value;
  if (value.ads) return { resourceApiVersion: "V3", apiConfigSource: SERVER };
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withoutAds(child)]));
}

const SERVER: JsonObject = { apiType: "DELTA_GRPC", transportApiVersion: "V3", grpcServices: [{ envoyGrpc: { clusterName: "ads" } }] };

function inner({ "@type": _, ...rest }: JsonObject): JsonObject {
  return rest;
}

function withEndpoints(cluster: JsonObject, endpoints: ReadonlyMap<string, JsonObject>): JsonObject {
  if (cluster.type !== "EDS") return cluster;
  const { edsClusterConfig: _, ...rest } = cluster;
  const assignment = endpoints.get(String(cluster.name));
  if (!assignment) throw new Error(`no endpoints for ${cluster.name}`);
  return { ...rest, type: "STATIC", loadAssignment: assignment };
}

function inPlace(value: Json, routes: ReadonlyMap<string, JsonObject>, extensions: ReadonlyMap<string, JsonObject>): Json {
  if (Array.isArray(value)) return value.map((item) => inPlace(item, routes, extensions));
  if (value === null || typeof value !== "object") return value;
  const { rds, configDiscovery, ...rest } = value;
  const result: JsonObject = {};
  for (const [key, child] of Object.entries(rest)) result[key] = inPlace(child, routes, extensions);
  if (rds) result.routeConfig = find(routes, (rds as JsonObject).routeConfigName);
  if (configDiscovery) result.typedConfig = find(extensions, value.name).typedConfig ?? {};
  return result;
}

function find(resources: ReadonlyMap<string, JsonObject>, name: Json | undefined): JsonObject {
  const found = resources.get(String(name));
  if (!found) throw new Error(`a listener refers to ${name}, which the snapshot does not have`);
  return found;
}
