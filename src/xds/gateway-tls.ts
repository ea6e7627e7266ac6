/**
 * The TLS that ends at a gateway (Istio, pilot/pkg/networking/core/listener.go BuildListenerTLSContext). Certificates of the user's are files
 * on the gateway's own host, which Envoy reads when it takes the listener.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { TransportSocket } from "../gen/envoy/config/core/v3/base_pb.ts";
import { TlsParameters_TlsProtocol, type TlsParametersSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import { type CommonTlsContextSchema, DownstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { GatewayTls } from "../mesh/gateways.ts";
import { packAny } from "./encode.ts";
import { SVID_SECRET } from "./secret.ts";
import { anySan, file, meshValidation, SERVER_CIPHERS, sds, tlsSocket } from "./tls.ts";

const VERSIONS: Readonly<Record<string, TlsParameters_TlsProtocol>> = {
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

/** `http`: whether HTTP is spoken inside, and so by ALPN which. */
export function gatewayTls(tls: GatewayTls, http: boolean): TransportSocket {
  const { mode, serverCertificate = "", privateKey = "" } = tls;
  const isMesh = mode === "ISTIO_MUTUAL";
  const context = create(DownstreamTlsContextSchema, {
    requireClientCertificate: isMesh || mode === "MUTUAL",
    commonTlsContext: {
      tlsParams: isMesh ? parameters({}) : parameters(tls),
      alpnProtocols: http ? ["h2", "http/1.1"] : isMesh ? ["istio", "h2", "http/1.1"] : [],
      ...(isMesh
        ? { tlsCertificateSdsSecretConfigs: [sds(SVID_SECRET)] }
        : { tlsCertificates: [{ certificateChain: file(serverCertificate), privateKey: file(privateKey) }] }),
      validationContextType: validation(tls),
    },
  });
  return tlsSocket(packAny(DownstreamTlsContextSchema, context));
}

/** Below TLS 1.3 with the cipher suites that are asked for, else with Istio's; not below TLS 1.2 unless asked. */
function parameters({
  minProtocolVersion,
  maxProtocolVersion,
  cipherSuites = [],
}: GatewayTls): MessageInitShape<typeof TlsParametersSchema> {
  return {
    tlsMinimumProtocolVersion: VERSIONS[minProtocolVersion ?? ""] ?? TlsParameters_TlsProtocol.TLSv1_2,
    tlsMaximumProtocolVersion: VERSIONS[maxProtocolVersion ?? ""] ?? TlsParameters_TlsProtocol.TLSv1_3,
    cipherSuites: cipherSuites.length > 0 ? cipherSuites : SERVER_CIPHERS,
  };
}

/** How client certificates are judged; not at all where none is asked for. */
function validation(tls: GatewayTls): MessageInitShape<typeof CommonTlsContextSchema>["validationContextType"] {
  const { mode, caCertificates, caCrl, subjectAltNames = [] } = tls;
  const names = [...new Set(subjectAltNames)].sort().flatMap(anySan);
  if (mode === "ISTIO_MUTUAL") return meshValidation(names);
  if (mode !== "MUTUAL" && mode !== "OPTIONAL_MUTUAL") return { case: undefined };
  return {
    case: "validationContext",
    value: {
      trustedCa: file(caCertificates ?? ""),
      crl: caCrl ? file(caCrl) : undefined,
      matchTypedSubjectAltNames: names,
    },
  };
}
