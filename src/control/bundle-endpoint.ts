/**
 * Where other trust domains fetch this one's bundle (SPIFFE Federation, 5.2): https, GET, and nothing else. It serves with weft's own X.509-SVID
 * (https_spiffe), or with an operator's certificate that browsers know too (https_web). Nobody has to say who they are: a bundle is public.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { type SpiffeAuthority, type SpiffeBundle, spiffeBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { type ServerCertificate, serverTlsOptions } from "../lib/server-tls.ts";

export interface BundleEndpointSettings {
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** What the bundle says of how often it is fetched: every new authority is in it for so long before it signs. */
  readonly refreshHintMs: number;
  /** Paths of PEM files (https_web); absent: weft's own SVID (https_spiffe). */
  readonly files?: { readonly certificate: string; readonly key: string };
}

export interface BundleEndpoint {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface BundleEndpointOptions extends BundleEndpointSettings {
  readonly certificate: ServerCertificate;
  readonly authority: Pick<SpiffeAuthority, "bundle">;
  readonly clock: Clock;
}

/** A handshake, a request and its answer; who is slower than that holds a place for nothing. */
const CONNECTION_MS = 15_000;
/** Wefts that poll, not people: each comes once in minutes. */
const MOST_CONNECTIONS = 256;
const PATHS: ReadonlySet<string> = new Set(["/", "/v1/bundle"]);
/** Mozilla's intermediate compatibility (SPIFFE Federation, 5) for a certificate of an RSA key, which an operator's may be. */
const RSA_CIPHERS = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";

/** @throws WeftError "unavailable" where the address is taken or is not this machine's */
export async function listenForBundles(options: BundleEndpointOptions): Promise<BundleEndpoint> {
  const { host, port, certificate, authority, clock, refreshHintMs } = options;
  const http = createHttpServer({ keepAlive: false }, (request, response) =>
    answer(request, response, () => spiffeBundle({ ...authority.bundle(), refreshHint: Math.ceil(refreshHintMs / 1_000) })),
  );
  const open = new Set<TLSSocket>();
  const server = createServer(tlsOptions(certificate), (socket) => {
    // Who goes away in the middle is no event for weft.
    socket.on("error", () => {});
    if (open.size >= MOST_CONNECTIONS) {
      socket.destroy();
      return;
    }
    const cancel = clock.after(CONNECTION_MS, () => socket.destroy());
    open.add(socket);
    socket.once("close", () => {
      cancel();
      open.delete(socket);
    });
    http.emit("connection", socket);
  });
  server.on("tlsClientError", (_, socket: TLSSocket) => socket.destroy());
  const stop = certificate.onRenewal(() => server.setSecureContext(tlsOptions(certificate)));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(cannotListen(`${host}:${port}`, cause)));
    server.listen(port, host, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    async close() {
      stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** No client certificate is asked for (5.2.1.3, 5.2.2.3). */
function tlsOptions(certificate: ServerCertificate): TlsOptions {
  const options = serverTlsOptions(certificate, "http/1.1");
  return { ...options, ciphers: `${options.ciphers}:${RSA_CIPHERS}`, requestCert: false };
}

function answer({ method, url = "" }: IncomingMessage, response: ServerResponse, bundle: () => SpiffeBundle): void {
  const end = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) => {
    const text = `${JSON.stringify(body)}\n`;
    response.writeHead(status, {
      "content-type": status === 200 ? "application/json" : "application/problem+json",
      "content-length": Buffer.byteLength(text),
      connection: "close",
      "x-content-type-options": "nosniff",
      ...headers,
    });
    response.end(method === "HEAD" ? undefined : text);
  };
  if (method !== "GET" && method !== "HEAD") end(405, { title: "only GET is served here", status: 405 }, { allow: "GET, HEAD" });
  else if (!PATHS.has(url.replace(/[?#].*$/, ""))) end(404, { title: "the bundle is at /", status: 404 });
  else end(200, bundle());
}

function cannotListen(address: string, cause: unknown): WeftError {
  const reason = errnoOf(cause) === "EADDRINUSE" ? "something else does" : WeftError.from(cause).message;
  return new WeftError("unavailable", `The bundle endpoint cannot listen on ${address}: ${reason}`, {
    help: "choose another address with --bundle-endpoint ADDR:PORT (port 0: the system chooses)",
    cause,
  });
}
