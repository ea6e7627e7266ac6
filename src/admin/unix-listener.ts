/** The admin API on a Unix socket, with the kernel's word on who connects. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { Clock } from "../lib/clock.ts";
import { isEnvoy } from "../lib/envoy-process.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { type PeerCredentials, peerCredentials } from "../lib/peer-credentials.ts";
import { presentedCertificates, type ServerCertificate } from "../lib/server-tls.ts";
import { type HttpListener, serveHttp, tlsServer } from "./http-listener.ts";

/** sun_path holds 108 bytes on Linux, the closing zero among them; unix(7). */
const LONGEST_SOCKET_PATH = 107;

export interface UnixListenerOptions {
  readonly path: string;
  /** Of the file: who may connect. */
  readonly mode: number;
  /** With TLS, in which callers prove themselves. */
  readonly tls?: ServerCertificate;
  readonly clock: Clock;
  readonly fetch: (request: Request, peer: UnixPeer) => Response | Promise<Response>;
}

export interface UnixPeer {
  /** Where the kernel tells; not with TLS. */
  readonly peer?: PeerCredentials;
  /** Whether the peer is an Envoy, which acts for others; with `peer`. */
  readonly isEnvoy?: Promise<boolean>;
  /** As TcpPeer has it. */
  readonly certificates?: readonly Uint8Array[];
}

const UNKNOWN: UnixPeer = {};

/** @throws WeftError "unavailable" where the path cannot be a socket. The file of a Unix socket that an earlier weft left is replaced. */
export async function listenUnix({ path, mode, tls, clock, fetch }: UnixListenerOptions): Promise<HttpListener> {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new WeftError("unavailable", `The path of the admin socket is too long (over ${LONGEST_SOCKET_PATH} bytes): ${path}`, {
      help: "choose a shorter data directory with --data",
    });
  }
  removeOldSocket(path);
  const peers = new WeakMap<object, UnixPeer>();
  const listener = serveHttp(
    (onSocket) => {
      if (tls) {
        return tlsServer(tls, (socket) => {
          peers.set(socket, { certificates: presentedCertificates(socket) });
          onSocket(socket);
        });
      }
      return createServer((socket) => {
        const peer = peerCredentials(socket);
        if (peer) peers.set(socket, { peer, isEnvoy: asked(peer.pid) });
        onSocket(socket);
      });
    },
    { clock, fetch: (request, socket) => fetch(request, peers.get(socket) ?? UNKNOWN) },
  );
  // Before the bind, so that there is no moment in which others could connect; the chmod is for systems that ignore the mask.
  const mask = process.umask(0o777 & ~mode);
  try {
    await new Promise<void>((resolve, reject) => listener.server.once("error", reject).listen(path, resolve));
    chmodSync(path, mode);
  } catch (cause) {
    throw new WeftError("unavailable", `Cannot listen on ${path}: ${WeftError.from(cause).message}`, { cause });
  } finally {
    process.umask(mask);
  }
  return listener;
}

/** Asked at once, while the peer is there; whoever awaits it hears of a failure. */
function asked(pid: number): Promise<boolean> {
  const answer = isEnvoy(pid);
  answer.catch(() => {});
  return answer;
}

function removeOldSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch (reason) {
    if (errnoOf(reason) !== "ENOENT")
      throw new WeftError("unavailable", `Cannot replace ${path}: ${WeftError.from(reason).message}`, { cause: reason });
  }
}
