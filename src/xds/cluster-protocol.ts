/** Which HTTP a cluster speaks, and how long its connections live (setUpstreamProtocol, applyH2Upgrade, applyConnectionPool). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  UpstreamHttpProtocolOptionsSchema,
} from "../gen/envoy/config/core/v3/protocol_pb.ts";
import type { HttpFilter } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import { isHttp, isHttp2 } from "../mesh/services.ts";
import type { Settings } from "../mesh/types.ts";
import { durationOf } from "./duration.ts";
import { packAny } from "./encode.ts";

const EXTENSION = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

type HttpPool = NonNullable<NonNullable<OutboundCluster["policy"]["connectionPool"]>["http"]>;

/** `filters`: the cluster's own upstream filters; Envoy's default where absent. */
export function httpProtocolOptions(
  settings: Settings,
  cluster: OutboundCluster,
  filters?: HttpFilter[],
): { readonly extensions: Record<string, Any>; readonly isHttp2: boolean } {
  const http = cluster.policy.connectionPool?.http;
  const upgrades = upgradesTo2(settings, cluster) && !http?.useClientProtocol;
  const speaksHttp2 = isHttp2(cluster.port.protocol) || upgrades;
  const isHttp2Only = speaksHttp2 && !http?.useClientProtocol;
  return {
    extensions: protocolExtensions(cluster.policy.connectionPool, speaksHttp2, nameOptions(cluster), filters),
    isHttp2: isHttp2Only,
  };
}

/** A rule's UPGRADE holds at any port, the mesh's at HTTP ports (shouldH2Upgrade). */
function upgradesTo2({ defaults }: Settings, { policy, port }: OutboundCluster): boolean {
  const own = policy.connectionPool?.http?.h2UpgradePolicy ?? "DEFAULT";
  return own === "DEFAULT" ? defaults?.h2Upgrade === true && isHttp(port.protocol) : own === "UPGRADE";
}

/** For a cluster's typed_extension_protocol_options; empty where all is Envoy's default. */
export function protocolExtensions(
  pool: OutboundCluster["policy"]["connectionPool"],
  speaksHttp2: boolean,
  upstream?: MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema>,
  filters?: HttpFilter[],
): Record<string, Any> {
  const common = connectionOptions(pool);
  if (!speaksHttp2 && !pool?.http?.useClientProtocol && !common && !upstream && !filters) return {};
  const options = create(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: common,
    upstreamHttpProtocolOptions: upstream,
    upstreamProtocolOptions: protocol(speaksHttp2, pool?.http),
    httpFilters: filters,
  });
  return { [EXTENSION]: packAny(HttpProtocolOptionsSchema, options) };
}

function protocol(
  speaksHttp2: boolean,
  http: HttpPool | undefined,
): MessageInitShape<typeof HttpProtocolOptionsSchema>["upstreamProtocolOptions"] {
  if (http?.useClientProtocol) {
    return { case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } };
  }
  const protocolConfig = speaksHttp2
    ? ({ case: "http2ProtocolOptions", value: http2Options(http) } as const)
    : ({ case: "httpProtocolOptions", value: {} } as const);
  return { case: "explicitHttpConfig", value: { protocolConfig } };
}

function http2Options(http: HttpPool | undefined) {
  const { interval, timeout } = http?.http2KeepAlive ?? {};
  return {
    maxConcurrentStreams: http?.maxConcurrentStreams || undefined,
    connectionKeepalive: timeout ? { interval: durationOf(interval), timeout: durationOf(timeout) } : undefined,
  };
}

function connectionOptions(pool: OutboundCluster["policy"]["connectionPool"]): MessageInitShape<typeof CommonOptionsSchema> | undefined {
  const { tcp, http } = pool ?? {};
  const idleTimeout = durationOf(http?.idleTimeout ?? tcp?.idleTimeout);
  const maxConnectionDuration = durationOf(tcp?.maxConnectionDuration);
  const maxRequestsPerConnection = http?.maxRequestsPerConnection || undefined;
  if (!idleTimeout && !maxConnectionDuration && !maxRequestsPerConnection) return undefined;
  return { idleTimeout, maxConnectionDuration, maxRequestsPerConnection };
}

/** Whether both the name that TLS asks for and the certificate's are the request's host. */
export function checksCalledName(cluster: OutboundCluster): boolean {
  const options = nameOptions(cluster);
  return options?.autoSni === true && options.autoSanValidation === true;
}

/** Where TLS out of the mesh names no server, the request's host is the name to ask for and to check (setAutoSniAndAutoSanValidation). */
function nameOptions({ policy }: OutboundCluster): MessageInitShape<typeof UpstreamHttpProtocolOptionsSchema> | undefined {
  const { tls } = policy;
  if ((tls?.mode !== "SIMPLE" && tls?.mode !== "MUTUAL") || tls.sni) return undefined;
  return { autoSni: true, autoSanValidation: !tls.subjectAltNames?.length && !tls.insecureSkipVerify };
}
