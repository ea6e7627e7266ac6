/** What a server's listener makes of a connection's first bytes, by its mutual TLS mode (src/xds/inbound-listener.ts). */
import { formatProvenance } from "../lib/provenance.ts";
import { type EffectiveMode, servedMode } from "../mesh/peer-authentication.ts";
import { isHttp } from "../mesh/services.ts";
import type { InboundPort, Mesh, Settings, Workload } from "../mesh/types.ts";
import { trustDomainOf } from "../model/trust-domain.ts";
import type { ClientTls } from "./client-tls.ts";
import type { MtlsAnswer, Step } from "./types.ts";

/** How a client begins. */
export interface Greeting {
  readonly mesh: Pick<Mesh, "settings">;
  readonly tls: ClientTls;
  /** SPIFFE ID that the caller can show. */
  readonly identity?: string;
  /** The name that the application's own TLS asks for; absent where it sends none. */
  readonly ownSni?: string;
}

/** What the listener's filter chains make of the connection's first bytes. */
export function handshake(
  { mesh, tls, identity, ownSni }: Greeting,
  workload: Workload,
  port: InboundPort,
  stated: EffectiveMode,
): { readonly mtls: MtlsAnswer; readonly reason: string } {
  const common = {
    client: tls.kind,
    client_reason: tls.reason,
    client_source: tls.source,
    server: stated.mode,
    server_source: stated.source ?? null,
  } as const;
  const refuse = (reason: string) => ({ mtls: { ...common, outcome: "refused", peer: null } as const, reason });
  const accept = (outcome: "mutual_tls" | "tls" | "plaintext", reason: string) => {
    return { mtls: { ...common, outcome, peer: outcome === "mutual_tls" ? (identity ?? null) : null } as const, reason };
  };
  const mode = servedMode(workload, stated.mode);
  if (mode === undefined) return refuse(`STRICT closes ${workload.key}, which has no identity to speak mutual TLS with`);
  const sends = tls.kind === "NONE" ? (ownSni === undefined ? "plaintext" : "tls") : tls.kind === "ISTIO_MUTUAL" ? "mutual_tls" : "tls";
  if (sends === "mutual_tls") {
    if (mode === "DISABLE") return refuse("the server takes plaintext only (DISABLE), and the client sends mutual TLS");
    if (tls.servers.length > 0 && !tls.servers.includes(workload.spiffeId ?? "")) {
      return refuse(`the client expects ${tls.servers.join(" or ")}, and the server is ${workload.spiffeId}`);
    }
    const stranger = strangeTrustDomain(identity, mesh.settings);
    if (stranger !== undefined) return refuse(`nobody here knows trust domain ${stranger}: there is no TrustDomain of that name`);
    return accept("mutual_tls", `mutual TLS, from ${identity} to ${workload.spiffeId}`);
  }
  if (port.tls && mode === "DISABLE") {
    const by = port.source ? ` of ${formatProvenance(port.source)}` : "";
    const asked = port.tls.mode === "SIMPLE" ? "" : `, if the client's certificate is one that ${port.tls.caCertificates} vouches for`;
    return sends === "plaintext"
      ? refuse(`the port takes the TLS${by}, and the client sends plaintext`)
      : accept("tls", `the TLS${by}${asked}`);
  }
  if (sends === "plaintext") return mode === "STRICT" ? refuse("STRICT refuses plaintext") : accept("plaintext", `${mode} takes plaintext`);
  if (mode === "STRICT") return refuse("STRICT refuses TLS that is not the mesh's");
  if (isHttp(port.protocol)) return refuse(`${mode} refuses TLS that is not the mesh's on an HTTP port`);
  return accept("tls", "the application's own TLS passes through");
}

/** The trust domain of an identity that the server's sidecar does not accept (xds/tls.ts, serverMutualTls). */
function strangeTrustDomain(identity: string | undefined, settings: Settings): string | undefined {
  if (identity === undefined) return undefined;
  const { trustDomain, trustDomainAliases, federatedTrustDomains = [] } = settings;
  const name = trustDomainOf(identity);
  return [trustDomain, ...trustDomainAliases, ...federatedTrustDomains].includes(name) ? undefined : name;
}

export function mtlsSteps(tls: ClientTls, mtls: MtlsAnswer, reason: string, workload: Workload, port: InboundPort): Step[] {
  const decided = mtls.server_source ? formatProvenance(mtls.server_source) : "Istio's default";
  return [
    { stage: "client_tls", result: tls.kind, reason: tls.reason, source: tls.source },
    { stage: "server_mtls", result: mtls.server, reason: `${workload.key} port ${port.number}, by ${decided}`, source: mtls.server_source },
    { stage: "tls", result: mtls.outcome, reason, source: mtls.outcome === "refused" ? (mtls.server_source ?? mtls.client_source) : null },
  ];
}
