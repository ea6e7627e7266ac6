/** Merging messages as Istio does (pkg/proto/merge/merge.go): protobuf's merge, but a Duration replaces. */
import { clone, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import { allMessages } from "../../envoy-api/index.ts";

/** Lists of `source` are appended to those of `target`, or replace them. `source` must not be used any more. */
export function mergeMessage(schema: DescMessage, target: Message, source: Message, lists: "append" | "replace" = "append"): void {
  mergeReflected(reflect(schema, target), reflect(schema, source), lists);
}

function mergeReflected(target: ReflectMessage, source: ReflectMessage, lists: "append" | "replace"): void {
  for (const field of source.fields) {
    if (!source.isSet(field)) continue;
    if (field.fieldKind === "list") {
      const into = target.get(field);
      if (lists === "replace") into.clear();
      for (const item of source.get(field)) into.add(item);
    } else if (field.fieldKind === "map") {
      const into = target.get(field);
      for (const [key, value] of source.get(field)) into.set(key, value);
    } else if (field.fieldKind === "message" && target.isSet(field) && field.message.typeName !== "google.protobuf.Duration") {
      // What weft's types unwrap (UInt32Value, Struct) is a copy, so it is set again.
      const inner = target.get(field);
      mergeReflected(inner, source.get(field), lists);
      target.set(field, inner);
    } else {
      target.set(field, source.get(field));
    }
  }
}

/** `patch` merged into `target`; undefined where they are not of one type, or of one that weft does not know. */
export function mergeAny(target: Any, patch: Any): Any | undefined {
  if (target.typeUrl !== patch.typeUrl) return undefined;
  const schema = allMessages().getMessage(target.typeUrl.slice(target.typeUrl.lastIndexOf("/") + 1));
  if (!schema) return undefined;
  const merged = fromBinary(schema, target.value);
  mergeMessage(schema, merged, fromBinary(schema, patch.value));
  return { ...clone(AnySchema, target), value: toBinary(schema, merged) };
}
