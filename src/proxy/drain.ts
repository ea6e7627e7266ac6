/** Envoy's admin interface, as far as draining needs it. https://www.envoyproxy.io/docs/envoy/latest/operations/admin */
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { ADMIN_TIMEOUT_MS, DRAIN_LEAST_MS, DRAIN_POLL_MS } from "./constants.ts";

const OPEN_WORK = "/stats?filter=downstream_(cx|rq)_active$";

export interface DrainOptions {
  /** "127.0.0.1:34567": Envoy's admin port. */
  readonly admin: string;
  readonly clock: Clock;
  readonly limitMs: number;
  /** Aborted when Envoy has ended or the operator is out of patience: draining then stops. */
  readonly signal: AbortSignal;
}

/**
 * Lets the work in flight end: Envoy first tells its clients to go (HTTP/1 `connection: close`, HTTP/2 GOAWAY) while it still takes what is
 * on its way to it, then, once idle, closes its listeners and ends the rest. Resolves with what was still open when the time was over, 0 if nothing.
 * @throws where the admin port does not answer.
 */
export async function drain({ admin, clock, limitMs, signal }: DrainOptions): Promise<number> {
  const begin = clock.monotonic();
  const { connections } = openWork(await call(admin, "GET", OPEN_WORK, clock, signal));
  // skip_exit: when to end is the supervisor's decision.
  await call(admin, "POST", "/drain_listeners?graceful&skip_exit", clock, signal);
  // Under steady load it is never idle: half of the time is kept for what is in flight once nothing new can come.
  const half = begin + limitMs / 2;
  await untilIdle(admin, clock, { notBefore: Math.min(begin + (connections > 0 ? DRAIN_LEAST_MS : 0), half), end: half }, signal);
  await call(admin, "POST", "/drain_listeners", clock, signal);
  // Envoy's workers close their listeners after the answer: what came in until then must be seen before it can be waited for.
  return await untilIdle(admin, clock, { notBefore: clock.monotonic() + DRAIN_POLL_MS, end: begin + limitMs }, signal);
}

/** Until nothing is in flight and `notBefore` is past, at the latest at `end` (both monotonic). Resolves with what is in flight then. */
async function untilIdle(
  admin: string,
  clock: Clock,
  { notBefore, end }: { notBefore: number; end: number },
  signal: AbortSignal,
): Promise<number> {
  for (;;) {
    if (signal.aborted) return 0;
    const { inFlight } = openWork(await call(admin, "GET", OPEN_WORK, clock, signal));
    const now = clock.monotonic();
    if ((inFlight === 0 && now >= notBefore) || now >= end) return inFlight;
    await sleep(clock, DRAIN_POLL_MS);
  }
}

/**
 * `connections`: all that are open, without those of Envoy's own admin port. `inFlight`: requests, plus the connections that carry no HTTP
 * (they have no requests that one could wait for). An idle HTTP keep-alive connection is not in flight.
 */
export function openWork(stats: string): { readonly inFlight: number; readonly connections: number } {
  let requests = 0;
  let connections = 0;
  let httpConnections = 0;
  for (const line of stats.split("\n")) {
    const [name = "", value = ""] = line.split(": ");
    // Counted by worker too: once is enough.
    if (name.startsWith("listener.admin.") || name.startsWith("http.admin.") || /\.worker_\d+\./.test(name)) continue;
    const count = Number(value);
    if (!Number.isFinite(count)) continue;
    if (name.startsWith("http.") && name.endsWith(".downstream_rq_active")) requests += count;
    else if (name.startsWith("http.") && name.endsWith(".downstream_cx_active")) httpConnections += count;
    else if (name.startsWith("listener.") && name.endsWith(".downstream_cx_active")) connections += count;
  }
  return { inFlight: requests + Math.max(0, connections - httpConnections), connections };
}

async function call(admin: string, method: string, path: string, clock: Clock, signal: AbortSignal): Promise<string> {
  const timeout = new AbortController();
  const cancel = clock.after(ADMIN_TIMEOUT_MS, () => timeout.abort(new Error(`no answer within ${ADMIN_TIMEOUT_MS} ms`)));
  try {
    // http_proxy may name this very sidecar.
    const response = await fetch(`http://${admin}${path}`, { method, signal: AbortSignal.any([timeout.signal, signal]), proxy: false });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.trim()}`);
    return text;
  } finally {
    cancel();
  }
}
