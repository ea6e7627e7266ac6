/** Which other resources a resource names: what Envoy asks for next. */
import { fromBinary, isMessage, type Message, type Registry } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { allMessages } from "../../../src/envoy-api/index.ts";
import { Cluster_DiscoveryType, ClusterSchema } from "../../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ExtensionConfigSourceSchema } from "../../../src/gen/envoy/config/core/v3/config_source_pb.ts";
import { RouteConfigurationSchema } from "../../../src/gen/envoy/config/route/v3/route_pb.ts";
import { RdsSchema } from "../../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { SdsSecretConfigSchema } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { TYPE } from "../../../src/lib/encoded.ts";

export const WILDCARD = "*";

export interface Reference {
  readonly typeUrl: string;
  readonly name: string;
}

/** @param any an encoded google.protobuf.Any */
export function referencesOf(any: Uint8Array): readonly Reference[] {
  const found: Reference[] = [];
  walk(fromBinary(AnySchema, any), allMessages(), found);
  return found;
}

function walk(value: unknown, registry: Registry, found: Reference[]): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  if (isMessage(value, AnySchema)) {
    walk(anyUnpack(value, registry), registry, found);
    return;
  }
  if (isMessage(value)) note(value, found);
  // An extension that is discovered has its own name on the filter, not in its config source.
  if ("name" in value && "configType" in value) noteExtension(value.name, value.configType, found);
  for (const part of Object.values(value)) walk(part, registry, found);
}

function note(message: Message, found: Reference[]): void {
  if (isMessage(message, ClusterSchema)) {
    const type = message.clusterDiscoveryType;
    if (type.case === "type" && type.value === Cluster_DiscoveryType.EDS)
      found.push({ typeUrl: TYPE.endpoint, name: message.edsClusterConfig?.serviceName || message.name });
  } else if (isMessage(message, RdsSchema)) {
    found.push({ typeUrl: TYPE.route, name: message.routeConfigName });
  } else if (isMessage(message, SdsSecretConfigSchema)) {
    if (message.sdsConfig) found.push({ typeUrl: TYPE.secret, name: message.name });
  } else if (isMessage(message, RouteConfigurationSchema)) {
    // Asked for once for all route configurations (source/common/router/vhds.cc).
    if (message.vhds) found.push({ typeUrl: TYPE.virtualHost, name: WILDCARD });
  }
}

function noteExtension(name: unknown, config: unknown, found: Reference[]): void {
  if (typeof config !== "object" || config === null || !("value" in config) || typeof name !== "string") return;
  if (isMessage(config.value, ExtensionConfigSourceSchema)) found.push({ typeUrl: TYPE.extension, name });
}
