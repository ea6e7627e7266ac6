/** What ADS needs from the rest of weft, and what it tells it. It carries opaque bytes and knows no policy. */
import type { ProxySnapshot, TypeUrl } from "../lib/encoded.ts";
import type { ErrorCode } from "../lib/errors.ts";
import type { PeerCredentials } from "../lib/peer-credentials.ts";

/** A workload that proved who it is. `id` is "ns/name". */
export interface ProxyIdentity {
  readonly id: string;
  /** When its proof ends, milliseconds since the epoch: its stream ends then, and it must prove itself anew. Never where absent. */
  readonly expiresAt?: number;
}

/** What the proxy says of itself. It decides on nothing but what the proxy can read. */
export interface ProxyClient {
  /** "1.40.0", or "" where it does not say. */
  readonly envoyVersion: string;
  /** Which variant of the protocol it speaks. */
  readonly protocol: "delta" | "sotw";
}

export interface Credentials {
  /** The authorization header of the stream, if any. */
  readonly authorization?: string;
  readonly transport: "tcp" | "unix" | "tls";
  /** What the client presented in its TLS handshake, DER, its own certificate first: it holds the key, nothing else is known. */
  readonly certificates?: readonly Uint8Array[];
  /** Who connected to the Unix socket, where the kernel tells. */
  readonly user?: PeerCredentials;
}

/** A proof that does not name one workload: several may share a SPIFFE ID, or a user. */
export interface Entitlement {
  /** When the proof ends, as ProxyIdentity's. */
  readonly expiresAt?: number;
  /**
   * Which of those that the proof is good for the stream is for; its node.id only chooses among them.
   * @throws WeftError "unauthenticated", "forbidden" where it is good for none, or not for the one that is named
   */
  choose(nodeId: string): ProxyIdentity;
}

/** @throws WeftError "unauthenticated", with a message that names the command to run. */
export type Authenticate = (credentials: Credentials) => Promise<ProxyIdentity | Entitlement>;

export interface SnapshotSource {
  /**
   * Calls `onSnapshot` now, if the first full load is done, and again whenever the proxy's snapshot changes, until the returned function
   * is called. Snapshots are immutable; a later one replaces an earlier one whole.
   */
  subscribe(proxy: ProxyIdentity, onSnapshot: (snapshot: ProxySnapshot) => void, client?: ProxyClient): () => void;
}

/** Told to the control plane for metrics, spans and logs. Called synchronously; must not throw. */
export interface AdsObserver {
  streamOpened?(event: {
    readonly proxy: ProxyIdentity;
    readonly protocol: "delta" | "sotw";
    readonly node: string;
    readonly address: string;
  }): void;
  streamClosed?(event: { readonly proxy: ProxyIdentity; readonly protocol: "delta" | "sotw"; readonly reason: string }): void;
  /** A stream or connection that was turned away: `code` says of what sort, in few words that metrics can count; `reason` is for people. */
  refused?(event: { readonly code: ErrorCode; readonly reason: string; readonly address: string }): void;
  pushed?(event: AnswerEvent & { readonly resources: number; readonly bytes: number }): void;
  acked?(event: AnswerEvent & { readonly milliseconds: number }): void;
  nacked?(event: AnswerEvent & { readonly milliseconds: number; readonly message: string }): void;
}

export interface AnswerEvent {
  readonly proxy: ProxyIdentity;
  readonly typeUrl: TypeUrl;
  readonly revision: number;
  readonly nonce: string;
}
