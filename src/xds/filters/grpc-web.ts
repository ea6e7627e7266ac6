import { create } from "@bufbuild/protobuf";
import { GrpcWebSchema } from "../../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { packAny } from "../encode.ts";

/** Makes gRPC of a browser's gRPC-Web, before an application that knows gRPC alone; other requests pass unchanged. */
export function grpcWebFilter(): HttpFilter {
  return create(HttpFilterSchema, {
    name: "envoy.filters.http.grpc_web",
    configType: { case: "typedConfig", value: packAny(GrpcWebSchema, create(GrpcWebSchema)) },
  });
}
