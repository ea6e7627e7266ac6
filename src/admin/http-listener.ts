/**
 * The admin API's listeners: TCP, TCP with TLS, a Unix socket. Node's HTTP server takes the connections that a socket server accepted, so that who
 * connects can be asked of the kernel and of TLS (Bun.serve shows no sockets), and so that slow clients have the same limits at every door.
 */
import { createServer as createHttpServer } from "node:http";
import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import type { Clock } from "../lib/clock.ts";
import { limitConnections } from "../lib/connection-limit.ts";
import { createTlsServer, keepServing, type ServerCertificate } from "../lib/server-tls.ts";
import {
  BODY_MS,
  FIRST_REQUEST_MS,
  IDLE_SECONDS,
  MOST_CONNECTIONS,
  MOST_CONNECTIONS_PER_ADDRESS,
  MOST_HEADER_BYTES,
  MOST_PIPELINED,
  STALLED_MS,
} from "./limits.ts";

export interface HttpListener {
  /** Takes no more connections; those with a request in flight may finish until `cut`. */
  stop(): Promise<void>;
  cut(): void;
}

export interface HttpListenerOptions {
  readonly clock: Clock;
  /** The connection that a request came on is what the socket server gave. */
  readonly fetch: (request: Request, socket: object) => Response | Promise<Response>;
}

interface Connection {
  /** How many requests are under way. */
  requests: number;
  cancel: () => void;
}

/** @param makeServer makes the socket server, which gives each connection that may speak to the function */
export function serveHttp(
  makeServer: (onSocket: (socket: Socket) => void) => Server,
  { clock, fetch }: HttpListenerOptions,
): HttpListener & { readonly server: Server } {
  const open = new Map<Socket, Connection>();
  let stopping = false;
  const listener = getRequestListener(
    (request, env) => ("incoming" in env ? fetch(request, env.incoming.socket) : new Response(null, { status: 505 })),
    {
      overrideGlobalObjects: false,
    },
  );
  // Node's own time limits do not reach connections that are handed over: those below do.
  const http = createHttpServer({ requestTimeout: 0, maxHeaderSize: MOST_HEADER_BYTES });
  http.keepAliveTimeout = IDLE_SECONDS * 1000;
  http.on("clientError", (_, socket) => socket.destroy());
  const endUnless = (socket: Socket, connection: Connection, milliseconds: number, isFine: () => boolean) => {
    connection.cancel();
    connection.cancel = clock.after(milliseconds, () => {
      if (isFine()) return;
      socket.destroy();
    });
  };
  http.on("request", (request, response) => {
    const { socket } = request;
    const connection = open.get(socket);
    if (!connection || socket.destroyed) {
      socket.destroy();
      return;
    }
    connection.requests += 1;
    // The runtime reads on while answers wait, and all of them would be kept in memory.
    if (connection.requests > MOST_PIPELINED) {
      socket.destroy();
      return;
    }
    // A body that drips in would hold a place for ever.
    endUnless(socket, connection, BODY_MS, () => request.complete);
    const unwatch = watchProgress(socket, clock);
    response.once("close", () => {
      unwatch();
      connection.requests -= 1;
      if (connection.requests > 0 || socket.destroyed) return;
      if (stopping) socket.destroy();
      else endUnless(socket, connection, IDLE_SECONDS * 1000, () => connection.requests > 0);
    });
    void listener(request, response);
  });
  const server = makeServer((socket) => {
    const connection: Connection = { requests: 0, cancel: () => {} };
    open.set(socket, connection);
    endUnless(socket, connection, FIRST_REQUEST_MS, () => connection.requests > 0);
    socket.once("close", () => {
      connection.cancel();
      open.delete(socket);
    });
    // A caller that goes away in the middle is no event for weft.
    socket.on("error", () => {});
    http.emit("connection", socket);
  });
  server.maxConnections = MOST_CONNECTIONS;
  limitConnections(server, MOST_CONNECTIONS_PER_ADDRESS);
  return {
    server,
    stop() {
      stopping = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const [socket, { requests }] of open) if (requests === 0) socket.destroy();
      return closed;
    },
    cut() {
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

/** A socket server with TLS, whose certificate is renewed while it listens. */
export function tlsServer(certificate: ServerCertificate, onSocket: (socket: TLSSocket) => void): Server {
  const server = createTlsServer(certificate, "http/1.1", onSocket);
  server.once("close", keepServing(server, certificate, "http/1.1"));
  return server;
}

/** Ends a connection whose peer takes nothing of what waits for it. @returns how to stop looking */
function watchProgress(socket: Socket, clock: Clock): () => void {
  let cancel = () => {};
  let waiting = 0;
  let taken = -1;
  const look = () => {
    const isStalled = waiting > 0 && socket.writableLength > 0 && socket.bytesWritten - socket.writableLength === taken;
    if (isStalled) {
      socket.destroy();
      return;
    }
    waiting = socket.writableLength;
    taken = socket.bytesWritten - socket.writableLength;
    cancel = clock.after(STALLED_MS, look);
  };
  cancel = clock.after(STALLED_MS, look);
  return () => cancel();
}
