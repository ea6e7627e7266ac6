/** PROXY protocol towards a cluster's endpoints, in front of whatever TLS there is (Istio, applyUpstreamProxyProtocol). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type TransportSocket, TransportSocketSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { ProxyProtocolConfig_Version as Version } from "../gen/envoy/config/core/v3/proxy_protocol_pb.ts";
import { ProxyProtocolUpstreamTransportSchema } from "../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts";
import type { EffectivePolicy } from "../mesh/destination-rules.ts";
import { packAny } from "./encode.ts";
import { rawBuffer } from "./tls.ts";

type Sockets = Pick<MessageInitShape<typeof ClusterSchema>, "transportSocket" | "transportSocketMatches">;
type Socket = Sockets["transportSocket"];

export function withProxyProtocol(sockets: Sockets, settings: EffectivePolicy["proxyProtocol"]): Sockets {
  if (!settings) return sockets;
  const version = settings.version === "V2" ? Version.V2 : Version.V1;
  if (sockets.transportSocketMatches) {
    const wrapped = sockets.transportSocketMatches.map((one) => ({ ...one, transportSocket: wrap(one.transportSocket, version) }));
    return { transportSocketMatches: wrapped };
  }
  return { transportSocket: wrap(sockets.transportSocket ?? rawBuffer(), version) };
}

function wrap(transportSocket: Socket, version: Version): TransportSocket {
  const config = create(ProxyProtocolUpstreamTransportSchema, { config: { version }, transportSocket });
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    configType: { case: "typedConfig", value: packAny(ProxyProtocolUpstreamTransportSchema, config) },
  });
}
