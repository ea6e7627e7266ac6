/** Requests as a plain client sends them: one answer for each, also where the connection fails. */
import { connect } from "node:net";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Echo } from "./apps.ts";
import type { SocketAddress } from "./network.ts";

export interface Call {
  /** Where the connection goes: a sidecar's outbound listener, or a workload's inbound port. */
  readonly to: SocketAddress;
  /** The Host header: the service that is meant. */
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Uses `to` as an HTTP proxy (absolute form), as programs do with http_proxy. */
  readonly asProxy?: boolean;
  readonly limitMs?: number;
}

export interface Answer {
  /** 0 where there was no answer. */
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The application's own answer, where it was one. */
  readonly echo: Echo | undefined;
  readonly milliseconds: number;
  /** Why there was no answer. */
  readonly error?: string;
}

const DEFAULT_LIMIT_MS = 30_000;

/**
 * One request on a connection of its own, so that a failure is the mesh's and not that of a pooled connection which its peer had closed.
 * Follows no redirect. Never rejects.
 */
export async function call({ to, host, path = "/", method = "GET", headers = {}, body, asProxy = false, limitMs }: Call): Promise<Answer> {
  const began = systemClock.monotonic();
  const base = `http://${to.address}:${to.port}`;
  try {
    const response = await fetch(asProxy ? `http://${host}${path}` : `${base}${path}`, {
      method,
      headers: asProxy ? { ...headers } : { ...headers, host },
      body,
      redirect: "manual",
      keepalive: false,
      signal: AbortSignal.timeout(limitMs ?? DEFAULT_LIMIT_MS),
      ...(asProxy ? { proxy: base } : {}),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      text,
      echo: parseEcho(text),
      milliseconds: systemClock.monotonic() - began,
    };
  } catch (reason) {
    return { status: 0, headers: {}, text: "", echo: undefined, milliseconds: systemClock.monotonic() - began, error: String(reason) };
  }
}

/** `count` calls, `width` at a time; answers in the order of the calls. */
export async function callMany(count: number, width: number, make: (index: number) => Call): Promise<Answer[]> {
  const answers: Answer[] = new Array(count);
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < count; index = next++) answers[index] = await call(make(index));
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
  return answers;
}

/** How many of `answers` have each key, sorted by key. */
export function countBy(answers: readonly Answer[], key: (answer: Answer) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[key(answer)] = (counts[key(answer)] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Sends `text`, or bytes, over a new TCP connection; what came back until the first piece, or how it ended ("closed", "ECONNRESET", "timeout"). */
export function tcpExchange(
  to: SocketAddress,
  text: string | Uint8Array,
  limitMs = 5_000,
): Promise<{ readonly reply?: string; readonly error?: string }> {
  return new Promise((resolve) => {
    const socket = connect({ host: to.address, port: to.port }, () => socket.write(text));
    const end = (result: { reply?: string; error?: string }) => {
      resolve(result);
      socket.destroy();
    };
    socket.setTimeout(limitMs, () => end({ error: "timeout" }));
    socket.once("data", (data) => end({ reply: data.toString() }));
    socket.once("close", () => end({ error: "closed" }));
    socket.once("error", (reason) => end({ error: "code" in reason ? String(reason.code) : reason.message }));
  });
}

function parseEcho(text: string): Echo | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "instance" in value && "service" in value ? (value as Echo) : undefined;
  } catch {
    return undefined;
  }
}
