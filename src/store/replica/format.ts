/**
 * The envelope of everything that replicas put into a shared log: "WF", the format's version, what it is, how it is packed, a checksum of what
 * follows, and that. The version stands outside, so that a node which cannot read an entry knows that it cannot, and why.
 */
import { crc32 } from "node:zlib";
import { WeftError } from "../../lib/errors.ts";

const MAGIC = [0x57, 0x46] as const;
/** The newest that this build writes and reads. Raise it with any change that an older build would misread. */
export const FORMAT = 1;
const HEADER_BYTES = 9;
/** Below this, packing saves less than it costs. */
const PACK_FROM_BYTES = 512;

export const KINDS = ["entry", "image"] as const;
export type Kind = (typeof KINDS)[number];

/** What the log holds cannot be read by this build, or was damaged. It is never skipped. */
export class Unreadable extends WeftError {
  constructor(message: string, help = "look at the engine's own log; weft goes on from the next snapshot that it can read") {
    super("unavailable", message, { help });
    this.name = "Unreadable";
  }
}

export function enclose(kind: Kind, payload: Uint8Array, packed: boolean): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes.set([...MAGIC, FORMAT, KINDS.indexOf(kind), packed ? 1 : 0]);
  new DataView(bytes.buffer).setUint32(5, crc32(payload));
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Packs a text where it pays. */
export async function encloseText(kind: Kind, text: string): Promise<Uint8Array> {
  const plain = new TextEncoder().encode(text);
  if (plain.length < PACK_FROM_BYTES) return enclose(kind, plain, false);
  const packed = await Bun.zstdCompress(plain);
  return packed.length < plain.length ? enclose(kind, packed, true) : enclose(kind, plain, false);
}

export interface Enclosed {
  readonly kind: Kind;
  readonly payload: Uint8Array;
  /** With Zstandard (RFC 8878). */
  readonly packed: boolean;
}

/** @param what "entry 812", for the message. @throws Unreadable */
export function disclose(bytes: Uint8Array, what: string): Enclosed {
  const [first, second, version = 0, kind = 0, packed = 0] = bytes;
  if (bytes.length < HEADER_BYTES || first !== MAGIC[0] || second !== MAGIC[1]) {
    throw new Unreadable(
      `${what} of the log is none of weft's, or damaged`,
      "give weft a prefix or a database of its own, for nothing else",
    );
  }
  if (version > FORMAT) {
    throw new Unreadable(
      `${what} of the log has format ${version}, of a newer weft; this one reads up to ${FORMAT}`,
      "update weft on this node",
    );
  }
  const name = KINDS[kind];
  const payload = bytes.subarray(HEADER_BYTES);
  if (name === undefined || packed > 1 || new DataView(bytes.buffer, bytes.byteOffset).getUint32(5) !== crc32(payload)) {
    throw new Unreadable(`${what} of the log is damaged`);
  }
  return { kind: name, payload, packed: packed === 1 };
}

/** @throws Unreadable */
export async function textOf({ payload, packed }: Enclosed, what: string): Promise<string> {
  try {
    const plain = packed ? await Bun.zstdDecompress(payload) : payload;
    return new TextDecoder("utf-8", { fatal: true }).decode(plain);
  } catch (reason) {
    throw new Unreadable(`${what} of the log is damaged: ${WeftError.from(reason).message}`);
  }
}
