/** Retries (Istio, pilot/pkg/networking/core/route/retry/retry.go). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { RetryPolicySchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { PreviousHostsPredicateSchema } from "../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts";
import { PreviousPrioritiesConfigSchema } from "../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts";
import type { Settings } from "../mesh/types.ts";
import { durationOf } from "./duration.ts";
import { packAny } from "./encode.ts";

type Retries = NonNullable<Settings["defaultHttpRetryPolicy"]>;
type RetryPolicy = MessageInitShape<typeof RetryPolicySchema>;

/** What is safe to try again whatever the method. */
const RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const ATTEMPTS = 2;

/** Without a policy Istio's default; with 0 attempts none. With a consistent hash every try goes to the same instance. */
export function retryPolicy(retries: Retries | undefined, isHashed: boolean): RetryPolicy | undefined {
  if (retries && !((retries.attempts ?? 0) > 0)) return undefined;
  const avoidsPrevious = retries?.retryIgnorePreviousHosts ?? !isHashed;
  return {
    numRetries: retries?.attempts ?? ATTEMPTS,
    ...conditions(retries?.retryOn),
    perTryTimeout: durationOf(retries?.perTryTimeout),
    retryHostPredicate: avoidsPrevious ? [previousHosts()] : [],
    hostSelectionRetryMaxAttempts: 5n,
    retryPriority: retries?.retryRemoteLocalities ? previousPriorities() : undefined,
    retryBackOff: retries?.backoff ? { baseInterval: durationOf(retries.backoff) } : undefined,
  };
}

/** Numbers among the conditions are status codes. */
function conditions(retryOn: string | undefined): Pick<RetryPolicy, "retryOn" | "retriableStatusCodes"> {
  if (!retryOn) return { retryOn: RETRY_ON };
  const parts = retryOn
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const retriableStatusCodes = parts.filter((part) => /^[1-5]\d\d$/.test(part)).map(Number);
  const words = parts.filter((part) => !/^[1-5]\d\d$/.test(part));
  const isImplied = retriableStatusCodes.length > 0 && !words.includes("retriable-status-codes");
  return { retryOn: [...words, ...(isImplied ? ["retriable-status-codes"] : [])].join(","), retriableStatusCodes };
}

function previousHosts() {
  const typedConfig = packAny(PreviousHostsPredicateSchema, create(PreviousHostsPredicateSchema));
  return { name: "envoy.retry_host_predicates.previous_hosts", configType: { case: "typedConfig", value: typedConfig } } as const;
}

/** After two tries that failed the next priority is asked. */
function previousPriorities() {
  const typedConfig = packAny(PreviousPrioritiesConfigSchema, create(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }));
  return { name: "envoy.retry_priorities.previous_priorities", configType: { case: "typedConfig", value: typedConfig } } as const;
}
