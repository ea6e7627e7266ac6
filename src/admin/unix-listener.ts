/**
 * The admin API on a Unix socket, with the kernel's word on who connects. Bun.serve does not show its sockets, so Node's HTTP server takes the
 * connections that a plain socket server accepted and asked about.
 */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { type PeerCredentials, peerCredentials } from "../lib/peer-credentials.ts";
import { IDLE_SECONDS } from "./limits.ts";

/** sun_path holds 108 bytes on Linux, the closing zero among them; unix(7). */
const LONGEST_SOCKET_PATH = 107;

export interface UnixListener {
  /** Takes no more connections; those with a request in flight may finish until `cut`. */
  stop(): Promise<void>;
  cut(): void;
}

export interface UnixListenerOptions {
  readonly path: string;
  /** Of the file: who may connect. */
  readonly mode: number;
  readonly fetch: (request: Request, peer: PeerCredentials | undefined) => Response | Promise<Response>;
}

/** @throws WeftError "unavailable" where the path cannot be a socket. The file of a Unix socket that an earlier weft left is replaced. */
export async function listenUnix({ path, mode, fetch }: UnixListenerOptions): Promise<UnixListener> {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new WeftError("unavailable", `The path of the admin socket is too long (over ${LONGEST_SOCKET_PATH} bytes): ${path}`, {
      help: "choose a shorter data directory with --data",
    });
  }
  removeOldSocket(path);
  const peers = new WeakMap<object, PeerCredentials>();
  const listener = getRequestListener((request, env) => fetch(request, "incoming" in env ? peers.get(env.incoming.socket) : undefined), {
    overrideGlobalObjects: false,
  });
  const http = createHttpServer({ requestTimeout: 0 }, listener);
  http.keepAliveTimeout = IDLE_SECONDS * 1000;
  /** How many requests are under way on each open connection. */
  const open = new Map<Socket, number>();
  let stopping = false;
  http.on("request", ({ socket }, response) => {
    open.set(socket, (open.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const left = (open.get(socket) ?? 1) - 1;
      if (open.has(socket)) open.set(socket, left);
      if (stopping && left <= 0) socket.destroy();
    });
  });
  const server = createServer((socket) => {
    const peer = peerCredentials(socket);
    if (peer) peers.set(socket, peer);
    open.set(socket, 0);
    socket.once("close", () => open.delete(socket));
    // A caller that goes away in the middle is no event for weft.
    socket.on("error", () => {});
    http.emit("connection", socket);
  });
  // Before the bind, so that there is no moment in which others could connect; the chmod is for systems that ignore the mask.
  const mask = process.umask(0o777 & ~mode);
  try {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    chmodSync(path, mode);
  } catch (cause) {
    throw new WeftError("unavailable", `Cannot listen on ${path}: ${WeftError.from(cause).message}`, { cause });
  } finally {
    process.umask(mask);
  }
  return {
    stop() {
      stopping = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const [socket, requests] of open) if (requests === 0) socket.destroy();
      return closed;
    },
    cut() {
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

function removeOldSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch (reason) {
    if (errnoOf(reason) !== "ENOENT")
      throw new WeftError("unavailable", `Cannot replace ${path}: ${WeftError.from(reason).message}`, { cause: reason });
  }
}
