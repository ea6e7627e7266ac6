/** Faults that a route injects at the caller. */
import { type Faults, faultsOf } from "../mesh/faults.ts";
import type { HttpRoute } from "../mesh/http-routes.ts";
import type { Step } from "./types.ts";

/** As what an abort answers: a gRPC status comes in an answer 200. */
export function abortOf({
  rule,
}: HttpRoute): { readonly status: number; readonly grpcStatus?: string; readonly percent: number } | undefined {
  const { abort } = faultsOf(rule);
  if (!abort) return undefined;
  const { httpStatus, grpcStatus, percent } = abort;
  return httpStatus !== undefined ? { status: httpStatus, percent } : { status: 200, grpcStatus, percent };
}

export function delayOf({ rule }: HttpRoute): Faults["delay"] {
  return faultsOf(rule).delay;
}

export function faultSteps(route: HttpRoute): Step[] {
  const [delay, abort] = [delayOf(route), abortOf(route)];
  return [
    ...(delay
      ? [
          {
            stage: "fault",
            result: "delay",
            reason: `${delay.percent}% of the requests wait ${delay.duration}`,
            source: route.source,
          } as const,
        ]
      : []),
    ...(abort
      ? [
          {
            stage: "fault",
            result: abort.percent >= 100 ? "abort" : abort.percent > 0 ? "may_abort" : "none",
            reason: `${abort.percent}% of the requests end with ${abort.status}${abort.grpcStatus ? ` and gRPC status ${abort.grpcStatus}` : ""}`,
            source: route.source,
          } as const,
        ]
      : []),
  ];
}
