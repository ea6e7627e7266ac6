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
  const any = toBinary(AnySchema, packAny(schema, message));
  const typeUrl = `type.googleapis.com/${schema.typeName}` as TypeUrl;
  return { typeUrl, name, version: contentVersion(any), any, sources };
}
