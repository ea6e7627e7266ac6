/** CORS of a VirtualService's route (Istio, route.go TranslateCORSPolicy). The filter stands in every outbound chain; the route tells it what to do. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { CorsPolicySchema, CorsSchema } from "../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { StringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import { parseDuration } from "../../lib/duration.ts";
import { allowedOrigins, type HttpRoute } from "../../mesh/http-routes.ts";
import { packAny } from "../encode.ts";

export const CORS_FILTER = "envoy.filters.http.cors";

type Cors = NonNullable<NonNullable<HttpRoute["rule"]>["corsPolicy"]>;

export function corsFilter(): HttpFilter {
  return create(HttpFilterSchema, {
    name: CORS_FILTER,
    configType: { case: "typedConfig", value: packAny(CorsSchema, create(CorsSchema)) },
  });
}

/** For the route's typed_per_filter_config. Preflights of an origin that is not allowed go on to the application unless told otherwise. */
export function corsOfRoute(cors: Cors): Any {
  const policy = create(CorsPolicySchema, {
    allowOriginStringMatch: allowedOrigins(cors).map(origin),
    allowMethods: (cors.allowMethods ?? []).join(","),
    allowHeaders: (cors.allowHeaders ?? []).join(","),
    exposeHeaders: (cors.exposeHeaders ?? []).join(","),
    maxAge: cors.maxAge === undefined ? "" : String(Math.floor((parseDuration(cors.maxAge) ?? 0) / 1000)),
    allowCredentials: cors.allowCredentials,
    forwardNotMatchingPreflights: cors.unmatchedPreflights !== "IGNORE",
    filterEnabled: { defaultValue: { numerator: 100 } },
  });
  return packAny(CorsPolicySchema, policy);
}

function origin({ exact, prefix, regex }: NonNullable<Cors["allowOrigins"]>[number]): MessageInitShape<typeof StringMatcherSchema> {
  if (exact !== undefined) return { matchPattern: { case: "exact", value: exact } };
  if (prefix !== undefined) return { matchPattern: { case: "prefix", value: prefix } };
  return { matchPattern: { case: "safeRegex", value: { regex: regex ?? "" } } };
}
