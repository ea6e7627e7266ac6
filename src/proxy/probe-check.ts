/** One look at an application, as a WorkloadGroup's probe says (Istio, pkg/istio-agent/health/health_probers.go). */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { errnoOf } from "../lib/errors.ts";
import type { ProbeMethod } from "../lib/probe.ts";
import { checkGrpc } from "./probe-grpc.ts";

const LOOPBACK = "127.0.0.1";

export interface CheckOptions {
  /**
   * As Istio's agent does, which asks as the instance's own user. Where it is false a redirect is an answer: whoever writes policies must not lead a
   * node elsewhere.
   */
  readonly followsRedirects?: boolean;
}

/** Resolves with why the application is not ready, in words, or undefined where it is. Never rejects, and never takes longer than `timeoutMs`. */
export async function checkApplication(
  method: ProbeMethod,
  timeoutMs: number,
  clock: Clock,
  { followsRedirects = true }: CheckOptions = {},
): Promise<string | undefined> {
  const over = new AbortController();
  let cancel = () => {};
  const late = new Promise<string>((resolve) => {
    cancel = clock.after(timeoutMs, () => resolve(`no answer within ${timeoutMs / 1_000} s`));
  });
  try {
    return await Promise.race([look(method, followsRedirects, over.signal), late]);
  } catch (reason) {
    const what = errnoOf(reason) ?? (reason instanceof Error ? reason.message : String(reason));
    const asked = askedBy(method);
    return asked === undefined ? what : `${asked}: ${what}`;
  } finally {
    cancel();
    over.abort();
  }
}

/** What a probe over the network asks, as an operator would ask it by hand. */
function askedBy(method: ProbeMethod): string | undefined {
  if (method.type === "http") return urlOf(method);
  return method.type === "grpc" ? `${method.host ?? LOOPBACK}:${method.port}` : undefined;
}

function urlOf({ scheme, host = LOOPBACK, port, path }: Http): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}${path.startsWith("/") ? "" : "/"}${path}`;
}

function look(method: ProbeMethod, followsRedirects: boolean, signal: AbortSignal): Promise<string | undefined> {
  switch (method.type) {
    case "http":
      return checkHttp(method, followsRedirects, signal);
    case "tcp":
      return checkTcp(method.host ?? LOOPBACK, method.port, signal);
    case "exec":
      return checkCommand(method.command, signal);
    case "grpc":
      return checkGrpc(method.host ?? LOOPBACK, method.port, method.service, signal);
  }
}

type Http = Extract<ProbeMethod, { type: "http" }>;

/** Certificates are not verified, as Istio's agent does: this asks whether the application answers, not who it is. */
async function checkHttp(probe: Http, followsRedirects: boolean, signal: AbortSignal): Promise<string | undefined> {
  const { headers } = probe;
  const all = new Headers({ "user-agent": "weft-probe/1.0", connection: "close" });
  for (const [name] of headers) all.delete(name);
  for (const [name, value] of headers) all.append(name, value);
  const url = urlOf(probe);
  // http_proxy may name this very sidecar.
  const response = await fetch(url, {
    headers: all,
    signal,
    proxy: false,
    keepalive: false,
    redirect: followsRedirects ? "follow" : "manual",
    tls: { rejectUnauthorized: false },
  });
  await response.body?.cancel();
  return response.status >= 200 && response.status < 400 ? undefined : `${url} answered ${response.status}`;
}

function checkTcp(host: string, port: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (reason?: string) => {
      socket.destroy();
      resolve(reason);
    };
    socket.once("connect", () => end());
    socket.once("error", (reason) => end(`${host}:${port}: ${errnoOf(reason) ?? reason.message}`));
    signal.addEventListener("abort", () => end("stopped"), { once: true });
  });
}

function checkCommand([command = "", ...args]: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    // A group of its own: what the command starts ends with it.
    const child = spawn(command, args, { stdio: "ignore", detached: true });
    child.once("error", (reason) => resolve(`${command}: ${errnoOf(reason) ?? reason.message}`));
    child.once("exit", (code, ended) =>
      resolve(code === 0 ? undefined : `${command} ${ended ? `was ended by ${ended}` : `exited with ${code}`}`),
    );
    signal.addEventListener("abort", () => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has just ended.
      }
    });
  });
}
