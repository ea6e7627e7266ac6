/** The admin API as one hono app: guard, routes, errors. */
import { Hono } from "hono";
import type { GenericSchema } from "valibot";
import { WeftError } from "../lib/errors.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { accessRoutes } from "./access-routes.ts";
import { auditRoute } from "./audit-route.ts";
import { caRoutes } from "./ca-routes.ts";
import type { AdminEnv, RouteContext } from "./context.ts";
import { type GuardOptions, guard, OPEN, SECURITY_HEADERS } from "./guard.ts";
import { healthRoutes } from "./health.ts";
import { Concurrency, RateLimit, TOKEN_RATE, UNKNOWN_RATE } from "./limits.ts";
import { identityRoutes, meshRoutes } from "./mesh-routes.ts";
import { nodeRoutes } from "./node-routes.ts";
import { describe, openApiDocument } from "./openapi.ts";
import { details, problemDetails, problemResponse } from "./problem-details.ts";
import { refusalOf } from "./refusals.ts";
import { registrationRoutes } from "./registration-routes.ts";
import { resourceRoutes } from "./resources.ts";
import { watchRoute } from "./watch.ts";
import { whyRoute } from "./why-route.ts";

const log = logger("admin");

export interface AppOptions extends Omit<RouteContext, "concurrency">, Omit<GuardOptions, "authenticate" | "unknownRate" | "tokenRate"> {
  readonly metrics: Metrics;
  /** The schema of each kind's spec, for the OpenAPI document. */
  readonly kinds: Readonly<Record<string, GenericSchema>>;
}

export function createApp(given: AppOptions): Hono<AdminEnv> {
  const { metrics, clock, version, kinds } = given;
  const options = { ...given, concurrency: new Concurrency() };
  const app = new Hono<AdminEnv>();

  app.use(async (c, next) => {
    const start = clock.monotonic();
    await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.res.headers.set(name, value);
    // The route's pattern, never the path: paths are unbounded.
    const route = routeOf(app, c.req.method, c.req.path);
    metrics.httpRequests.inc({ method: METHODS.has(c.req.method) ? c.req.method : "other", route, code: String(c.res.status) });
    // A watch lasts as long as its caller likes: that says nothing about weft.
    if (route !== "/v1/watch") metrics.httpDuration.observe({ route }, (clock.monotonic() - start) / 1000);
  });
  app.use(
    guard({
      ...options,
      authenticate: (presented) => options.control.access.authenticate(presented),
      unknownRate: new RateLimit(UNKNOWN_RATE, clock),
      tokenRate: new RateLimit(TOKEN_RATE, clock),
    }),
  );
  app.use(async (c, next) => {
    // A watch counts itself: its answer begins at once and ends when its caller likes. A probe must be answered by a busy weft too.
    if (c.req.path === "/v1/watch" || OPEN.has(c.req.path)) return next();
    const done = options.concurrency.begin(false);
    try {
      await next();
    } finally {
      done();
    }
  });

  resourceRoutes(app, options);
  watchRoute(app, options);
  meshRoutes(app, options);
  identityRoutes(app, options);
  caRoutes(app, options);
  registrationRoutes(app, options);
  whyRoute(app, options);
  auditRoute(app, options);
  accessRoutes(app, options);
  nodeRoutes(app, options);
  healthRoutes(app, options, metrics);

  let document: Promise<Readonly<Record<string, unknown>>> | undefined;
  app.get(
    "/openapi.json",
    describe({ id: "openapi", summary: "This description", tag: "health", open: true, media: "application/json" }),
    async (c) => {
      document ??= openApiDocument(app, version, kinds);
      return c.json(await document);
    },
  );

  app.notFound((c) => {
    const allowed = [...new Set(routes(app).flatMap((one) => (one.pattern.test(c.req.path) ? [one.method] : [])))].sort();
    if (allowed.includes("GET")) allowed.push("HEAD");
    const shown = { instance: c.req.path, code: "not_found" };
    if (allowed.length > 0) {
      const detail = `${c.req.method} is not done here, only ${allowed.join(", ")}`;
      const wrong = details({ ...shown, status: 405, code: "method_not_allowed", title: "Wrong method", detail });
      return problemResponse(wrong, { allow: allowed.join(", ") });
    }
    const detail = `There is no ${c.req.path} in this API`;
    return problemResponse(
      details({ ...shown, status: 404, title: "There is no such thing", detail, help: "GET /openapi.json lists all calls" }),
    );
  });

  app.onError((reason, c) => {
    const error = WeftError.from(reason);
    const refusal = refusalOf(c, routeOf(app, c.req.method, c.req.path), error);
    if (refusal) options.control.refused(refusal);
    if (error.code === "internal") {
      log.error("{method} {path} failed; this is a defect of weft", {
        method: c.req.method,
        path: c.req.path,
        reason,
        stack: reason.stack,
      });
    }
    const preconditioned = c.req.header("if-match") !== undefined || c.req.header("if-none-match") !== undefined;
    return problemResponse(problemDetails(error, c.req.path, preconditioned), HEADERS[error.code]);
  });
  return app;
}

const HEADERS: Readonly<Partial<Record<WeftError["code"], Readonly<Record<string, string>>>>> = {
  unauthenticated: { "www-authenticate": 'Bearer realm="weft"' },
  unavailable: { "retry-after": "1" },
  rate_limited: { "retry-after": "1" },
};

const METHODS = new Set(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"]);

interface Route {
  readonly method: string;
  readonly path: string;
  readonly pattern: RegExp;
}

/** The pattern of the route that a request is for, "unknown" where there is none. */
function routeOf(app: Hono<AdminEnv>, method: string, path: string): string {
  return routes(app).find((one) => one.method === method && one.pattern.test(path))?.path ?? "unknown";
}

const ROUTES = new WeakMap<Hono<AdminEnv>, readonly Route[]>();

/** The app's routes, for 405 and for metrics; hono itself tells only whether method and path match together. */
function routes(app: Hono<AdminEnv>): readonly Route[] {
  let known = ROUTES.get(app);
  if (!known) {
    const own = app.routes.filter((route) => route.method !== "ALL");
    known = own.map(({ method, path }) => ({
      method,
      path,
      pattern: new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/:\w+/g, "[^/]+")}$`),
    }));
    ROUTES.set(app, known);
  }
  return known;
}
