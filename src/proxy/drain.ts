/** Envoy's admin interface, as far as draining needs it. https://www.envoyproxy.io/docs/envoy/latest/operations/admin */
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { ADMIN_TIMEOUT_MS, DRAIN_POLL_MS } from "./constants.ts";

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
  // skip_exit: when to end is the supervisor's decision.
  await call(admin, "POST", "/drain_listeners?graceful&skip_exit", clock, signal);
  // Under steady load it is never idle: half of the time is kept for what is in flight once nothing new can come.
  await untilIdle(admin, clock, begin + limitMs / 2, signal);
  await call(admin, "POST", "/drain_listeners", clock, signal);
  return await untilIdle(admin, clock, begin + limitMs, signal);
}

async function untilIdle(admin: string, clock: Clock, end: number, signal: AbortSignal): Promise<number> {
  for (;;) {
    if (signal.aborted) return 0;
    const text = await call(admin, "GET", "/stats?filter=downstream_(cx|rq)_active$", clock, signal);
    const active = workInFlight(text);
    if (active === 0 || clock.monotonic() >= end) return active;
    await sleep(clock, DRAIN_POLL_MS);
  }
}

/**
 * Requests in flight, plus connections that carry no HTTP (they have no requests that one could wait for); without those of Envoy's own admin
 * port. An idle HTTP keep-alive connection counts nothing: closing it loses nothing.
 */
export function workInFlight(stats: string): number {
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
  return requests + Math.max(0, connections - httpConnections);
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
