/** How a replica is opened. */
import type { SharedLog } from "../shared/log.ts";
import type { SqliteStoreOptions } from "../sqlite/local.ts";

export interface ReplicaOptions extends SqliteStoreOptions {
  /** Closed with the store. */
  readonly log: SharedLog;
  /** Whether an empty log is to be filled with what the database holds, of its own or from a log that was lost. Default: no. */
  readonly carryOver?: boolean;
  /** How long opening waits for the engine where the database has followed it before, and may serve without it. Default: 2 s. */
  readonly patienceMs?: number;
  /** How long it waits where there is nothing to serve yet. Default: 15 s. */
  readonly firstSyncMs?: number;
  /** How long a write may take before it is answered. Default: 5 s. */
  readonly writeTimeoutMs?: number;
  /** From 0 to 1, for jitter. Default: Math.random. */
  readonly random?: () => number;
}
