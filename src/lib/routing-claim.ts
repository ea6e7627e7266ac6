const CLAIMS = "@request.auth.claims";

/**
 * The claim that stands in a header's place, at gateways only: ["group", "id"] of "@request.auth.claims[group][id]" and of
 * "@request.auth.claims.group.id"; undefined for a header (Istio, pkg/jwt/routing.go ToRoutingClaim).
 */
export function routingClaim(name: string): readonly string[] | undefined {
  if (!name.toLowerCase().startsWith(CLAIMS)) return undefined;
  const path = name.slice(CLAIMS.length);
  if (path.startsWith(".") && path.length > 1) return path.slice(1).split(".");
  return path.startsWith("[") && path.endsWith("]") && path.length > 2 ? path.slice(1, -1).split("][") : undefined;
}
