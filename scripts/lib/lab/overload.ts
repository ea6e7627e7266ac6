import type { HttpApp } from "./apps.ts";
import { type Answer, type Call, call, callMany } from "./call.ts";
import { waitFor } from "./wait.ts";
import type { Sidecar } from "./workload.ts";

export interface Overload {
  /** Of the calls that fill the connections and the queue, in this order. */
  readonly within: readonly Answer[];
  /** Of those that came on top. */
  readonly above: readonly Answer[];
  /** By how much the caller's Envoy counted up its overflows. */
  readonly counted: number;
}

/**
 * Fills a connection pool of `connections` and a queue of one, one call after the other (a connection that is being opened keeps its call
 * in the queue), and then sends `extra` more at once. `app` takes as long as `app.delayMs` for each.
 * @param cluster a pattern for the name of the caller's cluster
 */
export async function overload(
  target: Call,
  { caller, cluster, app, connections, extra }: { caller: Sidecar; cluster: string; app: HttpApp; connections: number; extra: number },
): Promise<Overload> {
  const sum = async (stat: string) =>
    Object.values(await caller.stats(new RegExp(`^cluster\\.${cluster}.*\\.${stat}$`))).reduce((total, value) => total + value, 0);
  // A call that its client gave up keeps the application busy all the same.
  await waitFor(
    "an idle application",
    () => app.inFlight,
    (count) => count === 0,
  );
  app.mostInFlight = 0;
  const within: Promise<Answer>[] = [];
  for (let open = 1; open <= connections; open++) {
    within.push(call(target));
    await waitFor(
      `${open} calls at the application`,
      () => app.inFlight,
      (count) => count === open,
    );
  }
  within.push(call(target));
  await waitFor(
    "a call in the queue",
    () => sum("upstream_rq_pending_active"),
    (count) => count === 1,
  );
  const before = await sum("upstream_rq_pending_overflow");
  const above = await callMany(extra, extra, () => target);
  const counted = (await sum("upstream_rq_pending_overflow")) - before;
  return { within: await Promise.all(within), above, counted };
}

/** What a client sees of Envoy's response flag UO. */
export function isOverflow({ status, headers, text }: Answer): boolean {
  return status === 503 && headers["x-envoy-overloaded"] === "true" && text.includes("overflow");
}
