/** Responses from bytes that are already there: a resource is encoded once, and once more with its name and version for delta. */
import { create, toBinary } from "@bufbuild/protobuf";
import { ResourceSchema } from "../gen/weft/ads/v1/discovery_pb.ts";
import { attachment } from "../lib/attachment.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Parcel, Push } from "./push.ts";
import { type Field, fieldsToBinary, text } from "./wire-fields.ts";

const wrapped = attachment<Uint8Array>();

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

/** Of so many resources that it pays to look for an equal response, and how many are looked at. */
const MANY = 16;
const REMEMBERED = 16;

/** What was encoded in one variant. */
class Bodies {
  /** While they are sent, and no longer: a state remembers its parcels for as long as its map lives, and making a body again is a copy. */
  private readonly byParcel = new WeakMap<Parcel, WeakRef<Uint8Array>>();
  /** The last long ones: streams that do not share a state may all the same be sent the same at the same time. */
  private recent: readonly WeakRef<Parcel>[] = [];

  /** What `encode` makes of `parcel`, once for all streams that are sent it. */
  of(parcel: Parcel, encode: (parcel: Parcel) => Uint8Array): Uint8Array {
    const known = this.byParcel.get(parcel)?.deref();
    if (known) return known;
    const body = this.ofEqual(parcel) ?? encode(parcel);
    this.byParcel.set(parcel, new WeakRef(body));
    return body;
  }

  private ofEqual(parcel: Parcel): Uint8Array | undefined {
    if (parcel.resources.length < MANY) return undefined;
    for (const reference of this.recent) {
      const before = reference.deref();
      const body = before && this.byParcel.get(before)?.deref();
      if (before && body && sameParcel(before, parcel)) return body;
    }
    this.recent = [new WeakRef(parcel), ...this.recent].slice(0, REMEMBERED);
    return undefined;
  }
}

const deltaBodies = new Bodies();
const sotwBodies = new Bodies();

function sameParcel(one: Parcel, other: Parcel): boolean {
  return (
    one.version === other.version &&
    one.typeUrl === other.typeUrl &&
    sameItems(one.resources, other.resources) &&
    sameItems(one.removed, other.removed)
  );
}

function sameItems<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((item, at) => item === other[at]);
}

/** A DeltaDiscoveryResponse without its nonce, which nonceField() gives: the fields of a message may come in any order. The same array at every call. */
export function deltaBody(parcel: Parcel): Uint8Array {
  return deltaBodies.of(parcel, ({ version, typeUrl, resources, removed }) =>
    fieldsToBinary([
      ...text(1, version),
      ...resources.map((resource): Field => [2, deltaBytes(resource)]),
      ...text(4, typeUrl),
      ...removed.flatMap((name) => text(6, name, true)),
    ]),
  );
}

/** The same of a DiscoveryResponse. */
export function sotwBody(parcel: Parcel): Uint8Array {
  return sotwBodies.of(parcel, ({ version, typeUrl, resources }) =>
    fieldsToBinary([...text(1, version), ...resources.map(({ any }): Field => [2, any]), ...text(4, typeUrl)]),
  );
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
