/** Which HTTP a cluster speaks, and how long its connections live (setUpstreamProtocol, applyH2Upgrade, applyConnectionPool). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  UpstreamHttpProtocolOptionsSchema,
} from "../gen/envoy/config/core/v3/protocol_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { OutboundCluster } from "../mesh/outbound.ts";
import { isHttp2 } from "../mesh/services.ts";
import { durationOf } from "./duration.ts";
import { packAny } from "./encode.ts";

const EXTENSION = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

export function httpProtocolOptions(cluster: OutboundCluster): { readonly extensions: Record<string, Any>; readonly isHttp2: boolean } {
  const http = cluster.policy.connectionPool?.http;
  const upgrades = http?.h2UpgradePolicy === "UPGRADE" && !http.useClientProtocol;
  const speaksHttp2 = isHttp2(cluster.port.protocol) || upgrades;
  const common = connectionOptions(cluster);
  const upstream = nameOptions(cluster);
  if (!speaksHttp2 && !http?.useClientProtocol && !common && !upstream) return { extensions: {}, isHttp2: false };
  const options = create(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: common,
    upstreamHttpProtocolOptions: upstream,
    upstreamProtocolOptions: protocol(speaksHttp2, http?.useClientProtocol ?? false, http?.maxConcurrentStreams || undefined),
  });
  const isHttp2Only = speaksHttp2 && !http?.useClientProtocol;
  return { extensions: { [EXTENSION]: packAny(HttpProtocolOptionsSchema, options) }, isHttp2: isHttp2Only };
}

function protocol(
  speaksHttp2: boolean,
  follows: boolean,
  maxConcurrentStreams: number | undefined,
): MessageInitShape<typeof HttpProtocolOptionsSchema>["upstreamProtocolOptions"] {
  if (follows) return { case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } };
  return {
    case: "explicitHttpConfig",
    value: {
      protocolConfig: speaksHttp2
        ? { case: "http2ProtocolOptions", value: { maxConcurrentStreams } }
        : { case: "httpProtocolOptions", value: {} },
    },
  };
}

function connectionOptions({ policy }: OutboundCluster): MessageInitShape<typeof CommonOptionsSchema> | undefined {
  const { tcp, http } = policy.connectionPool ?? {};
  const idleTimeout = durationOf(http?.idleTimeout ?? tcp?.idleTimeout);
  const maxConnectionDuration = durationOf(tcp?.maxConnectionDuration);
  const maxRequestsPerConnection = http?.maxRequestsPerConnection || undefined;
  if (!idleTimeout && !maxConnectionDuration && !maxRequestsPerConnection) return undefined;
  return { idleTimeout, maxConnectionDuration, maxRequestsPerConnection };
}

/** Where TLS out of the mesh names no server, the request's host is the name to ask for and to check (setAutoSniAndAutoSanValidation). */
function nameOptions({ policy }: OutboundCluster): MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema> | undefined {
  const { tls } = policy;
  if ((tls?.mode !== "SIMPLE" && tls?.mode !== "MUTUAL") || tls.sni) return undefined;
  return { autoSni: true, autoSanValidation: !tls.subjectAltNames?.length && !tls.insecureSkipVerify };
}
