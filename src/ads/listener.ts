/** Where ADS is served: a TCP port or a Unix socket, HTTP/2 without TLS; or a TCP port with TLS. */
import { chmod, lstat, unlink } from "node:fs/promises";
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { connect } from "node:net";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { keepServing, type ServerCertificate, serverTlsOptions } from "../lib/server-tls.ts";

export interface TcpTarget {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
}

export interface UnixTarget {
  readonly path: string;
  /** File mode; 0660. */
  readonly mode?: number;
}

/** Any address may be one: who connects proves itself, and so does weft. */
export interface TlsTarget extends TcpTarget {
  readonly tls: ServerCertificate;
}

export type Target = TcpTarget | UnixTarget | TlsTarget;

export type Bound = { readonly address: string; readonly port: number; readonly isTls: boolean } | { readonly path: string };

export type AnyServer = Http2Server | Http2SecureServer;

export type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** MiB. A session that sends a large configuration to a slow reader must not be ended for the memory that it holds. */
const MAX_SESSION_MEMORY_MIB = 1024;

/** Bytes of a request's headers: a workload token has at most 4 KiB. */
const MAX_HEADER_BYTES = 16 * 1024;

export function createHttp2Server(target: Target, maxStreamsPerConnection: number): AnyServer {
  const settings = { maxConcurrentStreams: maxStreamsPerConnection, maxHeaderListSize: MAX_HEADER_BYTES };
  const options = { maxSessionMemory: MAX_SESSION_MEMORY_MIB, settings };
  if (!("tls" in target)) return createServer(options);
  const server = createSecureServer({ ...options, ...serverTlsOptions(target.tls, "h2"), allowHTTP1: false });
  server.once("close", keepServing(server, target.tls, "h2"));
  return server;
}

/** @throws WeftError "unavailable" (the port or path is taken, or may not be bound) */
export async function bind(server: AnyServer, target: Target): Promise<Bound> {
  if ("path" in target) {
    await removeStaleSocket(target.path);
    await listen(server, { path: target.path }, target.path);
    await chmod(target.path, target.mode ?? 0o660);
    return { path: target.path };
  }
  await listen(server, { host: target.host, port: target.port }, `${target.host}:${target.port}`, "tls" in target ? "--ads-tls" : "--ads");
  const address = server.address();
  if (address === null || typeof address === "string") throw new WeftError("internal", `no address for ${target.host}:${target.port}`);
  return { address: address.address, port: address.port, isTls: "tls" in target };
}

function listen(server: AnyServer, options: { host?: string; port?: number; path?: string }, name: string, flag = "--ads"): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (reason: Error) => {
      const taken = errnoOf(reason) === "EADDRINUSE";
      const message = taken ? `ADS cannot listen on ${name}: something else does` : `ADS cannot listen on ${name}: ${reason.message}`;
      const help = "port" in options ? `choose another address with ${flag} ADDR:PORT (port 0: the system chooses)` : undefined;
      reject(new WeftError("unavailable", message, { help, cause: reason }));
    };
    server.once("error", failed);
    server.listen(options, () => {
      server.off("error", failed);
      resolve();
    });
  });
}

/** A socket file outlives a process that was killed. One that nobody accepts on is removed; anything else stays. */
async function removeStaleSocket(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (!file) return;
  if (!file.isSocket()) throw new WeftError("unavailable", `ADS: ${path} exists and is no socket; remove it`);
  if (await accepts(path)) throw new WeftError("unavailable", `ADS: another process listens on ${path}`);
  await unlink(path).catch((reason) => {
    if (errnoOf(reason) !== "ENOENT") throw reason;
  });
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
