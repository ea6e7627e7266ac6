/**
 * JSON that users write for Envoy's messages, made into what protobuf's strict reader takes, as Istio's reader does: a Duration may be
 * "500ms", and a field that is none is left out, and told of (Istio, pkg/config/xds/xds.go, with jsonpb's durations).
 */
import { type DescField, type DescMessage, fromJson, type JsonObject, type JsonValue, type Registry } from "@bufbuild/protobuf";
import { parseDuration } from "../lib/duration.ts";

/** A part of the JSON that did not come through as written. */
export interface Unread {
  readonly path: readonly (string | number)[];
  /** Left out, or handed to Envoy to read. */
  readonly as: "left out" | "passed on";
  /** The message that has no such field, or why weft cannot read the part. */
  readonly why: string;
}

export interface Adapting {
  readonly registry: Registry;
  /** A configuration of a type that weft knows, with parts that it does not, goes to Envoy as JSON in a TypedStruct; for merging it must be read. */
  readonly passOn: boolean;
  readonly unread: Unread[];
}

type Path = readonly (string | number)[];

const TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct";

const isObject = (value: JsonValue): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

export function adapt(schema: DescMessage, value: JsonValue, to: Adapting, path: Path = []): JsonValue {
  if (schema.typeName === "google.protobuf.Duration") return typeof value === "string" ? durationOf(value) : value;
  if (schema.typeName === "google.protobuf.Any") return isObject(value) ? adaptAny(value, to, path) : value;
  if (schema.typeName.startsWith("google.protobuf.") || !isObject(value)) return value;
  const adapted: JsonObject = {};
  for (const [key, part] of Object.entries(value)) {
    const field = schema.fields.find(({ jsonName, name }) => jsonName === key || name === key);
    if (field) {
      const read = adaptField(field, part, to, [...path, key]);
      if (read !== undefined) adapted[key] = read;
    } else to.unread.push({ path: [...path, key], as: "left out", why: `${schema.typeName} has no such field` });
  }
  return adapted;
}

function adaptField(field: DescField, value: JsonValue, to: Adapting, path: Path): JsonValue | undefined {
  if (field.fieldKind === "enum") {
    if (typeof value !== "string" || field.enum.values.some(({ name }) => name === value)) return value;
    to.unread.push({ path, as: "left out", why: `${field.enum.typeName} has no such value` });
    return undefined;
  }
  const { message } = field;
  if (!message || value === null) return value;
  if (field.fieldKind === "list") {
    return Array.isArray(value) ? value.map((item, index) => adapt(message, item, to, [...path, index])) : value;
  }
  if (field.fieldKind !== "map") return adapt(message, value, to, path);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, adapt(message, part, to, [...path, key])]));
}

function adaptAny(value: JsonObject, to: Adapting, path: Path): JsonObject {
  const { "@type": type, ...rest } = value;
  const inner = typeof type === "string" ? to.registry.getMessage(type.slice(type.lastIndexOf("/") + 1)) : undefined;
  if (!inner || inner.typeName.startsWith("google.protobuf.")) return value;
  const unread: Unread[] = [];
  const adapted = adapt(inner, rest, { ...to, unread }, path);
  if (unread.every(({ as }) => as === "passed on") || !to.passOn) {
    to.unread.push(...unread);
    return { "@type": type, ...(adapted as JsonObject) } as JsonObject;
  }
  // What is wrong with the rest is told rather than passed on.
  fromJson(inner, adapted, { registry: to.registry });
  for (const { path: at, why } of unread) to.unread.push({ path: at, as: "passed on", why });
  return { "@type": TYPED_STRUCT, typeUrl: type, value: rest } as JsonObject;
}

/** Go's durations ("500ms", "1h30m") as protobuf's ("0.5s"). */
function durationOf(text: string): string {
  const ms = parseDuration(text);
  if (ms === undefined || /^-?\d+(?:\.\d{1,9})?s$/.test(text)) return text;
  const nanos = Math.round(Math.abs(ms) * 1e6);
  return `${ms < 0 ? "-" : ""}${Math.floor(nanos / 1e9)}.${String(nanos % 1e9).padStart(9, "0")}s`;
}
