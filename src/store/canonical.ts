import { WeftError } from "../lib/errors.ts";

/** Far beyond any real resource, far below what would exhaust the stack. */
const MAX_DEPTH = 500;

/**
 * JSON with sorted keys and no white space, so that equal content has equal text (in the spirit of RFC 8785; keys are sorted by UTF-16
 * code unit, as there). A property whose value is undefined counts as absent.
 * @throws WeftError "invalid" for what JSON cannot hold (NaN, Infinity, bigint, functions, dates, cycles), naming its path
 */
export function canonicalJson(value: unknown): string {
  return write(value, "", 0);
}

function write(value: unknown, path: string, depth: number): string {
  if (depth > MAX_DEPTH) throw notJson(path.slice(0, 80), `nested deeper than ${MAX_DEPTH} levels, or a cycle`);
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw notJson(path, String(value));
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item, index) => write(item, `${path}.${index}`, depth + 1)).join(",")}]`;
  if (isPlainObject(value)) {
    const parts: string[] = [];
    for (const key of Object.keys(value).sort()) {
      if (value[key] !== undefined) parts.push(`${JSON.stringify(key)}:${write(value[key], `${path}.${key}`, depth + 1)}`);
    }
    return `{${parts.join(",")}}`;
  }
  throw notJson(path, `a value of type ${typeof value === "object" ? (value?.constructor?.name ?? "object") : typeof value}`);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function notJson(path: string, what: string): WeftError {
  const place = path === "" ? "the document" : `field ${path.slice(1)}`;
  return new WeftError("invalid", `${place} is not JSON: ${what}`, { help: "a store keeps JSON only" });
}
