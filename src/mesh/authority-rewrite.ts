/** Which headers a VirtualService's header operations change, and how they and a rewrite change the host (Istio, route.go TranslateHeadersOperations). */
import type { HttpRoute, WeightedTarget } from "./http-routes.ts";

type Headers = NonNullable<WeightedTarget["headers"]>;

/** Envoy changes pseudo headers and the host by other means only (isInternalHeader). */
export function isPlainHeader(name: string): boolean {
  return !name.startsWith(":") && name.toLowerCase() !== "host";
}

/** The value to which the request's "host" or ":authority" is set; `set` wins over `add`. */
export function authorityOf(headers: Headers | undefined): string | undefined {
  const find = (map: Readonly<Record<string, string>> | undefined) =>
    Object.entries(map ?? {}).find(([name]) => [":authority", "host"].includes(name.toLowerCase()))?.[1] || undefined;
  return find(headers?.request?.set) ?? find(headers?.request?.add);
}

/** What the route itself makes of the host; Envoy takes a weighted destination's own only where that is nothing. */
export function routeAuthority(rule: HttpRoute["rule"]): string | undefined {
  return rule?.rewrite?.authority || authorityOf(rule?.headers);
}
