/** What of a running weft is asked whether it works. */
import type { AdsServer } from "../ads/index.ts";
import type { OpenedAuthority } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { Store } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { HealthChecks } from "./health.ts";
import { checkCa } from "./identity.ts";
import type { OwnWorkload } from "./own-workload.ts";
import type { Presence } from "./presence.ts";
import { presenceSaid } from "./presence-open.ts";
import { checkStore } from "./standing.ts";
import { type WorkloadApi, workloadApiCheck } from "./workload-api.ts";

export interface OpenHealthOptions {
  readonly store: Pick<Store, "standing" | "checkWritable">;
  /** That is served. */
  readonly revision: () => number;
  readonly ads: Pick<AdsServer, "selfTest">;
  readonly authority: OpenedAuthority;
  readonly presence: Pick<Presence, "report">;
  /** Undefined before it is open. */
  readonly workloadApi: () => WorkloadApi | undefined;
  /** Null where weft is in no mesh. */
  readonly ownWorkload: (() => Pick<OwnWorkload, "status"> | undefined) | null;
  readonly metrics: Pick<Metrics, "healthy">;
  readonly clock: Clock;
}

export function openHealth(options: OpenHealthOptions): HealthChecks {
  const { store, revision, ads, authority, presence, workloadApi, ownWorkload, metrics, clock } = options;
  return new HealthChecks(
    {
      store: () => checkStore(store, revision()),
      xds: () => ads.selfTest(),
      ca: () => checkCa(authority),
      "workload-api": () => workloadApiCheck(workloadApi()),
      ...(ownWorkload ? { "in-mesh": async () => ownWorkload()?.status ?? "not registered yet" } : {}),
      presence: async () => presenceSaid(presence.report()),
    },
    clock,
    ({ part, ok }) => metrics.healthy.set({ part }, ok ? 1 : 0),
  );
}
