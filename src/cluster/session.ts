/**
 * One HTTP/2 connection to an authority, over TLS that is judged before anything is said: by the mesh's bundle or by a token's pins, never by names
 * or by the system's roots. Opened when it is needed, again where it has ended.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from "node:http2";
import { isIP } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { presentedCertificates } from "../lib/server-tls.ts";

export interface SessionOptions {
  /** "10.0.0.5:15016", "[::1]:15016", "edge-1:15016". */
  readonly address: string;
  /** What this side presents, PEM; nothing where it returns undefined. */
  readonly certificate: () => { readonly chain: string; readonly key: string } | undefined;
  /** @throws WeftError where the other side is not who it should be */
  readonly judge: (presented: readonly Uint8Array[]) => void;
  readonly clock: Clock;
}

/** For the handshake. */
const CONNECT_MS = 4_000;

export class NodeSession {
  readonly #options: SessionOptions;
  #session: Promise<ClientHttp2Session> | undefined;
  #judged = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * `drop` ends the connection that the request went over, and no later one: for where it was not answered.
   * @throws WeftError "unavailable", and what judged the other side
   */
  async request(headers: OutgoingHttpHeaders): Promise<{ readonly stream: ClientHttp2Stream; readonly drop: () => void }> {
    const opening = this.#open();
    const session = await opening;
    const drop = () => {
      this.#forget(opening);
      session.destroy();
    };
    try {
      return { stream: session.request(headers), drop };
    } catch (cause) {
      drop();
      throw new WeftError("unavailable", `${this.#options.address} ended the connection`, { cause });
    }
  }

  /** Whether the other side was found to be who it should be, on the connection that there is. */
  get isJudged(): boolean {
    return this.#judged;
  }

  /** What is under way on the old connection is answered; what comes next goes over a new one. */
  renew(): void {
    const old = this.#session;
    this.#session = undefined;
    this.#judged = false;
    old?.then(
      (session) => session.close(),
      () => {},
    );
  }

  close(): void {
    const old = this.#session;
    this.#session = undefined;
    this.#judged = false;
    old?.then(
      (session) => session.destroy(),
      () => {},
    );
  }

  #open(): Promise<ClientHttp2Session> {
    if (this.#session) return this.#session;
    const opening = this.#connect();
    this.#session = opening;
    const forget = () => this.#forget(opening);
    opening.then((session) => {
      session.once("close", forget);
      session.once("goaway", forget);
      // Each one: an error that nobody hears would end weft.
      session.on("error", forget);
    }, forget);
    return opening;
  }

  #forget(opening: Promise<ClientHttp2Session>): void {
    if (this.#session !== opening) return;
    this.#session = undefined;
    this.#judged = false;
  }

  async #connect(): Promise<ClientHttp2Session> {
    this.#judged = false;
    const socket = await this.#secure();
    try {
      this.#options.judge(presentedCertificates(socket));
      this.#judged = true;
    } catch (reason) {
      socket.destroy();
      throw reason;
    }
    return connect(`https://${this.#options.address}`, { createConnection: () => socket });
  }

  #secure(): Promise<TLSSocket> {
    const { address, certificate, clock } = this.#options;
    const { host, port } = placeOf(address);
    const own = certificate();
    return new Promise((resolve, reject) => {
      const socket = connectTls({
        host,
        port,
        // Judged afterwards: the names of the web's certificates mean nothing here.
        rejectUnauthorized: false,
        minVersion: "TLSv1.3",
        ALPNProtocols: ["h2"],
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ...(own ? { cert: own.chain, key: own.key } : {}),
      });
      const fail = (why: string, cause?: unknown) => {
        cancel();
        socket.destroy();
        reject(new WeftError("unavailable", `${address} cannot be reached: ${why}`, { cause }));
      };
      const cancel = clock.after(CONNECT_MS, () => fail(`no TLS connection within ${CONNECT_MS / 1_000} s`));
      // Stays for the life of the socket: what comes after the handshake, the session tells.
      socket.on("error", (cause) => fail(errnoOf(cause) ?? cause.message, cause));
      socket.once("close", () => fail("it closed the connection"));
      socket.once("secureConnect", () => {
        cancel();
        if (socket.alpnProtocol !== "h2") return fail("what answers there is no weft");
        resolve(socket);
      });
    });
  }
}

/** @throws WeftError "invalid" */
export function placeOf(address: string): { readonly host: string; readonly port: number } {
  const [, host = "", port = ""] = /^(\[[0-9a-fA-F:.]+\]|[^:\s/[\]]+):([1-9]\d{0,4})$/.exec(address) ?? [];
  if (host === "" || Number(port) > 65_535) {
    throw new WeftError("invalid", `${JSON.stringify(address)} is no ADDRESS:PORT such as 10.0.0.5:15016`);
  }
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}
