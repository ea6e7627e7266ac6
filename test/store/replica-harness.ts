/** Replicas for tests, over any shared log: `storeContract("replica over etcd", replicaOver(openLog))`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { openReplica, type ReplicaOptions } from "../../src/store/replica/index.ts";
import type { SharedLog } from "../../src/store/shared/log.ts";
import type { OpenForTest } from "./harness.ts";

/** Dates from `dates`, and everything else in real time: a replica waits, tries again and gives up. */
export function realTime(dates: Pick<Clock, "now">): Clock {
  return { now: () => dates.now(), monotonic: systemClock.monotonic, after: systemClock.after };
}

/**
 * A store of one node for each call.
 * @param openLog an empty log for each call; the replica closes it, `dispose` removes what it left in the engine
 */
export function replicaOver(openLog: () => Promise<{ readonly log: SharedLog; dispose?(): Promise<void> }>): OpenForTest {
  return async (options) => {
    const directory = mkdtempSync(join(tmpdir(), "weft-replica-"));
    const { log, dispose } = await openLog();
    const store = await openReplica({ ...options, path: join(directory, "weft.db"), log, clock: realTime(options.clock) });
    return {
      store,
      async dispose() {
        await store.close();
        await dispose?.();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  };
}

export type Replica = Awaited<ReturnType<typeof openReplica>>;
export type MoreOptions = Partial<Omit<ReplicaOptions, "path" | "log">>;
