/** Delays and aborts of a VirtualService's route (Istio, route.go TranslateFault). The filter stands in every outbound chain; the route tells it what to do. */
import { create } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { HTTPFaultSchema } from "../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { GRPC_STATUS } from "../../lib/grpc-status.ts";
import { type Faults, faultsOf } from "../../mesh/faults.ts";
import type { HttpRoute } from "../../mesh/http-routes.ts";
import { durationOf } from "../duration.ts";
import { packAny } from "../encode.ts";
import { fractionalPercent } from "../percent.ts";

export const FAULT_FILTER = "envoy.filters.http.fault";

export function faultFilter(): HttpFilter {
  return create(HttpFilterSchema, {
    name: FAULT_FILTER,
    configType: { case: "typedConfig", value: packAny(HTTPFaultSchema, create(HTTPFaultSchema)) },
  });
}

/** For the route's typed_per_filter_config; undefined where nothing is to happen. */
export function faultOfRoute({ rule }: HttpRoute): Any | undefined {
  const { delay, abort } = faultsOf(rule);
  const fixedDelay = durationOf(delay?.duration);
  const errorType = abort && abortType(abort);
  if (!fixedDelay && !errorType) return undefined;
  const fault = create(HTTPFaultSchema, {
    delay: fixedDelay && {
      faultDelaySecifier: { case: "fixedDelay", value: fixedDelay },
      percentage: fractionalPercent(delay?.percent ?? 0),
    },
    abort: errorType && { errorType, percentage: fractionalPercent(abort?.percent ?? 0) },
  });
  return packAny(HTTPFaultSchema, fault);
}

function abortType({ httpStatus, grpcStatus }: NonNullable<Faults["abort"]>) {
  if (httpStatus !== undefined) return { case: "httpStatus", value: httpStatus } as const;
  return grpcStatus === undefined ? undefined : ({ case: "grpcStatus", value: GRPC_STATUS.indexOf(grpcStatus) } as const);
}
