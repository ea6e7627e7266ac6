/** Faults that a route injects at the caller (src/xds/filters/fault.ts). */
import type { HttpRoute } from "../mesh/http-routes.ts";
import type { Step } from "./types.ts";

/** Without a percentage no request is aborted. A gRPC status comes in an answer 200. */
export function abortOf({
  rule,
}: HttpRoute): { readonly status: number; readonly grpcStatus?: string; readonly percent: number } | undefined {
  const abort = rule?.fault?.abort;
  if (!abort || (abort.httpStatus === undefined && !abort.grpcStatus)) return undefined;
  const percent = abort.percentage?.value ?? 0;
  return abort.httpStatus !== undefined ? { status: abort.httpStatus, percent } : { status: 200, grpcStatus: abort.grpcStatus, percent };
}

export function delayOf({ rule }: HttpRoute): { readonly duration: string; readonly percent: number } | undefined {
  const delay = rule?.fault?.delay;
  if (!delay?.fixedDelay) return undefined;
  return { duration: delay.fixedDelay, percent: delay.percentage ? (delay.percentage.value ?? 0) : (delay.percent ?? 0) };
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
