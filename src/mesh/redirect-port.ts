/** The port to which a redirect leads (Istio, pilot/pkg/networking/core/route/route.go ApplyRedirect). */
import type { HttpRoute } from "./http-routes.ts";

type Redirect = NonNullable<NonNullable<HttpRoute["rule"]>["redirect"]>;

/** 0 where the URL names none: none is asked for, or the one that its scheme implies. */
export function redirectPort({ scheme, port, derivePort }: Redirect, called: Pick<HttpRoute, "port" | "tls">): number {
  const asked = port ?? (derivePort === "FROM_REQUEST_PORT" ? called.port : 0);
  const goesBy = scheme || (called.tls ? "https" : "http");
  const isImplied = (asked === 80 && goesBy === "http") || (asked === 443 && goesBy === "https");
  return isImplied ? 0 : asked;
}
