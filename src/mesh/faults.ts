/** The faults that a VirtualService's route injects at the caller, with Istio's defaults (route.go TranslateFault). */
import type { HttpRoute } from "./http-routes.ts";

type GrpcStatus = NonNullable<NonNullable<NonNullable<NonNullable<HttpRoute["rule"]>["fault"]>["abort"]>["grpcStatus"]>;

export interface Faults {
  /** `percent` of the requests wait for `duration`, as written. */
  readonly delay?: { readonly duration: string; readonly percent: number };
  /** `percent` of the requests end, with an HTTP status or, by name, a gRPC status. */
  readonly abort?: { readonly httpStatus?: number; readonly grpcStatus?: GrpcStatus; readonly percent: number };
}

/** Without a percentage no request is hit. */
export function faultsOf(rule: HttpRoute["rule"]): Faults {
  const { delay, abort } = rule?.fault ?? {};
  const isAbort = abort && (abort.httpStatus !== undefined || abort.grpcStatus);
  return {
    ...(delay?.fixedDelay
      ? { delay: { duration: delay.fixedDelay, percent: delay.percentage ? (delay.percentage.value ?? 0) : (delay.percent ?? 0) } }
      : {}),
    ...(isAbort ? { abort: { httpStatus: abort.httpStatus, grpcStatus: abort.grpcStatus, percent: abort.percentage?.value ?? 0 } } : {}),
  };
}
