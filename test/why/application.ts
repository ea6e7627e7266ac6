/** What an application that fails or takes its time makes of a request that reaches it: `weft why` counts it as answering 200, at once. */
import { MISBEHAVE } from "../../scripts/lib/lab/apps.ts";
import { parseDuration } from "../../src/lib/duration.ts";
import type { RouteAnswer, WhyAnswer } from "../../src/why/index.ts";
import type { Asked } from "./generate.ts";

export interface Ending {
  readonly verdict: "allow" | "timed_out";
  readonly status: number;
  /** How often the caller's sidecar tries; undefined where the application is not reached. */
  readonly attempts?: number;
}

export function endingOf({ route }: WhyAnswer, { headers }: Asked, viaSidecar: boolean): Ending {
  const delayMs = Number(headers[MISBEHAVE.delayMs] ?? 0);
  const status = Number(headers[MISBEHAVE.status] ?? 200);
  const limits = [route?.timeout, route?.retries?.attempts ? route.retries.per_try_timeout : undefined];
  const isLate = limits.some((limit) => limit !== undefined && (parseDuration(limit) ?? Number.POSITIVE_INFINITY) < delayMs);
  if (isLate) return { verdict: "timed_out", status: 504 };
  return { verdict: "allow", status, attempts: viaSidecar ? 1 + retriesOf(route, status) : undefined };
}

/** Istio's default conditions are about connections alone. */
function retriesOf(route: RouteAnswer | null, status: number): number {
  const { attempts = 0, retry_on: on = "" } = route?.retries ?? {};
  const covers: Readonly<Record<string, boolean>> = { "5xx": status >= 500, "gateway-error": [502, 503, 504].includes(status) };
  return on.split(",").some((word) => covers[word] ?? word === String(status)) ? attempts : 0;
}
