/** What the Workload API asks of the rest of weft, and tells it. */
import type { SpiffeAuthority, SvidManager, TrustBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { WorkloadApiLimits } from "./limits.ts";
import type { Registration } from "./registrations.ts";

/** The bundles that workloads are to trust: the own trust domain's, and those of federated ones, never merged. */
export interface Bundles {
  own(): TrustBundle;
  federated(): readonly TrustBundle[];
  /** Calls `listener` after each change, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

export interface WorkloadApiOptions {
  /** Of the socket's file. */
  readonly path: string;
  readonly clock: Clock;
  /** Oldest first; undefined while they are not loaded. The same list for as long as none has changed. */
  readonly registrations: () => readonly Registration[] | undefined;
  readonly bundles: Bundles;
  readonly svids: Pick<SvidManager, "subscribe">;
  readonly issueJwtSvid: SpiffeAuthority["issueJwtSvid"];
  readonly observer?: WorkloadApiObserver;
  readonly limits?: Partial<WorkloadApiLimits>;
}

/** Who called what. */
export interface CallEvent {
  /** "FetchX509SVID", or what stood in its place. */
  readonly method: string;
  /** "uid 1001 (/usr/bin/billing)". */
  readonly who: string;
}

/** Told for metrics, logs and the audit. Never given a key or a token. */
export interface WorkloadApiObserver {
  /** Connections, or calls under way: one more or one fewer. */
  changed?(what: "connections" | "calls", by: 1 | -1): void;
  /** A response with SVIDs is about to be sent; it is not sent where this rejects. */
  issuing?(event: CallEvent & { readonly svids: readonly string[] }): Promise<void>;
  answered?(event: CallEvent): void;
  /** `code`: gRPC's name of the status. */
  refused?(event: CallEvent & { readonly code: string; readonly reason: string }): void;
}

/** A JWT-SVID; times in milliseconds since the epoch. */
export type KeptJwtSvid = Awaited<ReturnType<SpiffeAuthority["issueJwtSvid"]>>;
