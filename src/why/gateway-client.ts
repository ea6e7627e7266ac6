/** What a gateway's server makes of a client's TLS, and of the certificate that it shows (src/xds/gateway-tls.ts). */
import type { GatewayChain } from "../mesh/gateways.ts";
import type { MtlsAnswer } from "./types.ts";

export interface Handshake {
  readonly client: MtlsAnswer["client"];
  readonly outcome: MtlsAnswer["outcome"];
  /** Half a sentence: "TLS for shop.example.com, which ends here", or why it comes to nothing. */
  readonly how: string;
  /** Names in the certificate that the server took; by each of them policies may know the client. */
  readonly peers: readonly string[];
}

/**
 * `shown`: names in the client's certificate, which counts as one that the server's CA signed, and whose hashes it takes; undefined where none
 * is shown.
 */
export function handshakeAt({ asksForTls, tls, missing }: GatewayChain, host: string, shown: readonly string[] | undefined): Handshake {
  if (missing) return refused("SIMPLE", missing.join("; "));
  if (!asksForTls) return { client: "NONE", outcome: "plaintext", how: "plaintext", peers: [] };
  if (!tls) return { client: "NONE", outcome: "tls", how: `TLS for ${host}, which is passed on`, peers: [] };
  const { mode, subjectAltNames = [], insecureSkipVerify } = tls;
  const ends = `TLS for ${host}, which ends here`;
  if (mode === "SIMPLE") return { client: "SIMPLE", outcome: "tls", how: ends, peers: [] };
  if (!shown) {
    if (mode !== "OPTIONAL_MUTUAL") return refused("SIMPLE", `${mode} demands a client certificate, and none is shown`);
    return { client: "SIMPLE", outcome: "tls", how: `${ends}; no client certificate is shown, and none is demanded`, peers: [] };
  }
  const client = mode === "ISTIO_MUTUAL" ? "ISTIO_MUTUAL" : "MUTUAL";
  if (subjectAltNames.length > 0 && !insecureSkipVerify && !shown.some((name) => subjectAltNames.includes(name))) {
    return refused(client, `the client's certificate names ${shown.join(", ") || "nobody"}, and not ${subjectAltNames.join(" or ")}`);
  }
  return { client, outcome: "mutual_tls", how: `${ends}; the client's certificate names ${shown.join(", ") || "nobody"}`, peers: shown };
}

function refused(client: MtlsAnswer["client"], how: string): Handshake {
  return { client, outcome: "refused", how, peers: [] };
}
