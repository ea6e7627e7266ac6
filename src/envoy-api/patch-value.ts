/** The value of an EnvoyFilter's patch: protobuf's JSON of the message that `applyTo` names (Istio, pkg/config/xds/xds.go). */
import { type DescMessage, fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import { allMessages } from "./index.ts";

/** What can be patched, and the message that a patch's value is. */
export const PATCHED = {
  LISTENER: "envoy.config.listener.v3.Listener",
  FILTER_CHAIN: "envoy.config.listener.v3.FilterChain",
  NETWORK_FILTER: "envoy.config.listener.v3.Filter",
  HTTP_FILTER: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
  ROUTE_CONFIGURATION: "envoy.config.route.v3.RouteConfiguration",
  VIRTUAL_HOST: "envoy.config.route.v3.VirtualHost",
  HTTP_ROUTE: "envoy.config.route.v3.Route",
  CLUSTER: "envoy.config.cluster.v3.Cluster",
  EXTENSION_CONFIG: "envoy.config.core.v3.TypedExtensionConfig",
  LISTENER_FILTER: "envoy.config.listener.v3.ListenerFilter",
} as const;

export type ApplyTo = keyof typeof PATCHED;

/** @throws Error where `value` is no such message; the message names the field, or the type that nobody knows. */
export function decodePatchValue(applyTo: ApplyTo, value: JsonValue): Message {
  const registry = allMessages();
  const schema = registry.getMessage(PATCHED[applyTo]) as DescMessage;
  return fromJson(schema, value, { registry });
}

/** Why `value` is no patch for `applyTo`, in words; undefined where it is one. */
export function patchValueError(applyTo: ApplyTo, value: JsonValue): string | undefined {
  try {
    decodePatchValue(applyTo, value);
    return undefined;
  } catch (reason) {
    return reason instanceof Error ? reason.message : String(reason);
  }
}
