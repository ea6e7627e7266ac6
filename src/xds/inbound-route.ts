/** The one route of an inbound HTTP port (Istio, pilot/pkg/networking/core/route/route.go BuildDefaultHTTPInboundRoute). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { RetryPolicySchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import type { InboundPort } from "../mesh/types.ts";
import { inboundClusterName } from "./inbound-cluster.ts";

const NONE = { seconds: 0n };

const XFCC = "x-forwarded-client-cert";

/** What was there goes first, so that nothing of it stays where the caller has no certificate. */
const CALLER: Pick<MessageInitShape<typeof RouteConfigurationSchema>, "requestHeadersToRemove" | "requestHeadersToAdd"> = {
  requestHeadersToRemove: [XFCC],
  requestHeadersToAdd: [
    {
      header: { key: XFCC, value: "URI=%DOWNSTREAM_PEER_URI_SAN%" },
      appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    },
  ],
};

/**
 * Everything to the application, without a time limit: limits are the caller's VirtualService's. To weft itself (`own`) it says who calls, by the
 * certificate of this very connection: the router does so after all filters, so neither a token's claims nor an external authorizer can say otherwise.
 */
export function inboundRoute(port: InboundPort, own?: boolean): RouteConfiguration {
  const cluster = inboundClusterName(port);
  return create(RouteConfigurationSchema, {
    name: cluster,
    ...(own ? CALLER : {}),
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
