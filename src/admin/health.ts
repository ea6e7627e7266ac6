/** Probes, in the style of Kubernetes' components: "[+]store ok", "[-]ca failed: ...". Text, or JSON where the caller accepts it. */
import type { Hono } from "hono";
import type { Metrics } from "../telemetry/metrics.ts";
import { type AdminContext, type AdminEnv, queryOf, type RouteContext } from "./context.ts";
import { describe, query } from "./openapi.ts";
import { HealthSchema } from "./schemas.ts";

interface Part {
  readonly part: string;
  readonly ok: boolean;
  readonly message: string;
  readonly warnings?: readonly string[];
}

/** 200 or 503. The parts are shown where one failed, and with ?verbose. */
function answer(c: AdminContext, parts: readonly Part[]): Response {
  const probe = c.req.path.slice(1);
  const { verbose } = queryOf(c, ["verbose"]);
  const ok = parts.every((part) => part.ok);
  const status = ok ? 200 : 503;
  if (c.req.header("accept")?.includes("application/json")) {
    return new Response(`${JSON.stringify({ ok, parts })}\n`, { status, headers: { "content-type": "application/json" } });
  }
  const lines = parts.flatMap(({ part, ok, message, warnings = [] }) => [
    ok ? `[+]${part} ${message === "ok" ? "ok" : `ok, ${message}`}` : `[-]${part} failed: ${message}`,
    ...warnings.filter((warning) => warning !== message).map((warning) => `[!]${part} ${warning}`),
  ]);
  const text = ok && verbose === undefined ? "ok" : [...lines, `${probe} check ${ok ? "passed" : "failed"}`].join("\n");
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

export function healthRoutes(app: Hono<AdminEnv>, { control }: RouteContext, metrics: Metrics): void {
  const parts = async (): Promise<readonly Part[]> => {
    const health = await control.health();
    for (const part of health.parts) metrics.healthy.set({ part: part.part }, part.ok ? 1 : 0);
    return health.parts;
  };
  const loaded = (): Part => {
    const ok = control.ready();
    return { part: "load", ok, message: ok ? "ok" : "the first full load is not done: no proxy is served yet" };
  };
  const shared = {
    tag: "health",
    open: true,
    reply: HealthSchema,
    parameters: [query("verbose", "Name every part.", "boolean")],
    problems: [503],
  } as const;
  const described = (id: string, summary: string) => describe({ ...shared, parameters: [...shared.parameters], id, summary });

  app.get("/livez", described("livez", "Whether the process answers; restart it when it does not"), (c) =>
    answer(c, [{ part: "process", ok: true, message: "ok" }]),
  );
  app.get("/readyz", described("readyz", "Whether proxies are served: the first load is done, and every part works"), async (c) =>
    answer(c, [loaded(), ...(await parts())]),
  );
  app.get("/healthz", described("healthz", "Whether the store takes a write, ADS answers a stream, and the CA signs"), async (c) =>
    answer(
      c,
      // Whether it is served is decided at the start: nothing that could fail, and mend, while weft runs. Presence never fails.
      (await parts()).filter(({ part, warnings }) => part !== "workload-api" && part !== "in-mesh" && (part !== "presence" || warnings)),
    ),
  );
  app.get(
    "/metrics",
    describe({ id: "metrics", summary: "Prometheus metrics", tag: "health", open: true, media: metrics.registry.contentType }),
    async () => new Response(await metrics.registry.metrics(), { headers: { "content-type": metrics.registry.contentType } }),
  );
}
