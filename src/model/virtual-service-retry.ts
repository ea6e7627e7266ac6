/** HTTPRetry, of VirtualServices and MeshConfig, checked as Istio's ValidateHTTPRetry does. */
import type * as v from "valibot";
import { duration } from "./common.ts";
import { flag, integer, object, type Report, suggestion, text } from "./schema.ts";

/**
 * Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on
 */
const POLICIES = [
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
];

/** The codes that have a name in Go's net/http (http.StatusText), which Istio takes in retryOn. */
const isNamedStatus = (code: number) =>
  (code >= 100 && code <= 103) ||
  (code >= 200 && code <= 208) ||
  code === 226 ||
  (code >= 300 && code <= 308 && code !== 306) ||
  (code >= 400 && code <= 418) ||
  (code >= 421 && code <= 426) ||
  [428, 429, 431, 451].includes(code) ||
  (code >= 500 && code <= 508) ||
  code === 510 ||
  code === 511;

function checkRetryOn(value: string, report: Report): void {
  if (value === "") return;
  for (const policy of value.split(",")) {
    if (POLICIES.includes(policy) || (/^[0-9]{3}$/.test(policy) && isNamedStatus(Number(policy)))) continue;
    const help = policy !== policy.trim() ? "write no spaces" : suggestion(policy, POLICIES);
    report("badValue", `${JSON.stringify(policy)} is neither a retry condition of Envoy's nor an HTTP status`, { help });
  }
}

export const retries = object(
  {
    attempts: integer(0),
    perTryTimeout: duration(),
    retryOn: text(checkRetryOn),
    retryRemoteLocalities: flag(),
    retryIgnorePreviousHosts: flag(),
    backoff: duration(),
  },
  (value, report) => {
    const says = value.perTryTimeout !== undefined || value.retryOn || value.retryRemoteLocalities !== undefined;
    if (!value.attempts && says) report("together", "has settings, but attempts is 0: there are no retries", { help: "write attempts" });
  },
);

export type HttpRetry = v.InferOutput<typeof retries>;
