/** With which TLS a caller's sidecar calls an endpoint (Istio, pilot/pkg/networking/core/cluster_tls.go). */
import type { Provenance } from "../lib/provenance.ts";
import { clientCredentials } from "../mesh/credentials.ts";
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import type { Endpoint, Settings, Workload } from "../mesh/types.ts";
import type { MtlsAnswer } from "./types.ts";

export interface ClientTls {
  readonly kind: MtlsAnswer["client"];
  readonly reason: string;
  readonly source: Provenance | null;
  readonly sni: string;
  /** Identities of which the server must present one; empty takes any of the mesh. */
  readonly servers: readonly string[];
}

const PLAINTEXT = { kind: "NONE", sni: "", servers: [] } as const;

/** A port's own settings, without tls, hide it from the cluster and not from its endpoints (mesh/automatic-tls.ts). */
const HIDDEN = "beside the port's settings a DestinationRule says";

/** undefined where a DestinationRule demands mutual TLS of a caller without an identity: such a caller has no cluster. */
export function clientTls(settings: Settings, caller: Workload, cluster: OutboundCluster, endpoint: Endpoint): ClientTls | undefined {
  const { tls } = cluster.policy;
  const source = cluster.sources.find(({ kind }) => kind === "DestinationRule") ?? null;
  switch (tls && (tls.mode ?? "DISABLE")) {
    case undefined:
      return automatic(settings, caller, cluster, endpoint);
    case "DISABLE":
      return { ...PLAINTEXT, reason: "a DestinationRule says DISABLE", source };
    case "ISTIO_MUTUAL":
      if (!caller.spiffeId) return undefined;
      return {
        kind: "ISTIO_MUTUAL",
        reason: "a DestinationRule says ISTIO_MUTUAL",
        source,
        sni: tls?.sni || meshSni(cluster),
        servers: tls?.subjectAltNames ?? cluster.subjectAltNames,
      };
    case "SIMPLE":
    case "MUTUAL": {
      const kind = tls?.mode === "MUTUAL" ? "MUTUAL" : "SIMPLE";
      if (clientCredentials(cluster, caller) === "ignored") {
        return { ...PLAINTEXT, reason: `a DestinationRule says ${kind} with a credentialName, which gateways alone read`, source };
      }
      return { kind, reason: `a DestinationRule says ${kind}`, source, sni: tls?.sni ?? "", servers: [] };
    }
  }
}

function automatic(settings: Settings, caller: Workload, cluster: OutboundCluster, endpoint: Endpoint): ClientTls {
  const plain = (reason: string, source: Provenance | null = null): ClientTls => ({ ...PLAINTEXT, reason, source });
  if (!settings.enableAutoMtls) return plain("automatic mutual TLS is off", settings.source ?? null);
  if (!caller.spiffeId) return plain(`${caller.key} has no service account, so no identity to show`, caller.source);
  if (cluster.service.location !== "MESH_INTERNAL") return plain("the service is MESH_EXTERNAL", cluster.service.source);
  const { endpoints, source = null } = cluster.automaticTls;
  if (endpoints === "none") {
    const isNamespaces = source?.kind === "PeerAuthentication";
    return plain(isNamespaces ? "PeerAuthentication says DISABLE for the service's namespace" : `${HIDDEN} no mutual TLS`, source);
  }
  if (!endpoint.mtlsPorts.has(cluster.port.number)) {
    return plain("the endpoint takes no mutual TLS: no service account, or PeerAuthentication says DISABLE", endpoint.source);
  }
  const reason = endpoints === "all" ? `${HIDDEN} ISTIO_MUTUAL` : "automatic mutual TLS";
  return { kind: "ISTIO_MUTUAL", reason, source, sni: meshSni(cluster), servers: cluster.subjectAltNames };
}

/** "outbound_.8080_.v1_.orders.default.mesh.local" (model.BuildDNSSrvSubsetKey). */
function meshSni({ port, subset = "", service }: OutboundCluster): string {
  return `outbound_.${port.number}_.${subset}_.${service.host}`;
}
