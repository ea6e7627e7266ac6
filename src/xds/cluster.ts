/** Outbound clusters (Istio, pilot/pkg/networking/core/cluster_builder.go and cluster_traffic_policy.go). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
  ClusterSchema,
} from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import { memoize } from "../mesh/memo.ts";
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import type { Injection } from "../mesh/token-injection.ts";
import type { Settings } from "../mesh/types.ts";
import { checksCalledName, httpProtocolOptions } from "./cluster-protocol.ts";
import { type Caller, upstreamTls } from "./cluster-tls.ts";
import { circuitBreakers, keepalive, loadBalancer, outlierDetection } from "./cluster-traffic-policy.ts";
import { adsSource } from "./config-source.ts";
import { durationOf, durationOfMs } from "./duration.ts";
import { encodeResource } from "./encode.ts";
import { localityEndpoints } from "./endpoint.ts";
import { injectingFilters } from "./filters/credential-injector.ts";
import { namedCluster } from "./filters/dynamic-forward-proxy.ts";
import { clusterMetadata } from "./peer-metadata.ts";
import { withProxyProtocol } from "./proxy-protocol.ts";

type Discovery = Pick<
  MessageInitShape<typeof ClusterSchema>,
  "clusterDiscoveryType" | "edsClusterConfig" | "lbPolicy" | "dnsLookupFamily" | "dnsRefreshRate" | "respectDnsTtl" | "loadAssignment"
>;

/** Istio's default (MeshConfig.dnsRefreshRate), where a name's TTL says nothing. */
const DNS_REFRESH_MS = 60_000;

/** What calls of a cluster carry. */
export interface Carried {
  readonly injection?: Injection;
}

/** The same object for the same cluster, whichever proxy of such a caller gets it. Undefined where such a caller cannot call it. */
export const clusterResource = memoize(
  (settings: Settings, cluster: OutboundCluster, caller: Caller, carried: Carried): EncodedResource | undefined => {
    const proto = clusterToProto(settings, caller, cluster, carried);
    const own = carried.injection ? [carried.injection.source] : [];
    return proto && encodeResource(ClusterSchema, cluster.name, proto, [...cluster.sources, ...own]);
  },
);

function clusterToProto(settings: Settings, caller: Caller, cluster: OutboundCluster, { injection }: Carried): Cluster | undefined {
  const { connectionPool, outlierDetection: outlier, loadBalancer: balancing } = cluster.policy;
  const options = httpProtocolOptions(settings, cluster, injection && injectingFilters(injection));
  const tls = upstreamTls(settings, caller, cluster, options.isHttp2);
  return (
    tls &&
    create(ClusterSchema, {
      name: cluster.name,
      metadata: clusterMetadata(settings, cluster.service),
      connectTimeout: durationOf(connectionPool?.tcp?.connectTimeout) ?? durationOfMs(settings.connectTimeoutMs),
      circuitBreakers: circuitBreakers(connectionPool, cluster.policy.retryBudget),
      upstreamConnectionOptions: keepalive(settings.defaults?.tcpKeepalive, connectionPool?.tcp?.tcpKeepalive),
      typedExtensionProtocolOptions: options.extensions,
      // A service has few instances: rather all of the healthy ones' load than calls to those that were ejected (applyOutlierDetection).
      commonLbConfig: {
        healthyPanicThreshold: outlier && { value: outlier.minHealthPercent ?? 0 },
        localityConfigSpecifier:
          cluster.localityWeighted && cluster.service.resolution !== "DYNAMIC_DNS"
            ? { case: "localityWeightedLbConfig", value: {} }
            : { case: undefined },
      },
      outlierDetection: outlierDetection(outlier),
      ...(cluster.service.resolution === "DYNAMIC_DNS" ? named(cluster) : { ...discovery(settings, cluster), ...loadBalancer(balancing) }),
      ...withProxyProtocol(tls, cluster.policy.proxyProtocol),
    })
  );
}

/** Its endpoints come with the calls: there is nothing to balance. */
function named(cluster: OutboundCluster): Discovery {
  return {
    clusterDiscoveryType: { case: "clusterType", value: namedCluster(checksCalledName(cluster)) },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  };
}

function discovery(settings: Settings, { name, service, localities, port }: OutboundCluster): Discovery {
  if (!localities) {
    return {
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { edsConfig: adsSource(), serviceName: name },
    };
  }
  return {
    clusterDiscoveryType: {
      case: "type",
      value: service.resolution === "DNS_ROUND_ROBIN" ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS,
    },
    // A proxy's own address families are its host's business: IPv4 where there is any.
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
    dnsRefreshRate: durationOfMs(settings.defaults?.dnsRefreshMs ?? DNS_REFRESH_MS),
    respectDnsTtl: true,
    loadAssignment: { clusterName: name, endpoints: localityEndpoints(settings, port, localities ?? []) },
  };
}
