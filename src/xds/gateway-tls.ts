/**
 * The TLS that ends at a gateway (Istio, pilot/pkg/networking/core/listener.go BuildListenerTLSContext). Certificates of the user's come from
 * Secrets over SDS, or are files on the gateway's own host, which Envoy reads when it takes the listener.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { TransportSocket } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  CertificateValidationContext_TrustChainVerification,
  TlsParameters_TlsProtocol,
  type TlsParametersSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import { type CommonTlsContextSchema, DownstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { GatewayChain, GatewayTls } from "../mesh/gateways.ts";
import type { TlsDefaults } from "../mesh/mesh-defaults.ts";
import type { Settings } from "../mesh/types.ts";
import { packAny } from "./encode.ts";
import { SVID_SECRET } from "./secret.ts";
import { anySan, file, meshValidation, SERVER_CIPHERS, sds, sdsCredential, tlsSocket } from "./tls.ts";

const VERSIONS: Readonly<Record<string, TlsParameters_TlsProtocol>> = {
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

/** `http`: whether HTTP is spoken inside, and so by ALPN which. */
export function gatewayTls(
  { defaults }: Settings,
  tls: GatewayTls,
  credentials: GatewayChain["credentials"],
  http: boolean,
): TransportSocket {
  const { mode } = tls;
  const isMesh = mode === "ISTIO_MUTUAL";
  const context = create(DownstreamTlsContextSchema, {
    requireClientCertificate: isMesh || mode === "MUTUAL",
    commonTlsContext: {
      tlsParams: isMesh ? parameters({}, undefined) : parameters(tls, defaults?.tls),
      alpnProtocols: http ? ["h2", "http/1.1"] : isMesh ? ["istio", "h2", "http/1.1"] : [],
      ...(isMesh
        ? { tlsCertificateSdsSecretConfigs: [sds(SVID_SECRET)] }
        : credentials
          ? { tlsCertificateSdsSecretConfigs: credentials.certificates.map(sdsCredential) }
          : { tlsCertificates: certificateFiles(tls) }),
      validationContextType: validation(tls, credentials?.authorities),
    },
  });
  return tlsSocket(packAny(DownstreamTlsContextSchema, context));
}

function certificateFiles({ tlsCertificates = [], serverCertificate = "", privateKey = "" }: GatewayTls) {
  const all = tlsCertificates.length > 0 ? tlsCertificates : [{ serverCertificate, privateKey }];
  return all.map((one) => ({ certificateChain: file(one.serverCertificate), privateKey: file(one.privateKey) }));
}

/** Below TLS 1.3 with the cipher suites that are asked for, else with MeshConfig's, else with Istio's; not below TLS 1.2 unless asked. */
function parameters(
  { minProtocolVersion, maxProtocolVersion, cipherSuites = [] }: GatewayTls,
  defaults: TlsDefaults | undefined,
): MessageInitShape<typeof TlsParametersSchema> {
  const least = defaults?.min13 ? TlsParameters_TlsProtocol.TLSv1_3 : TlsParameters_TlsProtocol.TLSv1_2;
  const suites = [cipherSuites, defaults?.cipherSuites ?? []].find(({ length }) => length > 0) ?? SERVER_CIPHERS;
  return {
    tlsMinimumProtocolVersion: VERSIONS[minProtocolVersion ?? ""] ?? least,
    ecdhCurves: [...(defaults?.ecdhCurves ?? [])],
    tlsMaximumProtocolVersion: VERSIONS[maxProtocolVersion ?? ""] ?? TlsParameters_TlsProtocol.TLSv1_3,
    cipherSuites: [...suites],
  };
}

/** How client certificates are judged; not at all where none is asked for. `authorities`: an SDS resource, in place of a file. */
function validation(
  tls: GatewayTls,
  authorities: string | undefined,
): MessageInitShape<typeof CommonTlsContextSchema>["validationContextType"] {
  const { mode, caCertificates, caCrl, subjectAltNames = [], insecureSkipVerify } = tls;
  const names = [...new Set(subjectAltNames)].sort().flatMap(anySan);
  const trustChainVerification = insecureSkipVerify
    ? CertificateValidationContext_TrustChainVerification.ACCEPT_UNTRUSTED
    : CertificateValidationContext_TrustChainVerification.VERIFY_TRUST_CHAIN;
  if (mode === "ISTIO_MUTUAL") return meshValidation(names, trustChainVerification);
  if (mode !== "MUTUAL" && mode !== "OPTIONAL_MUTUAL") return { case: undefined };
  const checks = {
    matchTypedSubjectAltNames: names,
    verifyCertificateSpki: tls.verifyCertificateSpki,
    verifyCertificateHash: tls.verifyCertificateHash,
    trustChainVerification,
  };
  if (authorities !== undefined) {
    const value = { defaultValidationContext: checks, validationContextSdsSecretConfig: sdsCredential(authorities) };
    return { case: "combinedValidationContext", value };
  }
  return {
    case: "validationContext",
    value: { ...checks, trustedCa: file(caCertificates ?? ""), crl: caCrl ? file(caCrl) : undefined },
  };
}
