/** The value of an EnvoyFilter's patch: protobuf's JSON of the message that `applyTo` names (Istio, pkg/config/xds/xds.go). */
import { type DescMessage, fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import { allMessages } from "./index.ts";
import { adapt, type Unread } from "./patch-json.ts";

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

export interface PatchValue {
  readonly message: Message;
  /** What of the JSON the message does not hold as written. */
  readonly unread: readonly Unread[];
}

/**
 * `merging`: whether the value is for MERGE or MERGE_AND_REPLACE_LIST, which needs every part of it read.
 *
 * @throws Error where `value` is no such message; the message names the field, or the type that nobody knows.
 */
export function readPatchValue(applyTo: ApplyTo, value: JsonValue, merging: boolean): PatchValue {
  const registry = allMessages();
  const schema = registry.getMessage(PATCHED[applyTo]) as DescMessage;
  const unread: Unread[] = [];
  return { message: fromJson(schema, adapt(schema, value, { registry, passOn: !merging, unread }), { registry }), unread };
}
