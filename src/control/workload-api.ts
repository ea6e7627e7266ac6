/** The Workload API, joined with the Mesh, the CA, the audit, metrics and the log. */
import type { SpiffeAuthority, SvidManager, TrustBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Mesh } from "../mesh/types.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { serveWorkloadApi, type WorkloadApi, type WorkloadApiObserver } from "../workload-api/index.ts";
import type { AuditTrail } from "./audit-trail.ts";

export type { WorkloadApi } from "../workload-api/index.ts";

export interface WorkloadApiParts {
  /** Absolute, or "off". */
  readonly path: string;
  /** Whether somebody asked for the path: then weft does not run without it. */
  readonly asked: boolean;
  readonly clock: Clock;
  readonly mesh: () => Mesh | undefined;
  readonly authority: Pick<SpiffeAuthority, "bundle" | "onBundle" | "issueJwtSvid">;
  readonly svids: SvidManager;
  /** The bundles of other trust domains. */
  readonly federated: { current(): readonly TrustBundle[]; onChange(listener: () => void): () => void };
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
}

const closed = (closedBecause: string): WorkloadApi => ({ closedBecause, changed() {}, close: async () => {} });

/** @throws WeftError "unavailable" where a path that was asked for cannot be served */
export async function openWorkloadApi(parts: WorkloadApiParts): Promise<WorkloadApi> {
  const { path, asked, metrics } = parts;
  const log = logger("workload-api");
  const api =
    path === "off"
      ? closed("it is turned off")
      : await serve(parts).catch((reason) => {
          if (asked) throw reason;
          return closed(WeftError.from(reason).message);
        });
  metrics.workloadApiServed.set(api.closedBecause === undefined ? 1 : 0);
  if (api.closedBecause !== undefined && path !== "off") {
    log.warning("the Workload API is not served: {reason}", { reason: api.closedBecause });
  }
  return api;
}

function serve(parts: WorkloadApiParts): Promise<WorkloadApi> {
  const { path, clock, mesh, authority, svids, federated } = parts;
  return serveWorkloadApi({
    path,
    clock,
    registrations: () => mesh()?.registrations,
    bundles: {
      own: () => authority.bundle(),
      federated: () => federated.current(),
      onChange(listener) {
        const stops = [authority.onBundle(listener), federated.onChange(listener)];
        return () => {
          for (const stop of stops) stop();
        };
      },
    },
    svids,
    issueJwtSvid: (spiffeId, audience) => authority.issueJwtSvid(spiffeId, audience),
    observer: observe(parts),
  });
}

function observe({ audit, metrics }: WorkloadApiParts): WorkloadApiObserver {
  const log = logger("workload-api");
  const from = "workload api";
  return {
    changed: (what, by) => metrics.workloadApiOpen.inc({ what }, by),
    issuing: ({ method, who, svids }) => audit.often({ who, from, action: ACTIONS[method] ?? "issue-svid", targets: svids }),
    answered: ({ method }) => metrics.workloadApiCalls.inc({ method, code: "OK" }),
    refused({ method, who, code, reason }) {
      metrics.workloadApiCalls.inc({ method, code });
      log.debug("{who} was refused {method}: {reason}", { who, method, code, reason });
      audit.refused({ who, from, action: ACTIONS[method] ?? "call-workload-api", targets: [method], reason: `${code}: ${reason}` });
    },
  };
}

const ACTIONS: Readonly<Record<string, string>> = {
  FetchX509SVID: "issue-x509-svid",
  FetchJWTSVID: "issue-jwt-svid",
  ValidateJWTSVID: "validate-jwt-svid",
};

/** For /readyz?verbose: proxies are served whether or not the Workload API is. */
export async function workloadApiCheck(api: WorkloadApi | undefined): Promise<string> {
  if (!api) return "not served yet";
  return api.closedBecause === undefined ? "ok" : `not served: ${api.closedBecause}`;
}
