/** The admin API on its two sockets: TCP (loopback unless told otherwise) and a Unix socket for the data directory's owner. */
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { KINDS } from "../model/index.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createApp } from "./app.ts";
import type { ControlPlane } from "./control-plane.ts";
import { HARD_BODY_LIMIT_BYTES, IDLE_SECONDS } from "./limits.ts";
import { listenUnix, type UnixListener } from "./unix-listener.ts";

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

export function createAdminServer(options: AdminServerOptions): AdminServer {
  const stopping = new AbortController();
  const servers: ReturnType<typeof Bun.serve>[] = [];
  const unix: UnixListener[] = [];
  const bound = new Set<string>();
  const hosts = () => [...bound, ...(options.adminHosts?.() ?? [])];
  const kinds = Object.fromEntries(Object.values(KINDS).map(({ kind, schema }) => [kind, schema]));
  const app = createApp({ ...options, kinds, hosts, stopping: stopping.signal });
  const listenTcp = (address: TcpAddress): TcpAddress => {
    const { host, port } = address;
    try {
      const server = Bun.serve({
        hostname: host,
        port,
        idleTimeout: IDLE_SECONDS,
        maxRequestBodySize: HARD_BODY_LIMIT_BYTES,
        fetch: (request, server) => app.fetch(request, { transport: "tcp", address: server.requestIP(request)?.address }),
      });
      servers.push(server);
      bound.add(host.includes(":") ? `[${host}]` : host);
      return { ...address, port: server.port ?? port };
    } catch (cause) {
      throw cannotListen(`${host}:${port}`, cause);
    }
  };

  return {
    async listen(address) {
      if ("port" in address) return { ...address, ...listenTcp(address) };
      unix.push(await listenUnix({ ...address, fetch: (request, peer) => app.fetch(request, { transport: "unix", peer }) }));
      return address;
    },

    async close(graceMs = 2_000) {
      stopping.abort();
      let cancel = () => {};
      const grace = new Promise<void>((resolve) => {
        cancel = options.clock.after(graceMs, resolve);
      });
      await Promise.race([Promise.all([...servers.map((server) => server.stop(false)), ...unix.map((one) => one.stop())]), grace]);
      cancel();
      for (const one of unix) one.cut();
      await Promise.all(servers.map((server) => server.stop(true)));
    },
  };
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
