/**
 * The HTTP connection manager of inbound and outbound listeners alike, so that path normalization and header hygiene cannot differ
 * between them. Values follow Istio's (pilot/pkg/networking/core/listener_builder.go, buildHTTPConnectionManager).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { RouteConfiguration } from "../../gen/envoy/config/route/v3/route_pb.ts";
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  type HttpConnectionManager_ForwardClientCertDetails as ForwardClientCertDetails,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  HttpConnectionManagerSchema,
  type HttpFilter,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { Settings } from "../../mesh/types.ts";
import { adsSource } from "../config-source.ts";
import { packAny } from "../encode.ts";
import { accessLogs } from "./access-log.ts";
import { httpMetrics, type Server } from "./metrics.ts";
import { tracing } from "./tracing.ts";

export interface HttpConnectionManagerOptions {
  readonly statPrefix: string;
  readonly direction: "inbound" | "outbound" | "gateway";
  readonly routes: { readonly rds: string } | { readonly inline: RouteConfiguration };
  /** What metrics tell of an inbound chain. */
  readonly server?: Server;
  /** No WebSockets: after an upgrade the application would get bytes as they are, in which a request of its caller's making could stand. */
  readonly noUpgrades?: boolean;
  /** Whether a route may take CONNECT. */
  readonly connect?: boolean;
  /** In order; the router last. */
  readonly filters: readonly HttpFilter[];
  /** What becomes of x-forwarded-client-cert; where absent Envoy's default, SANITIZE. */
  readonly forwardClientCert?: {
    readonly details: ForwardClientCertDetails;
    readonly set?: MessageInitShape<typeof HttpConnectionManager_SetCurrentClientCertDetailsSchema>;
  };
}

const PATH_NORMALIZATION: Readonly<
  Record<Settings["pathNormalization"], { normalizePath: boolean; mergeSlashes: boolean; pathWithEscapedSlashesAction: EscapedSlashes }>
> = {
  NONE: { normalizePath: false, mergeSlashes: false, pathWithEscapedSlashesAction: EscapedSlashes.KEEP_UNCHANGED },
  BASE: { normalizePath: true, mergeSlashes: false, pathWithEscapedSlashesAction: EscapedSlashes.KEEP_UNCHANGED },
  MERGE_SLASHES: { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: EscapedSlashes.KEEP_UNCHANGED },
  DECODE_AND_MERGE_SLASHES: { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: EscapedSlashes.UNESCAPE_AND_FORWARD },
};

export function httpConnectionManager(settings: Settings, options: HttpConnectionManagerOptions): Filter {
  const inbound = options.direction === "inbound";
  const side = inbound ? "server" : "client";
  const manager = create(HttpConnectionManagerSchema, {
    codecType: HttpConnectionManager_CodecType.AUTO,
    statPrefix: options.statPrefix,
    routeSpecifier:
      "rds" in options.routes
        ? { case: "rds", value: { configSource: adsSource(), routeConfigName: options.routes.rds } }
        : { case: "routeConfig", value: options.routes.inline },
    httpFilters: [...options.filters],
    serverName: "weft-envoy",
    // The application's own Server header is its business; only an answer that Envoy gives by itself is named.
    serverHeaderTransformation: inbound
      ? HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH
      : HttpConnectionManager_ServerHeaderTransformation.OVERWRITE,
    // A gateway stands at the edge: what its callers say about where they call from is not believed.
    useRemoteAddress: options.direction === "gateway",
    generateRequestId: true,
    upgradeConfigs: options.noUpgrades ? [] : [{ upgradeType: "websocket" }, ...(options.connect ? [{ upgradeType: "CONNECT" }] : [])],
    // Envoy's default of 5 minutes would cut long polls and streams; timeouts are the VirtualService's.
    streamIdleTimeout: { seconds: 0n },
    ...tracing(settings, options.direction),
    accessLog: [...accessLogs(settings, side), ...httpMetrics(settings, options.server)],
    // An application that uses the sidecar as its http_proxy sends absolute URIs.
    httpProtocolOptions: options.direction !== "outbound" ? undefined : { allowAbsoluteUrl: true },
    forwardClientCertDetails: options.forwardClientCert?.details,
    setCurrentClientCertDetails: options.forwardClientCert?.set,
    ...PATH_NORMALIZATION[settings.pathNormalization],
  });
  return create(FilterSchema, {
    name: "envoy.filters.network.http_connection_manager",
    configType: { case: "typedConfig", value: packAny(HttpConnectionManagerSchema, manager) },
  });
}
