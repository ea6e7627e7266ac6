/** Tiny applications for the mesh: they say who they are and what they got, and misbehave on request. */
import { sleep, systemClock } from "../../../src/lib/clock.ts";

/** What an HTTP application answers. */
export interface Echo {
  readonly service: string;
  readonly version: string;
  readonly instance: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpApp {
  readonly address: string;
  readonly port: number;
  /** Requests that arrived. */
  calls: number;
  /** Requests that are being answered now, and the most there ever were. */
  inFlight: number;
  mostInFlight: number;
  /** The last request. */
  last: Echo | undefined;
  /** Milliseconds before each answer. */
  delayMs: number;
  /** Status of each answer. */
  status: number;
  /** How many of the next requests get `failStatus`. */
  failNext: number;
  failStatus: number;
  reset(): void;
  stop(): Promise<void>;
}

/** A request that carries them is answered with this status, after so many milliseconds. */
export const MISBEHAVE = { status: "x-app-status", delayMs: "x-app-delay-ms" } as const;

/** Listens on a port that the system chooses; `address` is 127.0.0.1 unless it is given. */
export function startHttpApp(who: {
  readonly service: string;
  readonly version?: string;
  readonly instance: string;
  readonly address?: string;
}): HttpApp {
  const app: HttpApp = {
    address: who.address ?? "127.0.0.1",
    port: 0,
    calls: 0,
    inFlight: 0,
    mostInFlight: 0,
    last: undefined,
    delayMs: 0,
    status: 200,
    failNext: 0,
    failStatus: 503,
    reset() {
      Object.assign(app, { calls: 0, mostInFlight: 0, last: undefined, delayMs: 0, status: 200, failNext: 0, failStatus: 503 });
    },
    stop: () => server.stop(true),
  };
  const server = Bun.serve({
    hostname: app.address,
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const url = new URL(request.url);
      const echo: Echo = {
        service: who.service,
        version: who.version ?? "",
        instance: who.instance,
        method: request.method,
        path: url.pathname,
        query: url.search,
        headers: Object.fromEntries(request.headers),
        body: await request.text(),
      };
      app.calls += 1;
      app.inFlight += 1;
      app.mostInFlight = Math.max(app.mostInFlight, app.inFlight);
      app.last = echo;
      const failing = app.failNext > 0;
      if (failing) app.failNext -= 1;
      const status = failing ? app.failStatus : Number(echo.headers[MISBEHAVE.status] ?? app.status);
      const delayMs = Number(echo.headers[MISBEHAVE.delayMs] ?? app.delayMs);
      try {
        if (delayMs > 0) await sleep(systemClock, delayMs);
      } finally {
        app.inFlight -= 1;
      }
      return Response.json(echo, { status, headers: { "x-instance": who.instance } });
    },
  });
  return Object.assign(app, { port: server.port ?? 0 });
}

export interface TcpApp {
  readonly address: string;
  readonly port: number;
  /** Connections that arrived. */
  readonly connections: () => number;
  stop(): void;
}

/** Sends back what it gets, with `instance: ` before each piece. */
export function startTcpEcho(instance: string): TcpApp {
  let connections = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open() {
        connections += 1;
      },
      data(socket, data) {
        socket.write(`${instance}: ${data.toString()}`);
      },
    },
  });
  return { address: "127.0.0.1", port: server.port, connections: () => connections, stop: () => server.stop(true) };
}
