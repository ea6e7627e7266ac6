import { create } from "@bufbuild/protobuf";
import { FilterConfigSchema } from "../../gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { packAny } from "../encode.ts";

/** Counts a gRPC stream's messages, for metrics only. The first filter: what another one refuses is to be counted too. */
export function grpcStatsFilter(): HttpFilter {
  const config = create(FilterConfigSchema, {
    emitFilterState: true,
    perMethodStatSpecifier: { case: "statsForAllMethods", value: { value: false } },
  });
  return create(HttpFilterSchema, {
    name: "envoy.filters.http.grpc_stats",
    configType: { case: "typedConfig", value: packAny(FilterConfigSchema, config) },
  });
}
