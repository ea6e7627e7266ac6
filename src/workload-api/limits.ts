import type { CallRate } from "../lib/call-budget.ts";

/** What the programs of one machine may take of the Workload API. */
export interface WorkloadApiLimits {
  /** Of one request, bytes. A JWT-SVID to validate has at most 16 KiB. */
  readonly maxMessageBytes: number;
  readonly maxConnections: number;
  /** So that one user's programs cannot shut out the others'. */
  readonly maxConnectionsPerUid: number;
  /** Calls under way, streams among them. */
  readonly maxCallsPerUid: number;
  readonly maxCallsPerConnection: number;
  /** Of one connection; one that calls more often, as in a rapid reset (CVE-2023-44487), is ended. A program asks for a token now and then. */
  readonly callRate: CallRate;
  /**
   * Identities that one process is given. With their certificates they stay below 100 KB, and must: Bun's node:http2 does not widen the windows of
   * open streams when the peer raises SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, 6.9.2), and grpc-go raises it, to twice what it gets at once, and
   * then gives back what it has read in quarters of it (its bdpEstimator, and inFlow.onRead). Beyond 131 KB at once such a quarter is more than the
   * window of 65,535 bytes that the stream really has, and it is stuck for good.
   */
  readonly maxIdentities: number;
  /** Between two messages of a stream, milliseconds: so that they never come at once; and a program that loads all anew each time is spared. */
  readonly betweenMessagesMs: number;
  /** How long a call waits for the first SVID to be signed, milliseconds. */
  readonly firstSvidMs: number;
  /** JWT-SVIDs that are kept to be given out again. */
  readonly maxJwtSvids: number;
}

export const DEFAULT_LIMITS: WorkloadApiLimits = {
  maxMessageBytes: 64 * 1024,
  maxConnections: 4_000,
  maxConnectionsPerUid: 500,
  maxCallsPerUid: 2_000,
  maxCallsPerConnection: 100,
  callRate: { burst: 500, perSecond: 100 },
  maxIdentities: 32,
  betweenMessagesMs: 250,
  firstSvidMs: 10_000,
  maxJwtSvids: 10_000,
};
