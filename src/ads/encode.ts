/** Responses from bytes that are already there: a resource is encoded once, and once more with its name and version for delta. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
  ResourceSchema,
} from "../gen/weft/ads/v1/discovery_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Push } from "./push.ts";

const wrapped = new WeakMap<EncodedResource, Uint8Array>();

/** The encoded envoy.service.discovery.v3.Resource around `resource`; the same array at every call. */
export function deltaBytes(resource: EncodedResource): Uint8Array {
  let bytes = wrapped.get(resource);
  if (!bytes) {
    const { name, version, any } = resource;
    bytes = toBinary(ResourceSchema, create(ResourceSchema, { name, version, resource: any }));
    wrapped.set(resource, bytes);
  }
  return bytes;
}

export function deltaResponse(push: Push): DeltaDiscoveryResponse {
  return create(DeltaDiscoveryResponseSchema, {
    systemVersionInfo: push.version,
    typeUrl: push.typeUrl,
    nonce: push.nonce,
    resources: push.resources.map(deltaBytes),
    removedResources: [...push.removed],
  });
}

export function sotwResponse(push: Push): DiscoveryResponse {
  return create(DiscoveryResponseSchema, {
    versionInfo: push.version,
    typeUrl: push.typeUrl,
    nonce: push.nonce,
    resources: push.resources.map((resource) => resource.any),
  });
}

/** Bytes of the resources in a response, without its frame. */
export function sizeOf(push: Push): number {
  return push.resources.reduce((sum, resource) => sum + resource.any.length, 0);
}
