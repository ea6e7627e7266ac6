/** The cluster behind an inbound port: the application (Istio, pilot/pkg/networking/core/cluster_builder.go buildInboundCluster). */
import { create } from "@bufbuild/protobuf";
import { Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { InboundPolicy } from "../mesh/inbound-policy.ts";
import type { InboundPort, Protocol, Settings } from "../mesh/types.ts";
import { toAddress } from "./address.ts";
import { protocolExtensions } from "./cluster-protocol.ts";
import { circuitBreakers, keepalive } from "./cluster-traffic-policy.ts";
import { durationOf, durationOfMs } from "./duration.ts";
import { encodeResource } from "./encode.ts";
import { ownMutualTls } from "./tls.ts";

const HTTP2: ReadonlySet<Protocol> = new Set<Protocol>(["HTTP2", "GRPC", "GRPC-WEB"]);

/** "inbound|8080||", Istio's name; the number is the workload's port. */
export function inboundClusterName(port: InboundPort): string {
  return `inbound|${port.number}||`;
}

/** Plain HTTP/1.1 to the application of an HTTP port, HTTP/2 with prior knowledge where the port's protocol says so. */
export function inboundCluster(
  port: InboundPort,
  settings: Settings,
  policy: InboundPolicy | undefined,
  sources: readonly Provenance[],
  /** Of weft's own workload: the identity on both sides of the connection. */
  ownIdentity?: string,
): EncodedResource {
  const pool = policy?.connectionPool;
  const name = inboundClusterName(port);
  const { address, port: portValue } = port.app;
  const endpoint = { address: toAddress(address, portValue) };
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOf(pool?.tcp?.connectTimeout) ?? durationOfMs(settings.connectTimeoutMs),
    upstreamConnectionOptions: keepalive(settings.defaults?.tcpKeepalive, pool?.tcp?.tcpKeepalive),
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: endpoint } }] }] },
    transportSocket: ownIdentity === undefined ? undefined : ownMutualTls(ownIdentity),
    circuitBreakers: circuitBreakers(pool, policy?.retryBudget),
    typedExtensionProtocolOptions: protocolExtensions(pool, HTTP2.has(port.protocol)),
  });
  return encodeResource(ClusterSchema, name, cluster, sources);
}
