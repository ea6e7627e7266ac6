/** What an authority does for the nodes of its mesh. Certificates are DER, the leaf first; times are milliseconds since the epoch. */
import type { ClaimedNode } from "./peer.ts";

export interface JoinAsk {
  /** As typed by whoever joins. */
  readonly token: string;
  readonly node: string;
  /** PKCS #10, DER. */
  readonly csr: Uint8Array;
  /** The one that the node expects; "" for whatever there is. */
  readonly trustDomain: string;
  /** Address and port of the peer, for the audit. */
  readonly from: string;
}

export interface JoinGrant {
  readonly certificates: Uint8Array[];
  readonly trustDomain: string;
  readonly authority: boolean;
  readonly sealKey: Uint8Array;
}

export interface X509Ask {
  readonly spiffeId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** The store's revision by which the node holds the workload to be its own. */
  readonly revision: number;
}

export interface JwtAsk {
  readonly spiffeId: string;
  readonly audience: readonly string[];
  readonly revision: number;
}

/** The node in each call holds the key that it claims; whether it is (still) one of the mesh, each call finds out. All throw WeftErrors. */
export interface AuthorityCalls {
  join(ask: JoinAsk): Promise<JoinGrant>;
  /** The node's certificate was not judged: that it holds the key which the mesh knows it by is enough. */
  renew(node: ClaimedNode): Promise<readonly Uint8Array[]>;
  signX509(node: ClaimedNode, ask: X509Ask): Promise<{ readonly certificates: Uint8Array[]; readonly authorityId: string }>;
  signJwt(
    node: ClaimedNode,
    ask: JwtAsk,
  ): Promise<{ readonly token: string; readonly issuedAt: bigint; readonly expiresAt: bigint; readonly authorityId: string }>;
}
