/** The one route of an inbound HTTP port (Istio, pilot/pkg/networking/core/route/route.go BuildDefaultHTTPInboundRoute). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { RetryPolicySchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import type { InboundPort } from "../mesh/types.ts";
import { inboundClusterName } from "./inbound-cluster.ts";

const NONE = { seconds: 0n };

/** Everything to the application, without a time limit: limits are the caller's VirtualService's. */
export function inboundRoute(port: InboundPort): RouteConfiguration {
  const cluster = inboundClusterName(port);
  return create(RouteConfigurationSchema, {
    name: cluster,
    virtualHosts: [
      {
        name: `inbound|http|${port.servicePort}`,
        domains: ["*"],
        routes: [
          {
            name: "default",
            match: { pathSpecifier: { case: "prefix", value: "/" } },
            decorator: { operation: `${port.service}:${port.servicePort}/*` },
            action: {
              case: "route",
              value: {
                clusterSpecifier: { case: "cluster", value: cluster },
                timeout: NONE,
                maxStreamDuration: { maxStreamDuration: NONE, grpcTimeoutHeaderMax: NONE },
                retryPolicy: retryPolicy(port),
              },
            },
          },
        ],
      },
    ],
    validateClusters: false,
  });
}

/**
 * A connection that the application closed just as the request went out is worth another try, for the request cannot have been seen; on gRPC
 * ports streams make that uncertain (Istio, route/retry/retry.go cachedDefaultInboundPolicy).
 */
function retryPolicy({ protocol }: InboundPort): MessageInitShape<typeof RetryPolicySchema> | undefined {
  if (protocol === "GRPC" || protocol === "GRPC-WEB") return undefined;
  return { retryOn: "reset-before-request", numRetries: 2 };
}
