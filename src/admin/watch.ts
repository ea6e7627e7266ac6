/** GET /v1/watch: every revision as a server-sent event. https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { type AdminEnv, queryOf, type RouteContext, revisionOf } from "./context.ts";
import { describe, header, query } from "./openapi.ts";

/** Also how long a watch whose caller lost its right stays open where nothing happens. Shorter than the usual idle time-outs of proxies, and than the server's own. */
const HEARTBEAT_MS = 15_000;

export function watchRoute(app: Hono<AdminEnv>, { control, clock, concurrency, stopping }: RouteContext): void {
  app.get(
    "/v1/watch",
    describe({
      id: "watch",
      summary: "Revisions as they come: events `revision` (its id is the revision), and `lost` where the watch must start anew from a list",
      tag: "resources",
      parameters: [
        query("since", "The revision after which to start; without it, what comes from now on.", "integer"),
        header("Last-Event-ID", "What a reconnecting EventSource sends; wins over since."),
      ],
      media: "text/event-stream",
      problems: [400],
    }),
    async (c) => {
      const { since } = queryOf(c, ["since"]);
      const last = c.req.header("last-event-id");
      const from = last
        ? revisionOf(last, "Last-Event-ID")
        : since
          ? revisionOf(since, "since")
          : (await control.list({}, { limit: 1 })).revision;
      const stands = c.get("stands") ?? (() => true);
      const done = concurrency.begin(true);
      return streamSSE(c, async (stream) => {
        const abort = new AbortController();
        const end = () => abort.abort();
        stream.onAbort(end);
        c.req.raw.signal.addEventListener("abort", end);
        stopping.addEventListener("abort", end);
        let cancelBeat = () => {};
        const beat = () => {
          // A heartbeat may have been on its way when the watch ended: who does not read holds it up, and its end tells nothing of why.
          if (abort.signal.aborted) return;
          cancelBeat = clock.after(HEARTBEAT_MS, () => {
            if (!stands()) return end();
            stream.write(": heartbeat\n\n").then(beat, end);
          });
        };
        try {
          // At once, so that the caller knows that it is watching before anything happens.
          await stream.write(`: watching after revision ${from}\n\n`);
          beat();
          for await (const message of control.watch(from, abort.signal)) {
            if (!stands()) break;
            const data = JSON.stringify(message);
            await stream.writeSSE({ event: message.type, data, ...(message.type === "revision" ? { id: String(message.revision) } : {}) });
            if (message.type === "lost") break;
          }
        } finally {
          end();
          done();
          cancelBeat();
          stopping.removeEventListener("abort", end);
        }
      });
    },
  );
}
