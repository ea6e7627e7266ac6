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
  firstSvidMs: 10_000,
  maxJwtSvids: 10_000,
};
