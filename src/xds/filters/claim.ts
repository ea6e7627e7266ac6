/** A claim of the token that the JWT filter accepted, where it has put the payload (jwt.ts), for whoever asks about it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { MetadataMatcherSchema } from "../../gen/envoy/type/matcher/v3/metadata_pb.ts";
import type { ValueMatcherSchema } from "../../gen/envoy/type/matcher/v3/value_pb.ts";
import { JWT_FILTER, JWT_PAYLOAD } from "./jwt.ts";

export type Value = MessageInitShape<typeof ValueMatcherSchema>;

export function claimMatcher(path: readonly string[], value: Value): MessageInitShape<typeof MetadataMatcherSchema> {
  return metadataMatcher(JWT_FILTER, [JWT_PAYLOAD, ...path], value);
}

export function metadataMatcher(filter: string, keys: readonly string[], value: Value): MessageInitShape<typeof MetadataMatcherSchema> {
  return { filter, path: keys.map((key) => ({ segment: { case: "key", value: key } })), value };
}

/** The claim itself, or one of a list (Istio, pilot/pkg/security/authz/matcher/metadata.go MetadataListValueMatcher). */
export function anyOf(value: Value): Value {
  return { matchPattern: { case: "orMatch", value: { valueMatchers: [oneOf(value), value] } } };
}

export function oneOf(value: Value): Value {
  return { matchPattern: { case: "listMatch", value: { matchPattern: { case: "oneOf", value } } } };
}
