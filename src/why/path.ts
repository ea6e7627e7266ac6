/**
 * Paths as Envoy's HTTP connection manager reads and rewrites them. Normalization: envoy, source/common/http/path_utility.cc, by way of
 * Chromium's url::CanonicalizePath.
 */
import type { Settings } from "../mesh/types.ts";

/** "/a?x=1" -> "/a" */
export function withoutQuery(path: string): string {
  return path.split(/[?#]/, 1)[0] ?? "";
}

/** "?x=1", or "". */
export function queryOf(path: string): string {
  const at = path.indexOf("?");
  return at < 0 ? "" : path.slice(at);
}

/** What becomes of a path at a sidecar, its query untouched; undefined where Envoy answers 400. */
export function normalizePath(path: string, level: Settings["pathNormalization"]): string | undefined {
  // Whatever the level, Envoy's codec takes visible ASCII only, and a fragment is rejected (http_reject_path_with_fragment).
  if (!/^[!-~]+$/.test(path) || path.includes("#")) return undefined;
  const query = queryOf(path);
  let plain = withoutQuery(path);
  if (level === "NONE") return path;
  if (level === "DECODE_AND_MERGE_SLASHES") plain = plain.replace(/%2f/gi, "/").replace(/%5c/gi, "\\");
  const canonical = canonicalPath(plain);
  if (canonical === undefined) return undefined;
  return (level === "BASE" ? canonical : mergedSlashes(canonical)) + query;
}

/** Envoy keeps the first and the last slash, also where there is nothing between them: "///" becomes "//". */
function mergedSlashes(path: string): string {
  if (!path.includes("//")) return path;
  const inner = path.split("/").filter((segment) => segment !== "");
  return `/${inner.join("/")}${path.endsWith("/") ? "/" : ""}`;
}

/** What may stand escaped and is the same unescaped. */
const UNRESERVED = /^[A-Za-z0-9\-._~]$/;
/** What must not stand unescaped. */
const ESCAPED = /^["#<>?^`{|}\p{Cc} ]$/u;

/** Backslashes are slashes, escapes of unreserved characters are undone, and "." and ".." segments are resolved. */
function canonicalPath(path: string): string | undefined {
  if (!path.startsWith("/")) return undefined;
  let text = "";
  for (let at = 0; at < path.length; at++) {
    const character = path[at] ?? "";
    const hex = /^%([0-9a-fA-F]{2})/.exec(path.slice(at, at + 3))?.[1];
    if (hex !== undefined) {
      const byte = String.fromCharCode(Number.parseInt(hex, 16));
      if (byte === "\0") return undefined;
      text += UNRESERVED.test(byte) ? byte : `%${hex}`;
      at += 2;
    } else if (character === "\\") text += "/";
    else if (ESCAPED.test(character)) text += `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
    else text += character;
  }
  return withoutDots(text);
}

function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.slice(1).split("/");
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
    if (isLast && (segment === "." || segment === "..")) kept.push("");
  }
  return `/${kept.join("/")}`;
}

/** The first value of each parameter of the query, as it is written: Envoy decodes none when it matches. */
export function queryParameters(path: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of queryOf(path).slice(1).split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const [name, value] = equals < 0 ? [part, ""] : [part.slice(0, equals), part.slice(equals + 1)];
    if (!parameters.has(name)) parameters.set(name, value);
  }
  return parameters;
}

/** Without any parameter of the name; Envoy writes the others anew, which may escape them otherwise. */
export function withoutParameter(path: string, name: string): string {
  const kept = queryOf(path)
    .slice(1)
    .split("&")
    .filter((part) => part !== "" && part !== name && !part.startsWith(`${name}=`));
  return `${withoutQuery(path)}${kept.length > 0 ? `?${kept.join("&")}` : ""}`;
}
