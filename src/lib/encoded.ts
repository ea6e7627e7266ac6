import type { Provenance } from "./provenance.ts";

/** The resource types that weft serves, by their xDS type URL. */
export const TYPE = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  virtualHost: "type.googleapis.com/envoy.config.route.v3.VirtualHost",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  extension: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
} as const;

export type TypeUrl = (typeof TYPE)[keyof typeof TYPE];

/**
 * One xDS resource, encoded once and shared by every proxy that gets it. Two resources with the same name and version have the same
 * bytes; identity (===) implies equality, and the pipeline keeps identity where nothing changed.
 */
export interface EncodedResource {
  readonly typeUrl: TypeUrl;
  readonly name: string;
  /** Hash of the bytes, 16 hex digits (lib/hash.ts). */
  readonly version: string;
  /** An encoded google.protobuf.Any that holds the resource. */
  readonly any: Uint8Array;
  /** The user's resources that it was made from, most specific first; empty for what weft makes by itself. */
  readonly sources: readonly Provenance[];
}

/** Everything that one proxy may have, at one revision of the store. Immutable. */
export interface ProxySnapshot {
  readonly revision: number;
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, EncodedResource>>;
}
