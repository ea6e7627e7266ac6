/** The cluster behind an inbound port: the application (Istio, pilot/pkg/networking/core/cluster_builder.go buildInboundCluster). */
import { create } from "@bufbuild/protobuf";
import { Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { InboundPort, Protocol, Settings } from "../mesh/types.ts";
import { durationOfMs } from "./duration.ts";
import { encodeResource, packAny } from "./encode.ts";

/** Istio's thresholds: the application sets its own limits, and callers theirs (DestinationRule connectionPool). */
const UNLIMITED = 2 ** 32 - 1;

const HTTP2: ReadonlySet<Protocol> = new Set<Protocol>(["HTTP2", "GRPC", "GRPC-WEB"]);

/** "inbound|8080||", Istio's name; the number is the workload's port. */
export function inboundClusterName(port: InboundPort): string {
  return `inbound|${port.number}||`;
}

/** Plain HTTP/1.1 to the application of an HTTP port, HTTP/2 with prior knowledge where the port's protocol says so. */
export function inboundCluster(port: InboundPort, settings: Settings, sources: readonly Provenance[]): EncodedResource {
  const name = inboundClusterName(port);
  const { address, port: portValue } = port.app;
  const endpoint = {
    address: { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: portValue } } } },
  } as const;
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOfMs(settings.connectTimeoutMs),
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: endpoint } }] }] },
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: UNLIMITED,
          maxPendingRequests: UNLIMITED,
          maxRequests: UNLIMITED,
          maxRetries: UNLIMITED,
          trackRemaining: true,
        },
      ],
    },
    typedExtensionProtocolOptions: HTTP2.has(port.protocol) ? { [HTTP_OPTIONS]: packAny(HttpProtocolOptionsSchema, priorKnowledge()) } : {},
  });
  return encodeResource(ClusterSchema, name, cluster, sources);
}

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

function priorKnowledge() {
  return create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: { case: "explicitHttpConfig", value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } } },
  });
}
