import { WeftError } from "../lib/errors.ts";

/** Far beyond any real resource, far below what would exhaust the stack. */
const MAX_DEPTH = 500;

/**
 * JSON with sorted keys and no white space, so that equal content has equal text (in the spirit of RFC 8785; keys are sorted by UTF-16
 * code unit, as there). A property whose value is undefined counts as absent.
 * @throws WeftError "invalid" for what JSON cannot hold (NaN, Infinity, bigint, functions, dates, cycles), naming its path
 */
export function canonicalJson(value: unknown): string {
  return write(value, []);
}

/** @param trail the path to `value`; one list for the whole document, because building a text for each node costs more than writing it */
function write(value: unknown, trail: (string | number)[]): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw notJson(trail, String(value));
    return JSON.stringify(value);
  }
  if (trail.length > MAX_DEPTH) throw notJson(trail.slice(0, 8), `nested deeper than ${MAX_DEPTH} levels, or a cycle`);
  const depth = trail.length;
  let text = "";
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      trail[depth] = index;
      text += `${index === 0 ? "" : ","}${write(value[index], trail)}`;
    }
    trail.length = depth;
    return `[${text}]`;
  }
  if (!isPlainObject(value)) throw notJson(trail, `a value of type ${typeName(value)}`);
  for (const key of Object.keys(value).sort()) {
    const item = value[key];
    if (item === undefined) continue;
    trail[depth] = key;
    text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${write(item, trail)}`;
  }
  trail.length = depth;
  return `{${text}}`;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function typeName(value: unknown): string {
  return typeof value === "object" ? (value?.constructor?.name ?? "object") : typeof value;
}

function notJson(trail: readonly (string | number)[], what: string): WeftError {
  const place = trail.length === 0 ? "the document" : `field ${trail.join(".")}`;
  return new WeftError("invalid", `${place} is not JSON: ${what}`, { help: "a store keeps JSON only" });
}
