/** The admin API on a TCP port, with or without TLS. */
import { type AddressInfo, createServer } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { presentedCertificates, type ServerCertificate } from "../lib/server-tls.ts";
import { type HttpListener, serveHttp, tlsServer } from "./http-listener.ts";

export interface TcpPeer {
  readonly address: string | undefined;
  /** As Credentials of ADS have it; undefined without TLS. */
  readonly certificates: readonly Uint8Array[] | undefined;
}

export interface TcpListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: ServerCertificate;
  readonly clock: Clock;
  readonly fetch: (request: Request, peer: TcpPeer) => Response | Promise<Response>;
}

/** @throws WeftError "unavailable" where the address is taken, or not this machine's */
export async function listenTcp({ host, port, tls, clock, fetch }: TcpListenerOptions): Promise<HttpListener & { readonly port: number }> {
  const peers = new WeakMap<object, TcpPeer>();
  const listener = serveHttp(
    (onSocket) => {
      if (!tls) {
        return createServer((socket) => {
          peers.set(socket, { address: socket.remoteAddress, certificates: undefined });
          onSocket(socket);
        });
      }
      return tlsServer(tls, (socket) => {
        peers.set(socket, { address: socket.remoteAddress, certificates: presentedCertificates(socket) });
        onSocket(socket);
      });
    },
    { clock, fetch: (request, socket) => fetch(request, peers.get(socket) ?? { address: undefined, certificates: undefined }) },
  );
  await new Promise<void>((resolve, reject) => listener.server.once("error", reject).listen({ host, port }, resolve)).catch((cause) => {
    throw cannotListen(`${host}:${port}`, tls ? "--admin-tls" : "--admin", cause);
  });
  const { port: bound } = listener.server.address() as AddressInfo;
  return { ...listener, port: bound };
}

function cannotListen(address: string, flag: string, cause: unknown): WeftError {
  const taken = errnoOf(cause) === "EADDRINUSE";
  return new WeftError(
    "unavailable",
    taken
      ? `The admin API cannot listen on ${address}: something else does`
      : `The admin API cannot listen on ${address}: ${WeftError.from(cause).message}`,
    { help: `choose another address with ${flag} ADDR:PORT (port 0: the system chooses)`, cause },
  );
}
