/**
 * gRPC's length-prefixed messages (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): a byte that
 * says whether the message is compressed, its length in four bytes, its bytes.
 */
import { Code, ConnectError } from "@connectrpc/connect";

export const PREFIX = 5;

const NOTHING = Buffer.alloc(0);

/** So many chunks become one: a peer that sends a byte at a time must not cost an object for each. */
const MANY_CHUNKS = 1024;

/** Cuts a stream of bytes into messages. It keeps no more than one message and one chunk, and refuses by the prefix alone what it will not keep. */
export class MessageReader {
  private readonly maxBytes: number;
  private chunks: Buffer[] = [];
  /** How many of them, at the front, are merged ones. */
  private merged = 0;
  private length = 0;
  private needed = PREFIX;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Whether a message was begun and is not whole. */
  get partial(): boolean {
    return this.length > 0;
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED (longer than `maxBytes`), INTERNAL (compressed, which nobody said it might be) */
  *add(chunk: Buffer): Generator<Buffer> {
    this.chunks.push(chunk);
    if (this.chunks.length - this.merged >= MANY_CHUNKS) {
      this.chunks.push(Buffer.concat(this.chunks.splice(this.merged)));
      this.merged += 1;
    }
    this.length += chunk.length;
    while (this.length >= this.needed) {
      const bytes = this.chunks.length === 1 && this.chunks[0] ? this.chunks[0] : Buffer.concat(this.chunks);
      this.chunks = [bytes];
      this.merged = 0;
      const length = this.judge(bytes);
      this.needed = PREFIX + length;
      if (this.length < this.needed) return;
      const rest = bytes.subarray(this.needed);
      this.length = rest.length;
      this.chunks = rest.length > 0 ? [rest] : [];
      this.needed = PREFIX;
      yield length === 0 ? NOTHING : bytes.subarray(PREFIX, PREFIX + length);
    }
  }

  private judge(bytes: Buffer): number {
    const length = bytes.readUInt32BE(1);
    if (length > this.maxBytes) {
      throw new ConnectError(`a message of ${length} bytes is longer than the limit, ${this.maxBytes}`, Code.ResourceExhausted);
    }
    if (bytes.readUInt8(0) !== 0) throw new ConnectError("a compressed message, though the call names no compression", Code.Internal);
    return length;
  }
}
