/** HTTP/1.1 by hand, for callers that send what no library sends. */
import type { Door } from "./types.ts";

export interface Http1Answer {
  /** 0 where none came. */
  readonly status: number;
  readonly text: string;
}

/** Sends `bytes` and waits for the end of the connection, or `limitMs`. Never rejects. */
export async function exchange(door: Door, bytes: string | Uint8Array, limitMs = 5_000): Promise<Http1Answer> {
  const socket = await door.open().catch(() => undefined);
  if (!socket) return { status: 0, text: "" };
  return await new Promise((resolve) => {
    let text = "";
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ status: Number(/^HTTP\/1\.\d (\d{3})/.exec(text)?.[1] ?? 0), text });
    };
    const timer = setTimeout(end, limitMs);
    socket.on("data", (data: Buffer) => (text += data.toString("latin1")));
    socket.once("close", end);
    socket.once("error", end);
    socket.write(bytes);
  });
}

export function request(method: string, path: string, headers: Readonly<Record<string, string>> = {}, body = ""): string {
  const all = {
    host: "127.0.0.1",
    connection: "close",
    ...(body ? { "content-length": String(Buffer.byteLength(body)) } : {}),
    ...headers,
  };
  return `${method} ${path} HTTP/1.1\r\n${Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n${body}`;
}
