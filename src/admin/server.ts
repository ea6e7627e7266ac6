/** The admin API on its two sockets: TCP (loopback unless told otherwise) and a Unix socket for the data directory's owner. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { KINDS } from "../model/index.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createApp } from "./app.ts";
import type { Transport } from "./context.ts";
import type { ControlPlane } from "./control-plane.ts";

export interface AdminServerOptions {
  readonly control: ControlPlane;
  /** Compares in constant time. */
  readonly adminToken: { matches(presented: string): boolean };
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly version: string;
  /** Names besides loopback's that the API answers to, read at each request, so that a reload can change them. */
  readonly adminHosts?: () => readonly string[];
}

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** A Unix socket: `mode` is its proof, for who can open it needs no token. */
export interface UnixAddress {
  readonly path: string;
  readonly mode: number;
}

export interface AdminServer {
  /**
   * Listens there too, and tells what was bound (port 0: the system chooses). The file of a Unix socket that an earlier weft left is replaced.
   * @throws WeftError "unavailable" where the address is taken, is not this machine's, or the path cannot be a socket.
   */
  listen<Address extends TcpAddress | UnixAddress>(address: Address): Promise<Address>;
  /** Ends the watches, lets requests in flight finish for `graceMs`, then closes. */
  close(graceMs?: number): Promise<void>;
}

/** Longer than the heartbeat of a watch, so that none is cut for silence; Bun takes 255 at most. */
const IDLE_SECONDS = 60;
/** Bun's own limit cuts the connection without a word, so it stands above ours (input.ts), which explains itself. */
const HARD_BODY_LIMIT_BYTES = 64 * 1024 * 1024;
/** sun_path holds 108 bytes on Linux, the closing zero among them; unix(7). */
const LONGEST_SOCKET_PATH = 107;

export function createAdminServer(options: AdminServerOptions): AdminServer {
  const stopping = new AbortController();
  const servers: ReturnType<typeof Bun.serve>[] = [];
  const bound = new Set<string>();
  const hosts = () => [...bound, ...(options.adminHosts?.() ?? [])];
  const kinds = Object.fromEntries(Object.values(KINDS).map(({ kind, schema }) => [kind, schema]));
  const app = createApp({ ...options, kinds, hosts, stopping: stopping.signal });
  const serving = (transport: Transport) => ({
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: HARD_BODY_LIMIT_BYTES,
    fetch: (request: Request, server: ReturnType<typeof Bun.serve>) =>
      app.fetch(request, { transport, address: transport === "tcp" ? server.requestIP(request)?.address : undefined }),
  });

  const listenTcp = (address: TcpAddress): TcpAddress => {
    const { host, port } = address;
    try {
      const server = Bun.serve({ ...serving("tcp"), hostname: host, port });
      servers.push(server);
      bound.add(host.includes(":") ? `[${host}]` : host);
      return { ...address, port: server.port ?? port };
    } catch (cause) {
      throw cannotListen(`${host}:${port}`, cause);
    }
  };

  const listenUnix = ({ path, mode }: UnixAddress): void => {
    if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
      throw new WeftError("unavailable", `The path of the admin socket is too long (over ${LONGEST_SOCKET_PATH} bytes): ${path}`, {
        help: "choose a shorter data directory with --data",
      });
    }
    removeOldSocket(path);
    // Before the bind, so that there is no moment in which others could connect; the chmod is for systems that ignore the mask.
    const mask = process.umask(0o777 & ~mode);
    try {
      // Bun's types allow idleTimeout with TCP only; without it Bun cuts a silent watch on a Unix socket after 10 seconds too.
      servers.push(Bun.serve({ ...serving("unix"), unix: path } as unknown as Parameters<typeof Bun.serve>[0]));
      chmodSync(path, mode);
    } catch (cause) {
      throw new WeftError("unavailable", `Cannot listen on ${path}: ${WeftError.from(cause).message}`, { cause });
    } finally {
      process.umask(mask);
    }
  };

  return {
    async listen(address) {
      if ("port" in address) return { ...address, ...listenTcp(address) };
      listenUnix(address);
      return address;
    },

    async close(graceMs = 2_000) {
      stopping.abort();
      let cancel = () => {};
      const grace = new Promise<void>((resolve) => {
        cancel = options.clock.after(graceMs, resolve);
      });
      await Promise.race([Promise.all(servers.map((server) => server.stop(false))), grace]);
      cancel();
      await Promise.all(servers.map((server) => server.stop(true)));
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

function cannotListen(address: string, cause: unknown): WeftError {
  const taken = errnoOf(cause) === "EADDRINUSE";
  return new WeftError(
    "unavailable",
    taken
      ? `The admin API cannot listen on ${address}: something else does`
      : `The admin API cannot listen on ${address}: ${WeftError.from(cause).message}`,
    { help: "choose another address with --admin ADDR:PORT (port 0: the system chooses)", cause },
  );
}
