import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import type { EncodedResource, TypeUrl } from "../lib/encoded.ts";
import { contentVersion } from "../lib/hash.ts";
import type { Provenance } from "../lib/provenance.ts";

/** `message` inside a google.protobuf.Any, as Envoy's typed_config fields take it. */
export function packAny<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Any {
  return create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, message) });
}

/** Encodes once. Map entries are written in insertion order: build maps in sorted order, so that the same content has the same bytes. */
export function encodeResource<Desc extends DescMessage>(
  schema: Desc,
  name: string,
  message: MessageShape<Desc>,
  sources: readonly Provenance[],
): EncodedResource {
  const typeUrl = `type.googleapis.com/${schema.typeName}` as TypeUrl;
  const any = anyBytes(typeUrl, toBinary(schema, message));
  return { typeUrl, name, version: contentVersion(any), any, sources };
}

const prefixes = new Map<string, Uint8Array>();

/** An Any on the wire: field 1 is the type's URL, field 2 the message. By hand, without a copy and an object more for each resource. */
function anyBytes(typeUrl: string, value: Uint8Array): Uint8Array {
  const prefix = prefixes.get(typeUrl) ?? toBinary(AnySchema, create(AnySchema, { typeUrl }));
  prefixes.set(typeUrl, prefix);
  // proto3 leaves empty bytes out.
  if (value.length === 0) return prefix.slice();
  const head = [0x12];
  let length = value.length;
  for (; length > 0x7f; length >>>= 7) head.push((length & 0x7f) | 0x80);
  head.push(length);
  const bytes = new Uint8Array(prefix.length + head.length + value.length);
  bytes.set(prefix);
  bytes.set(head, prefix.length);
  bytes.set(value, prefix.length + head.length);
  return bytes;
}
