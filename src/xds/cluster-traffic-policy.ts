/** A DestinationRule's traffic policy as parts of a cluster. A count of 0 means "not set", as in Istio. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CircuitBreakersSchema } from "../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts";
import { Cluster_LbPolicy, type ClusterSchema, type UpstreamConnectionOptionsSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { OutlierDetectionSchema } from "../gen/envoy/config/cluster/v3/outlier_detection_pb.ts";
import { parseDuration } from "../lib/duration.ts";
import type { EffectivePolicy } from "../mesh/destination-rules.ts";
import { durationOf } from "./duration.ts";

type ConnectionPool = NonNullable<EffectivePolicy["connectionPool"]>;
type LoadBalancer = NonNullable<EffectivePolicy["loadBalancer"]>;

/** Envoy's own limits of 1024 (and 3 retries) would break calls that no policy limits (getDefaultCircuitBreakerThresholds). */
const UNLIMITED = 2 ** 32 - 1;

export function circuitBreakers(
  pool: ConnectionPool | undefined,
  budget?: EffectivePolicy["retryBudget"],
): MessageInitShape<typeof CircuitBreakersSchema> {
  return {
    thresholds: [
      {
        maxConnections: pool?.tcp?.maxConnections || UNLIMITED,
        maxPendingRequests: pool?.http?.http1MaxPendingRequests || UNLIMITED,
        maxRequests: pool?.http?.http2MaxRequests || UNLIMITED,
        maxRetries: pool?.http?.maxRetries || UNLIMITED,
        // Where there is a budget, Envoy looks at no number of retries.
        retryBudget: budget && { budgetPercent: { value: budget.percent ?? 20 }, minRetryConcurrency: budget.minRetryConcurrency || 3 },
        trackRemaining: true,
      },
    ],
  };
}

/** The kernel takes no more (tcp(7): MAX_TCP_KEEPIDLE), and a socket option that it refuses breaks every connection. */
const LONGEST_KEEPALIVE_S = 32_767;

type Keepalive = NonNullable<ConnectionPool["tcp"]>["tcpKeepalive"];

/** A DestinationRule's over the mesh's, field by field (applyTCPKeepalive). */
export function keepalive(mesh: Keepalive, own: Keepalive): MessageInitShape<typeof UpstreamConnectionOptionsSchema> | undefined {
  if (!mesh && !own) return undefined;
  const settings = { ...mesh, ...own, probes: own?.probes || mesh?.probes };
  const seconds = (text: string | undefined) =>
    text === undefined ? undefined : Math.min(Math.floor((parseDuration(text) ?? 0) / 1000), LONGEST_KEEPALIVE_S) || undefined;
  return {
    tcpKeepalive: {
      keepaliveProbes: settings.probes || undefined,
      keepaliveTime: seconds(settings.time),
      keepaliveInterval: seconds(settings.interval),
    },
  };
}

/** Only what is asked for ejects: success rates never do (applyOutlierDetection). */
export function outlierDetection(
  outlier: EffectivePolicy["outlierDetection"],
): MessageInitShape<typeof OutlierDetectionSchema> | undefined {
  if (!outlier) return undefined;
  const split = outlier.splitExternalLocalOriginErrors === true;
  const localFailures = split && outlier.consecutiveLocalOriginFailures ? outlier.consecutiveLocalOriginFailures : undefined;
  return {
    enforcingSuccessRate: 0,
    consecutive5xx: outlier.consecutive5xxErrors,
    enforcingConsecutive5xx: enforced(outlier.consecutive5xxErrors),
    consecutiveGatewayFailure: outlier.consecutiveGatewayErrors,
    enforcingConsecutiveGatewayFailure: enforced(outlier.consecutiveGatewayErrors),
    interval: durationOf(outlier.interval),
    baseEjectionTime: durationOf(outlier.baseEjectionTime),
    maxEjectionPercent: outlier.maxEjectionPercent || undefined,
    splitExternalLocalOriginErrors: split,
    consecutiveLocalOriginFailure: localFailures,
    enforcingConsecutiveLocalOriginFailure: localFailures && 100,
    enforcingLocalOriginSuccessRate: split ? 0 : undefined,
  };
}

/** 0 turns a detector off; one that is not mentioned is Envoy's default. */
function enforced(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count > 0 ? 100 : 0;
}

type Balancing = Pick<MessageInitShape<typeof ClusterSchema>, "lbPolicy" | "lbConfig">;

export function loadBalancer(settings: LoadBalancer | undefined): Balancing {
  const hash = settings?.consistentHash;
  if (hash) return consistentHash(hash);
  switch (settings?.simple) {
    case "RANDOM":
      return { lbPolicy: Cluster_LbPolicy.RANDOM };
    case "ROUND_ROBIN":
      return { lbPolicy: Cluster_LbPolicy.ROUND_ROBIN, lbConfig: slowStart("roundRobinLbConfig", settings) };
    default:
      return { lbPolicy: Cluster_LbPolicy.LEAST_REQUEST, lbConfig: slowStart("leastRequestLbConfig", settings) };
  }
}

/** A new instance gets its share little by little (applyLeastRequestLoadBalancer, setWarmup). */
function slowStart(field: "roundRobinLbConfig" | "leastRequestLbConfig", settings: LoadBalancer | undefined): Balancing["lbConfig"] {
  const { warmup, warmupDurationSecs } = settings ?? {};
  if (warmup) {
    const slowStartConfig = {
      slowStartWindow: durationOf(warmup.duration),
      // The key is never set in the runtime; Envoy wants one.
      aggression: { defaultValue: warmup.aggression ?? 1, runtimeKey: "(" },
      minWeightPercent: { value: warmup.minimumPercent ?? 10 },
    };
    return { case: field, value: { slowStartConfig } };
  }
  const slowStartWindow = durationOf(warmupDurationSecs);
  return slowStartWindow ? { case: field, value: { slowStartConfig: { slowStartWindow } } } : { case: undefined };
}

function consistentHash(hash: NonNullable<LoadBalancer["consistentHash"]>): Balancing {
  if (hash.maglev) {
    const tableSize = BigInt(hash.maglev.tableSize ?? 0);
    return {
      lbPolicy: Cluster_LbPolicy.MAGLEV,
      lbConfig: tableSize ? { case: "maglevLbConfig", value: { tableSize } } : { case: undefined },
    };
  }
  const minimumRingSize = BigInt(hash.ringHash ? (hash.ringHash.minimumRingSize ?? 0) : hash.minimumRingSize || 1024);
  return {
    lbPolicy: Cluster_LbPolicy.RING_HASH,
    lbConfig: minimumRingSize ? { case: "ringHashLbConfig", value: { minimumRingSize } } : { case: undefined },
  };
}
