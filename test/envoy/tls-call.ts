/** A TLS connection of a client's, held open for as many requests as a test wants. */
import { connect, type TLSSocket } from "node:tls";
import type { Pair } from "../fakes/certificates.ts";

export interface Place {
  readonly address: string;
  readonly port: number;
}

export interface HeldConnection {
  /** SHA-256 of the certificate that the server showed. */
  readonly fingerprint: string;
  /** One request over HTTP/1.1; status 0 where the connection is gone. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  close(): void;
}

const LIMIT_MS = 15_000;

/** Undefined where TLS comes to nothing. The certificate is not judged here: the test looks at its fingerprint. */
export function holdTls({ address, port }: Place, host: string, client?: Pair): Promise<HeldConnection | undefined> {
  return new Promise((resolve) => {
    const certificate = client ? { cert: client.certificate, key: client.key } : {};
    const options = { host: address, port, servername: host, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"], ...certificate };
    const socket: TLSSocket = connect(options, () => {
      const { fingerprint256 } = socket.getPeerCertificate();
      resolve({ fingerprint: fingerprint256, get: (path) => exchange(socket, host, path), close: () => socket.destroy() });
    });
    socket.setTimeout(LIMIT_MS, () => socket.destroy());
    socket.on("error", () => resolve(undefined));
    socket.on("close", () => resolve(undefined));
  });
}

function exchange(socket: TLSSocket, host: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve) => {
    let text = "";
    const end = (status: number) => {
      socket.off("data", onData);
      socket.off("close", onClose);
      resolve({ status, text });
    };
    const onClose = () => end(0);
    const onData = (bytes: Buffer) => {
      text += bytes.toString("latin1");
      const [head, body] = text.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head ?? "")?.[1] ?? Number.NaN);
      const isWhole = body !== undefined && (Number.isNaN(length) ? text.endsWith("0\r\n\r\n") : body.length >= length);
      if (isWhole) end(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0));
    };
    socket.on("data", onData);
    socket.on("close", onClose);
    if (socket.destroyed) return end(0);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    return undefined;
  });
}

/** One request on a connection of its own; status 0 where TLS or the connection comes to nothing. */
export async function getOverTls(place: Place, host: string, client?: Pair): Promise<{ readonly status: number; readonly text: string }> {
  const held = await holdTls(place, host, client);
  const answer = (await held?.get("/")) ?? { status: 0, text: "" };
  held?.close();
  return answer;
}
