/**
 * Names that are resolved when they are called: filters that wait for the answer, and the clusters that then call it (Istio,
 * pilot/pkg/networking/core/networkfilter.go and cluster_builder.go buildDFPCluster). All share one cache, since a filter knows one only.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { type Cluster_CustomClusterTypeSchema, Cluster_DnsLookupFamily } from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ClusterConfigSchema } from "../../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts";
import type { DnsCacheConfigSchema } from "../../gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts";
import {
  FilterConfigSchema,
  PerRouteConfigSchema,
} from "../../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { FilterConfigSchema as SniFilterConfigSchema } from "../../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts";
import { packAny } from "../encode.ts";

export const NAMED_FILTER = "envoy.filters.http.dynamic_forward_proxy";
export const NAMED_TLS_FILTER = "envoy.filters.network.sni_dynamic_forward_proxy";

/** Envoy's own limit, written out: a name beyond it is answered with 503. Envoy wants the same settings wherever a cache's name stands. */
const CACHE: MessageInitShape<typeof DnsCacheConfigSchema> = {
  name: "weft",
  dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
  maxHosts: 1024,
};

/** Does nothing for routes to other clusters. */
export function namedFilter(): HttpFilter {
  const value = create(FilterConfigSchema, { implementationSpecifier: { case: "dnsCacheConfig", value: CACHE } });
  return create(HttpFilterSchema, { name: NAMED_FILTER, configType: { case: "typedConfig", value: packAny(FilterConfigSchema, value) } });
}

/** Where a route gives the request another name: the router does so too late for this filter. */
export function namedAs(host: string): Any {
  return packAny(PerRouteConfigSchema, create(PerRouteConfigSchema, { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: host } }));
}

/** The name that TLS asks for, called at `port`. */
export function namedTlsFilter(port: number): Filter {
  const value = create(SniFilterConfigSchema, { dnsCacheConfig: CACHE, portSpecifier: { case: "portValue", value: port } });
  return create(FilterSchema, {
    name: NAMED_TLS_FILTER,
    configType: { case: "typedConfig", value: packAny(SniFilterConfigSchema, value) },
  });
}

/** `checked`: its TLS asks for the name that is called, and for a certificate for it; Envoy wants to be told where it does not. */
export function namedCluster(checked: boolean): MessageInitShape<typeof Cluster_CustomClusterTypeSchema> {
  const value = create(ClusterConfigSchema, {
    clusterImplementationSpecifier: { case: "dnsCacheConfig", value: CACHE },
    allowInsecureClusterOptions: !checked,
  });
  return { name: "envoy.clusters.dynamic_forward_proxy", typedConfig: packAny(ClusterConfigSchema, value) };
}
