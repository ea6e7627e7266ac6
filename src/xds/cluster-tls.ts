/** With which TLS a cluster's endpoints are called (Istio, pilot/pkg/networking/core/cluster_tls.go). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type Credential, clientCredentials } from "../mesh/credentials.ts";
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import type { Settings, Workload } from "../mesh/types.ts";
import { clientMutualTls, clientTls, ownTrustDomains, rawBuffer } from "./tls.ts";

type Sockets = Pick<MessageInitShape<typeof ClusterSchema>, "transportSocket" | "transportSocketMatches">;

export interface Caller {
  /** Whether the calling workload has an SVID to show. A proxy that waits for one that never comes would never be ready. */
  readonly hasIdentity: boolean;
  readonly type?: "gateway";
  /** The SDS resources of Secrets that its proxy has. */
  readonly credentials?: ReadonlySet<string>;
}

export const IDENTIFIED: Caller = { hasIdentity: true };
export const ANONYMOUS: Caller = { hasIdentity: false };

const credentialed = new Map<string, Caller>();

/** The calling workload where Secrets matter: one object for all that are alike. */
export function callerWith({ type, spiffeId }: Workload, credentials: readonly Credential[]): Caller {
  const names = credentials.map(({ name }) => name);
  const key = JSON.stringify([type, spiffeId !== undefined, names]);
  const caller = credentialed.get(key) ?? { hasIdentity: spiffeId !== undefined, type, credentials: new Set(names) };
  credentialed.set(key, caller);
  return caller;
}

/**
 * A DestinationRule's tls decides; without one each endpoint of the mesh gets what it accepts (automatic mutual TLS), in plaintext from a
 * caller without an identity. Undefined where mutual TLS is demanded of such a caller: it gets no cluster, and its calls answer 503. Likewise where a Secret is missing.
 */
export function upstreamTls(settings: Settings, caller: Caller, cluster: OutboundCluster, http2: boolean): Sockets | undefined {
  const { tls } = cluster.policy;
  switch (tls && (tls.mode ?? "DISABLE")) {
    case undefined:
      return settings.enableAutoMtls && caller.hasIdentity && cluster.service.location === "MESH_INTERNAL"
        ? automatic(settings, cluster, http2)
        : {};
    case "DISABLE":
      return {};
    case "ISTIO_MUTUAL":
      if (!caller.hasIdentity) return undefined;
      return {
        transportSocket: clientMutualTls({
          sni: tls?.sni || meshSni(cluster),
          spiffeIds: tls?.subjectAltNames ?? cluster.subjectAltNames,
          trustDomains: serversOf(settings),
          http2,
        }),
      };
    case "SIMPLE":
    case "MUTUAL": {
      const credentials = clientCredentials(cluster, caller);
      if (credentials === "ignored") return {};
      const { certificates = [], authorities } = credentials ?? {};
      const needed = authorities === undefined ? certificates : [...certificates, authorities];
      if (needed.some((name) => !caller.credentials?.has(name))) return undefined;
      return {
        transportSocket: clientTls({
          defaults: settings.defaults?.tls,
          credentials,
          mode: tls?.mode === "MUTUAL" ? "MUTUAL" : "SIMPLE",
          sni: tls?.sni,
          subjectAltNames: tls?.subjectAltNames?.length ? tls.subjectAltNames : cluster.subjectAltNames,
          caCertificates: tls?.caCertificates,
          caCrl: tls?.caCrl,
          clientCertificate: tls?.clientCertificate,
          privateKey: tls?.privateKey,
          insecureSkipVerify: tls?.insecureSkipVerify,
          http2,
        }),
      };
    }
  }
}

/** Endpoints say in their metadata whether their sidecar takes mutual TLS (xds/endpoint.ts). */
function automatic(settings: Settings, cluster: OutboundCluster, http2: boolean): Sockets {
  // Of an endpoint that only a name is known of, nothing says that it takes mutual TLS.
  if (cluster.automaticTls.endpoints === "none" || cluster.service.resolution === "DYNAMIC_DNS") return {};
  const mutual = clientMutualTls({ sni: meshSni(cluster), spiffeIds: cluster.subjectAltNames, trustDomains: serversOf(settings), http2 });
  return {
    transportSocketMatches: [
      { name: "tlsMode-istio", match: { tlsMode: "istio" }, transportSocket: mutual },
      { name: "tlsMode-disabled", match: {}, transportSocket: rawBuffer() },
    ],
  };
}

/**
 * Where other trust domains are trusted too, a service whose servers nobody names is one of the own: no workload of another trust domain may
 * answer in its place.
 */
function serversOf(settings: Settings): readonly string[] | undefined {
  return settings.federatedTrustDomains ? ownTrustDomains(settings) : undefined;
}

/** "outbound_.8080_.v1_.orders.default.mesh.local" (model.BuildDNSSrvSubsetKey). */
function meshSni({ port, subset = "", service }: OutboundCluster): string {
  return `outbound_.${port.number}_.${subset}_.${service.host}`;
}
