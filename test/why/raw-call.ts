/** An HTTP/1.1 request exactly as written: no client normalizes its path. */
import { connect } from "node:net";
import type { SocketAddress } from "../../scripts/lib/lab/network.ts";

export interface RawAnswer {
  /** 0 where the connection ended without an answer. */
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly error?: string;
}

const LIMIT_MS = 10_000;

/** On a connection of its own. Never rejects. */
export function rawCall(
  to: SocketAddress,
  request: { readonly method: string; readonly path: string; readonly headers: readonly (readonly [string, string])[] },
): Promise<RawAnswer> {
  const lines = [
    `${request.method} ${request.path} HTTP/1.1`,
    ...request.headers.map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const socket = connect({ host: to.address, port: to.port }, () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
    const end = (error?: string) => {
      resolve(parse(Buffer.concat(pieces).toString("latin1"), error));
      socket.destroy();
    };
    socket.setTimeout(LIMIT_MS, () => end("timeout"));
    socket.on("data", (piece: Buffer) => {
      pieces.push(piece);
      // Envoy keeps a connection that it wants closed for a second more, for the client to close it.
      if (isWhole(Buffer.concat(pieces).toString("latin1"))) end();
    });
    socket.once("end", () => end());
    socket.once("close", () => end());
    socket.once("error", (reason) => end(reason.message));
  });
}

function isWhole(text: string): boolean {
  const split = text.indexOf("\r\n\r\n");
  if (split < 0) return false;
  const [head, body] = [text.slice(0, split).toLowerCase(), text.slice(split + 4)];
  if (head.includes("transfer-encoding: chunked")) return body.endsWith("0\r\n\r\n");
  return body.length >= Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
}

function parse(text: string, error: string | undefined): RawAnswer {
  const split = text.indexOf("\r\n\r\n");
  const [first = "", ...fields] = text.slice(0, Math.max(0, split)).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0);
  if (status === 0) return { status, headers: {}, body: text, error: error ?? "closed" };
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const colon = field.indexOf(":");
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
  }
  const body = text.slice(split + 4);
  return { status, headers, body: headers["transfer-encoding"] === "chunked" ? unchunked(body) : body };
}

function unchunked(text: string): string {
  let [rest, whole] = [text, ""];
  for (;;) {
    const line = rest.indexOf("\r\n");
    const size = Number.parseInt(rest.slice(0, Math.max(0, line)), 16);
    if (line < 0 || !(size > 0)) return whole;
    whole += rest.slice(line + 2, line + 2 + size);
    rest = rest.slice(line + 4 + size);
  }
}
