/**
 * Transport sockets: Istio's mutual TLS, the TLS that a DestinationRule asks for, and none. Keys and CA certificates of the mesh come over
 * SDS on the same ADS stream (xds/secret.ts), so a rotation changes no listener and no cluster.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type TransportSocket, TransportSocketSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { RawBufferSchema } from "../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts";
import {
  type CertificateValidationContext_TrustChainVerification,
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcherSchema,
  TlsParameters_TlsProtocol,
  TlsParametersSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import { SdsSecretConfigSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { CredentialNames } from "../mesh/credentials.ts";
import type { TlsDefaults } from "../mesh/mesh-defaults.ts";
import type { Settings } from "../mesh/types.ts";
import { adsSource, impatientAdsSource } from "./config-source.ts";
import { packAny } from "./encode.ts";
import { BUNDLE_SECRET, SVID_SECRET } from "./secret.ts";
import { SYSTEM_ROOTS_SECRET } from "./system-roots.ts";

/**
 * What the client's sidecar offers, so that a PERMISSIVE server tells the mesh's mutual TLS from any other TLS. "istio" is weft's own and
 * Istio's; the rest are what Istio's sidecars may send (pilot/pkg/networking/core/listener.go allIstioMtlsALPNs).
 */
export const MESH_ALPNS: readonly string[] = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/** Istio's server ciphers for TLS 1.2 (pilot/pkg/security/authn/utils/utils.go SupportedCiphers). */
export const SERVER_CIPHERS = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

const TLS_1_2_TO_1_3: MessageInitShape<typeof TlsParametersSchema> = {
  tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2,
  tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
};
/** The same made, for who adds nothing to it. */
const DEFAULT_PARAMETERS = create(TlsParametersSchema, TLS_1_2_TO_1_3);

export interface ClientMutualTlsOptions {
  /** "outbound_.8080_._.orders.default.mesh.local", which `connection.sni` sees. */
  readonly sni: string;
  /** The server must present one of these; where none is known, any identity of `trustDomains`. */
  readonly spiffeIds: readonly string[];
  /** Where other trust domains are known: the mesh's own. Without, the bundle's is the only one there is. */
  readonly trustDomains?: readonly string[];
  /** The connection carries HTTP/2. */
  readonly http2?: boolean;
}

/** A sidecar's calls to a sidecar: its SVID, the mesh's CA, ALPN "istio" (DestinationRule ISTIO_MUTUAL). */
export function clientMutualTls({ sni, spiffeIds, trustDomains = [], http2 }: ClientMutualTlsOptions): TransportSocket {
  const context = create(UpstreamTlsContextSchema, {
    sni,
    commonTlsContext: {
      tlsParams: DEFAULT_PARAMETERS,
      alpnProtocols: http2 ? ["istio", "h2"] : ["istio"],
      tlsCertificateSdsSecretConfigs: [sds(SVID_SECRET)],
      validationContextType: meshValidation(
        spiffeIds.length > 0 ? [...spiffeIds].sort().map((id) => uriSan({ case: "exact", value: id })) : trustDomains.map(anyOf),
      ),
    },
  });
  return tlsSocket(packAny(UpstreamTlsContextSchema, context));
}

/** From weft's own sidecar to weft behind it: each proves by weft's SVID that it is weft's. */
export function ownMutualTls(spiffeId: string): TransportSocket {
  const context = create(UpstreamTlsContextSchema, {
    commonTlsContext: {
      tlsParams: TLS_1_2_TO_1_3,
      tlsCertificateSdsSecretConfigs: [sds(SVID_SECRET)],
      validationContextType: meshValidation([uriSan({ case: "exact", value: spiffeId })]),
    },
  });
  return tlsSocket(packAny(UpstreamTlsContextSchema, context));
}

export interface ClientTlsOptions {
  readonly mode: "SIMPLE" | "MUTUAL";
  /** Empty or undefined: no SNI is sent, unless the cluster sets it from the request's host (auto_sni). */
  readonly sni?: string;
  /** The server must present one of these; where none is given, the certificate's names are not looked at here. */
  readonly subjectAltNames?: readonly string[];
  /** Path of the CA certificates on the proxy's host; where absent, the public ones (system-roots.ts). */
  readonly caCertificates?: string;
  /** Path of a certificate revocation list on the proxy's host. */
  readonly caCrl?: string;
  /** Paths on the proxy's host, for MUTUAL. */
  readonly clientCertificate?: string;
  readonly privateKey?: string;
  /** SDS resources in place of files. */
  readonly credentials?: CredentialNames;
  readonly insecureSkipVerify?: boolean;
  readonly http2?: boolean;
  /** MeshConfig's tlsDefaults. */
  readonly defaults?: TlsDefaults;
}

/** Calls out of the mesh over TLS (DestinationRule SIMPLE and MUTUAL; Istio, pilot/pkg/networking/core/cluster_tls.go constructUpstreamTLS). */
export function clientTls(options: ClientTlsOptions): TransportSocket {
  const { mode, sni, clientCertificate, privateKey, credentials, http2 } = options;
  const certificates =
    mode === "MUTUAL" && clientCertificate && privateKey
      ? [{ certificateChain: file(clientCertificate), privateKey: file(privateKey) }]
      : [];
  const context = create(UpstreamTlsContextSchema, {
    sni,
    commonTlsContext: {
      // The least version stays (cluster_tls.go, applyTLSDefaults).
      tlsParams: {
        ...TLS_1_2_TO_1_3,
        cipherSuites: [...(options.defaults?.cipherSuites ?? [])],
        ecdhCurves: [...(options.defaults?.ecdhCurves ?? [])],
      },
      alpnProtocols: http2 ? ["h2"] : [],
      tlsCertificates: certificates,
      tlsCertificateSdsSecretConfigs: credentials?.certificates.map(sdsCredential),
      validationContextType: outsideValidation(options),
    },
  });
  return tlsSocket(packAny(UpstreamTlsContextSchema, context));
}

function outsideValidation({
  subjectAltNames = [],
  caCertificates,
  caCrl,
  credentials,
  insecureSkipVerify,
}: ClientTlsOptions): MessageInitShape<typeof CommonTlsContextSchema>["validationContextType"] {
  if (insecureSkipVerify) return { case: "validationContext", value: {} };
  const checks = { matchTypedSubjectAltNames: [...subjectAltNames].sort().flatMap(anySan), crl: caCrl ? file(caCrl) : undefined };
  if (credentials?.authorities !== undefined) {
    const value = { defaultValidationContext: checks, validationContextSdsSecretConfig: sdsCredential(credentials.authorities) };
    return { case: "combinedValidationContext", value };
  }
  if (caCertificates) return { case: "validationContext", value: { ...checks, trustedCa: file(caCertificates) } };
  const value = { defaultValidationContext: checks, validationContextSdsSecretConfig: sds(SYSTEM_ROOTS_SECRET) };
  return { case: "combinedValidationContext", value };
}

/**
 * A sidecar's inbound mutual TLS: a client certificate is required, signed by the mesh's CA, for an identity in the trust domain or one of
 * its aliases, or in a federated one. ALPN never names "istio", which would stand in the way of HTTP/2 (Istio, pilot/pkg/security/authn/utils/utils.go BuildInboundTLS).
 */
export function serverMutualTls(settings: Settings): TransportSocket {
  const { mutualTls } = settings.defaults ?? {};
  const trustDomains = [...new Set([...ownTrustDomains(settings), ...(settings.federatedTrustDomains ?? [])])];
  const context = create(DownstreamTlsContextSchema, {
    requireClientCertificate: true,
    commonTlsContext: {
      tlsParams: {
        ...TLS_1_2_TO_1_3,
        ...(mutualTls?.min13 ? { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 } : {}),
        cipherSuites: mutualTls?.cipherSuites.length ? [...mutualTls.cipherSuites] : SERVER_CIPHERS,
      },
      alpnProtocols: ["h2", "http/1.1"],
      tlsCertificateSdsSecretConfigs: [sds(SVID_SECRET)],
      validationContextType: meshValidation(trustDomains.map(anyOf)),
    },
  });
  return tlsSocket(packAny(DownstreamTlsContextSchema, context));
}

/** The mesh's trust domain and its other names. */
export function ownTrustDomains({ trustDomain, trustDomainAliases }: Settings): readonly string[] {
  return [...new Set([trustDomain, ...trustDomainAliases])];
}

/** No TLS. */
export function rawBuffer(): TransportSocket {
  return RAW_BUFFER;
}

const RAW_BUFFER = create(TransportSocketSchema, {
  name: "envoy.transport_sockets.raw_buffer",
  configType: { case: "typedConfig", value: packAny(RawBufferSchema, create(RawBufferSchema)) },
});

type SanMatcher = MessageInitShape<typeof SubjectAltNameMatcherSchema>;

export function meshValidation(
  sans: SanMatcher[],
  trustChainVerification?: CertificateValidationContext_TrustChainVerification,
): MessageInitShape<typeof CommonTlsContextSchema>["validationContextType"] {
  const defaultValidationContext = { matchTypedSubjectAltNames: sans, trustChainVerification };
  return {
    case: "combinedValidationContext",
    value: { defaultValidationContext, validationContextSdsSecretConfig: sds(BUNDLE_SECRET) },
  };
}

function uriSan(matchPattern: { case: "exact" | "prefix"; value: string }): SanMatcher {
  return { sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern } };
}

const anyOf = (trustDomain: string): SanMatcher => uriSan({ case: "prefix", value: `spiffe://${trustDomain}/` });

/** A name of a DestinationRule may be of any sort; Envoy wants to know of which. */
export function anySan(name: string): SanMatcher[] {
  const sort = SubjectAltNameMatcher_SanType;
  return [sort.URI, sort.DNS, sort.IP_ADDRESS].map((sanType) => ({ sanType, matcher: { matchPattern: { case: "exact", value: name } } }));
}

export function sds(name: string): MessageInitShape<typeof SdsSecretConfigSchema> {
  return OWN_SECRETS.get(name) ?? { name, sdsConfig: adsSource() };
}

/** Named by every cluster. */
const OWN_SECRETS = new Map(
  [SVID_SECRET, BUNDLE_SECRET].map((name) => [name, create(SdsSecretConfigSchema, { name, sdsConfig: adsSource() })]),
);

/** A Secret of the user's. */
export function sdsCredential(name: string): MessageInitShape<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: impatientAdsSource() };
}

export function file(filename: string) {
  return { specifier: { case: "filename" as const, value: filename } };
}

export function tlsSocket(typedConfig: ReturnType<typeof packAny>): TransportSocket {
  return create(TransportSocketSchema, { name: "envoy.transport_sockets.tls", configType: { case: "typedConfig", value: typedConfig } });
}
