/** HTTP/2 by hand (RFC 9113), for peers that do what no library does. */
import type { Socket } from "node:net";

export const FRAME = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9 } as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;

/** Section 4.1. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const MAGIC = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** The connection preface with these SETTINGS: section 3.4, and 6.5.1 for the pairs. */
export function preface(settings: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  return Buffer.concat([Buffer.from(MAGIC), frame(FRAME.settings, 0, 0, payload)]);
}

/** A length with a prefix of 7 bits: RFC 7541, 5.1. */
function lengthOf(text: string): Buffer {
  let rest = Buffer.byteLength(text);
  if (rest < 127) return Buffer.from([rest]);
  const bytes = [127];
  for (rest -= 127; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** Header fields as literals that touch no table: RFC 7541, 6.2.2. `indexed`: 6.2.1, which fills the peer's table. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[], indexed = false): Buffer {
  const start = Buffer.from([indexed ? 0x40 : 0]);
  return Buffer.concat(fields.flatMap(([name, value]) => [start, lengthOf(name), Buffer.from(name), lengthOf(value), Buffer.from(value)]));
}

/** A gRPC message: flags, length, bytes. `length` may lie. */
export function envelope(message: Uint8Array, { flags = 0, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

/** A connection to an HTTP/2 door; counts what comes, and keeps only the payload of DATA. */
export class Http2Peer {
  readonly socket: Socket;
  /** Frames that came, by type. */
  readonly came = new Map<number, number>();
  /** DATA by stream. */
  readonly data = new Map<number, Buffer>();
  /** Streams that the server ended: by END_STREAM or RST_STREAM. */
  readonly ended = new Set<number>();
  /** Whether SETTINGS and PINGs are acknowledged, as a peer should. */
  polite = true;
  private rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, hello: Buffer = preface()) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => this.read(bytes));
    // A server that has enough resets its connection; `closed` tells.
    socket.on("error", () => {});
    socket.write(hello);
  }

  get closed(): boolean {
    return this.socket.destroyed || this.socket.readyState === "closed" || this.socket.readableEnded;
  }

  /** Waits where the server does not read. @returns whether the connection still stands */
  async write(bytes: Uint8Array, limitMs = 1_000): Promise<boolean> {
    if (this.closed || !this.socket.writable) return false;
    if (this.socket.write(bytes)) return true;
    return await new Promise<boolean>((resolve) => {
      const end = (open: boolean) => {
        clearTimeout(timer);
        this.socket.off("drain", drained);
        this.socket.off("close", gone);
        resolve(open);
      };
      const drained = () => end(true);
      const gone = () => end(false);
      const timer = setTimeout(() => end(false), limitMs);
      this.socket.once("drain", drained).once("close", gone);
    });
  }

  /** HEADERS of a call, and DATA where there is a message. */
  request(stream: number, fields: readonly (readonly [string, string])[], body?: Uint8Array): Buffer {
    const headers = frame(FRAME.headers, FLAG.endHeaders, stream, headerBlock(fields));
    return body ? Buffer.concat([headers, frame(FRAME.data, 0, stream, body)]) : headers;
  }

  private read(bytes: Buffer): void {
    this.rest = this.rest.length > 0 ? Buffer.concat([this.rest, bytes]) : bytes;
    let at = 0;
    for (; at + 9 <= this.rest.length; ) {
      const length = this.rest.readUIntBE(at, 3);
      if (at + 9 + length > this.rest.length) break;
      this.take(
        this.rest[at + 3] ?? 0,
        this.rest[at + 4] ?? 0,
        this.rest.readUInt32BE(at + 5),
        this.rest.subarray(at + 9, at + 9 + length),
      );
      at += 9 + length;
    }
    this.rest = Buffer.from(this.rest.subarray(at));
  }

  private take(type: number, flags: number, stream: number, payload: Buffer): void {
    this.came.set(type, (this.came.get(type) ?? 0) + 1);
    if (type === FRAME.data) this.data.set(stream, Buffer.concat([this.data.get(stream) ?? Buffer.alloc(0), payload]));
    if (type === FRAME.rstStream || ((type === FRAME.data || type === FRAME.headers) && flags & FLAG.endStream)) this.ended.add(stream);
    if (!this.polite || this.socket.destroyed) return;
    if (type === FRAME.settings && !(flags & FLAG.ack)) this.socket.write(frame(FRAME.settings, FLAG.ack, 0));
    if (type === FRAME.ping && !(flags & FLAG.ack)) this.socket.write(frame(FRAME.ping, FLAG.ack, 0, payload));
    if (type === FRAME.data && payload.length > 0) {
      const more = Buffer.alloc(4);
      more.writeUInt32BE(payload.length);
      this.socket.write(Buffer.concat([frame(FRAME.windowUpdate, 0, 0, more), frame(FRAME.windowUpdate, 0, stream, more)]));
    }
  }
}
