/** How a route changes a request on its way, and where a redirect sends it (envoy, source/common/router/config_impl.cc). */
import { authorityOf, isPlainHeader, routeAuthority } from "../mesh/authority-rewrite.ts";
import type { HttpRoute, WeightedTarget } from "../mesh/http-routes.ts";
import { redirectPort } from "../mesh/redirect-port.ts";
import { queryOf, withoutQuery } from "./path.ts";
import type { HttpRequest } from "./route-match.ts";
import { replaceRegex } from "./text-match.ts";

type Rule = NonNullable<HttpRoute["rule"]>;
type Headers = NonNullable<WeightedTarget["headers"]>;

/** The path with what the route matched replaced: a prefix's length, or, with exact and regex, all of it. The query stays. */
export function replaceMatched(path: string, match: HttpRoute["match"], replacement: string): string {
  const plain = withoutQuery(path);
  const isWhole = match?.uri?.exact !== undefined || match?.uri?.regex !== undefined;
  const matched = isWhole ? plain.length : (match?.uri?.prefix ?? "/").length;
  return replacement + plain.slice(matched) + queryOf(path);
}

/** The path as `rewrite` changes it; undefined where it changes none. */
export function rewrittenPath(path: string, { rule, match }: HttpRoute): string | undefined {
  const { uri, uriRegexRewrite: regex } = rule?.rewrite ?? {};
  // The expression goes before the prefix, as in xds/route-action.ts: a delegate may inherit one beside its own other.
  if (regex?.match) return replaceRegex(regex.match, withoutQuery(path), regex.rewrite ?? "") + queryOf(path);
  return uri ? replaceMatched(path, match, uri) : undefined;
}

/** The request as it leaves for one of the route's destinations. */
export function outgoing(request: HttpRequest, route: HttpRoute, target: WeightedTarget): HttpRequest {
  const { rule } = route;
  const layers = [target.headers, rule?.headers].flatMap((headers) => headers ?? []);
  const authority = routeAuthority(rule) || authorityOf(target.headers);
  const path = rewrittenPath(request.path, route) ?? request.path;
  return { ...request, path, authority: authority || request.authority, headers: operate(request.headers, layers) };
}

/** In each layer removals go first. */
function operate(headers: ReadonlyMap<string, string>, layers: readonly Headers[]): ReadonlyMap<string, string> {
  const changed = new Map(headers);
  for (const { request } of layers) {
    for (const name of request?.remove ?? []) changed.delete(name.toLowerCase());
    for (const [name, value] of Object.entries(request?.set ?? {})) if (isPlainHeader(name)) changed.set(name.toLowerCase(), value);
    for (const [name, value] of Object.entries(request?.add ?? {})) {
      if (!isPlainHeader(name)) continue;
      const before = changed.get(name.toLowerCase());
      changed.set(name.toLowerCase(), before === undefined ? value : `${before},${value}`);
    }
  }
  return changed;
}

/** The Location of a redirect. `port`: the one that the caller called. */
export function locationOf(redirect: NonNullable<Rule["redirect"]>, request: HttpRequest, route: HttpRoute): string {
  const scheme = redirect.scheme || request.scheme;
  const named = redirectPort(redirect, route);
  const port = named ? `:${named}` : "";
  const host = redirect.authority || requestHost(request, scheme, port);
  return `${scheme}://${host}${port}${redirectPath(redirect, request, route)}`;
}

/** A port of the request's own goes where the redirect names one, or where it was the old scheme's default. */
function requestHost({ authority, scheme: before }: HttpRequest, scheme: string, port: string): string {
  const own = /:\d+$/.exec(authority)?.[0] ?? "";
  const wasDefault = (before === "http" && own === ":80") || (before === "https" && own === ":443");
  return port !== "" || (wasDefault && scheme !== before) ? authority.slice(0, authority.length - own.length) : authority;
}

function redirectPath({ uri, prefixRewrite }: NonNullable<Rule["redirect"]>, request: HttpRequest, { match }: HttpRoute): string {
  if (prefixRewrite) return replaceMatched(request.path, match, prefixRewrite);
  if (!uri) return request.path;
  return uri.includes("?") ? uri : uri + queryOf(request.path);
}
