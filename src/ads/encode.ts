/** Responses from bytes that are already there: a resource is encoded once, and once more with its name and version for delta. */
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema, ResourceSchema } from "../gen/weft/ads/v1/discovery_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Parcel, Push } from "./push.ts";

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

const bodies = new WeakMap<Parcel, Uint8Array>();

/** What `encode` makes of `parcel`, once for all streams that are sent it. */
function once(parcel: Parcel, encode: (parcel: Parcel) => Uint8Array): Uint8Array {
  const known = bodies.get(parcel);
  if (known) return known;
  const body = encode(parcel);
  bodies.set(parcel, body);
  return body;
}

/** A DeltaDiscoveryResponse without its nonce, which nonceField() gives: the fields of a message may come in any order. The same array at every call. */
export function deltaBody(parcel: Parcel): Uint8Array {
  return once(parcel, ({ version, typeUrl, resources, removed }) => {
    const fields = { systemVersionInfo: version, typeUrl, resources: resources.map(deltaBytes), removedResources: [...removed] };
    return toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, fields));
  });
}

/** The same of a DiscoveryResponse. */
export function sotwBody(parcel: Parcel): Uint8Array {
  return once(parcel, ({ version, typeUrl, resources }) => {
    const fields = { versionInfo: version, typeUrl, resources: resources.map(({ any }) => any) };
    return toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, fields));
  });
}

/** Field 5 of both, length-delimited. */
const NONCE_TAG = (5 << 3) | 2;

/** The nonce as a field of either response. It is short and ASCII. */
export function nonceField(nonce: string): Uint8Array {
  const field = Buffer.allocUnsafe(2 + nonce.length);
  field.writeUInt8(NONCE_TAG, 0);
  field.writeUInt8(nonce.length, 1);
  field.write(nonce, 2, "latin1");
  return field;
}

const sizes = new WeakMap<Parcel, number>();

/** Bytes of the resources in a response, without its frame. */
export function sizeOf({ parcel }: Push): number {
  const known = sizes.get(parcel);
  if (known !== undefined) return known;
  const size = parcel.resources.reduce((sum, resource) => sum + resource.any.length, 0);
  sizes.set(parcel, size);
  return size;
}
