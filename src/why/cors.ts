/** Preflight requests, which a route's corsPolicy answers at the caller's sidecar (envoy, source/extensions/filters/http/cors). */
import { allowedOrigins, type HttpRoute } from "../mesh/http-routes.ts";
import type { HttpRequest } from "./route-match.ts";
import { matchesString } from "./text-match.ts";

/** A browser's question whether it may send a request. */
export function isPreflight({ method, headers }: HttpRequest): boolean {
  return method === "OPTIONS" && Boolean(headers.get("origin")) && Boolean(headers.get("access-control-request-method"));
}

/** Why Envoy answers by itself, with 200; undefined where the request goes on. */
export function preflight({ rule }: HttpRoute, request: HttpRequest): string | undefined {
  const cors = rule?.corsPolicy;
  const origin = request.headers.get("origin");
  if (!cors || !origin || !isPreflight(request)) return undefined;
  if (allowedOrigins(cors).some((allowed) => matchesString(allowed, origin))) return `corsPolicy allows the origin ${origin}`;
  return cors.unmatchedPreflights === "IGNORE" ? `corsPolicy ignores preflights of the origin ${origin}` : undefined;
}
