/** The admin API at its doors: TCP (loopback unless told otherwise), a Unix socket for the data directory's owner, and TCP with TLS where asked for. */
import type { Clock } from "../lib/clock.ts";
import type { ServerCertificate } from "../lib/server-tls.ts";
import { KINDS } from "../model/index.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createApp } from "./app.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { GuardOptions } from "./guard.ts";
import type { HttpListener } from "./http-listener.ts";
import { listenTcp } from "./tcp-listener.ts";
import { listenUnix } from "./unix-listener.ts";

export interface AdminServerOptions extends Pick<GuardOptions, "identify" | "ownSpiffeId" | "adminPrincipals"> {
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
  /** With TLS: callers may present X.509-SVIDs. */
  readonly tls?: ServerCertificate;
}

/** A Unix socket: `mode` is its proof, for who can open it needs no token. */
export interface UnixAddress {
  readonly path: string;
  readonly mode: number;
  /** The door of weft's own sidecar (guard.ts): with TLS, in which the sidecar proves itself. */
  readonly tls?: ServerCertificate;
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
  const listeners: HttpListener[] = [];
  const bound = new Set<string>();
  const hosts = () => [...bound, ...(options.adminHosts?.() ?? [])];
  const kinds = Object.fromEntries(Object.values(KINDS).map(({ kind, schema }) => [kind, schema]));
  const app = createApp({ ...options, kinds, hosts, stopping: stopping.signal });
  const { clock } = options;
  const tcp = async ({ host, port, tls }: TcpAddress) => {
    const listener = await listenTcp({
      host,
      port,
      tls,
      clock,
      fetch: (request, peer) => app.fetch(request, { transport: tls ? "tls" : "tcp", ...peer }),
    });
    listeners.push(listener);
    bound.add(host.includes(":") ? `[${host}]` : host);
    return listener.port;
  };

  return {
    async listen(address) {
      if ("port" in address) return { ...address, port: await tcp(address) };
      const transport = "tls" in address && address.tls ? "mesh" : "unix";
      listeners.push(await listenUnix({ ...address, clock, fetch: (request, peer) => app.fetch(request, { transport, ...peer }) }));
      return address;
    },

    async close(graceMs = 2_000) {
      stopping.abort();
      let cancel = () => {};
      const grace = new Promise<void>((resolve) => {
        cancel = clock.after(graceMs, resolve);
      });
      const stopped = Promise.all(listeners.map((listener) => listener.stop()));
      await Promise.race([stopped, grace]);
      cancel();
      for (const listener of listeners) listener.cut();
      await stopped;
    },
  };
}
