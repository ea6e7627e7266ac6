/** Whether a route's match takes a request, and if not, the first of its conditions that failed, in Envoy's order (config_impl.cc matchRoute). */
import { routingClaim } from "../lib/routing-claim.ts";
import type { HttpRoute } from "../mesh/http-routes.ts";
import { claimAt, type VerifiedClaims } from "./condition.ts";
import { queryParameters, withoutQuery } from "./path.ts";
import { describeString, isPresence, matchesRegex, matchesString, type StringMatch } from "./text-match.ts";

/** A request as an Envoy sees it. */
export interface HttpRequest {
  readonly method: string;
  readonly authority: string;
  /** Normalized, with the query. */
  readonly path: string;
  readonly scheme: string;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
}

type HttpMatch = NonNullable<HttpRoute["match"]>;

/** undefined where it matches; else "uri is /a, not prefix "/b"". */
export function firstMismatch(match: HttpMatch | undefined, request: HttpRequest, verified: VerifiedClaims = {}): string | undefined {
  if (!match) return undefined;
  return (
    uriMismatch(match, request.path) ??
    headersMismatch(match, request) ??
    pseudoMismatch(match, request) ??
    queryMismatch(match, request) ??
    claimsMismatch(match, verified)
  );
}

function uriMismatch({ uri, ignoreUriCase }: HttpMatch, full: string): string | undefined {
  if (!uri) return undefined;
  const path = withoutQuery(full);
  const fold = (text: string) => (ignoreUriCase ? text.toLowerCase() : text);
  const holds =
    uri.exact !== undefined
      ? fold(path) === fold(uri.exact)
      : uri.regex !== undefined
        ? matchesRegex(uri.regex, path)
        : fold(path).startsWith(fold(uri.prefix ?? "/"));
  if (holds) return undefined;
  const wanted = uri.exact === undefined && uri.regex === undefined ? `prefix ${JSON.stringify(uri.prefix ?? "/")}` : describeString(uri);
  return `uri is ${path}, not ${wanted}${ignoreUriCase ? " (in any case)" : ""}`;
}

function headersMismatch({ headers = {}, withoutHeaders = {} }: HttpMatch, request: HttpRequest): string | undefined {
  for (const [name, match] of Object.entries(headers)) {
    if (routingClaim(name)) continue;
    const value = headerOf(request, name);
    if (value === undefined) return `header ${name} is absent, not ${describeString(match)}`;
    if (!matchesString(match, value)) return `header ${name} is ${JSON.stringify(value)}, not ${describeString(match)}`;
  }
  for (const [name, match] of Object.entries(withoutHeaders)) {
    if (routingClaim(name)) continue;
    const value = headerOf(request, name);
    const holds = isPresence(match) ? value !== undefined : matchesString(match, value ?? "");
    if (holds) return `header ${name} is ${JSON.stringify(value ?? "")}, which withoutHeaders excludes (${describeString(match)})`;
  }
  return undefined;
}

function pseudoMismatch({ method, authority, scheme }: HttpMatch, request: HttpRequest): string | undefined {
  const parts: readonly [string, StringMatch | undefined, string][] = [
    ["method", method, request.method],
    ["authority", authority, request.authority],
    ["scheme", scheme, request.scheme],
  ];
  for (const [name, match, value] of parts) {
    if (match && !matchesString(match, value)) return `${name} is ${value}, not ${describeString(match)}`;
  }
  return undefined;
}

function queryMismatch({ queryParams = {} }: HttpMatch, request: HttpRequest): string | undefined {
  const parameters = queryParameters(request.path);
  for (const [name, match] of Object.entries(queryParams)) {
    const value = parameters.get(name);
    if (value === undefined) return `query parameter ${name} is absent, not ${describeString(match)}`;
    if (!matchesString(match, value)) return `query parameter ${name} is ${JSON.stringify(value)}, not ${describeString(match)}`;
  }
  return undefined;
}

/** A claim that is no text, nor a list with texts, matches no text (Envoy's metadata matchers). */
function claimsMismatch({ headers = {}, withoutHeaders = {} }: HttpMatch, verified: VerifiedClaims): string | undefined {
  const look = (name: string, match: StringMatch) => {
    const path = routingClaim(name);
    const value = path && claimAt(verified, path);
    const texts = (Array.isArray(value) ? value : [value]).filter((one) => typeof one === "string");
    const holds = isPresence(match) ? value !== undefined : texts.some((text) => matchesString(match, text));
    return { path, holds, shown: value === undefined ? "absent" : JSON.stringify(value) };
  };
  for (const [name, match] of Object.entries(headers)) {
    const { path, holds, shown } = look(name, match);
    if (path && !holds) return `claim ${path.join(".")} is ${shown}, not ${describeString(match)}`;
  }
  for (const [name, match] of Object.entries(withoutHeaders)) {
    const { path, holds, shown } = look(name, match);
    if (path && holds) return `claim ${path.join(".")} is ${shown}, which withoutHeaders excludes (${describeString(match)})`;
  }
  return undefined;
}

/** Pseudo headers too. */
export function headerOf(request: HttpRequest, name: string): string | undefined {
  switch (name.toLowerCase()) {
    case ":method":
      return request.method;
    case ":authority":
    case "host":
      return request.authority;
    case ":path":
      return request.path;
    case ":scheme":
      return request.scheme;
    default:
      return request.headers.get(name.toLowerCase());
  }
}
