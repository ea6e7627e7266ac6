/**
 * Requests with long lists of names, read faster than by a protobuf library, which decodes each name by itself. It understands what it must to take
 * the names out, and leaves the rest, and all that is unusual, to the generated codec.
 * The wire format: https://protobuf.dev/programming-guides/encoding/
 */

/** Shorter ones are not worth a second look. */
const LONG = 512;

const NOT_ASCII = /[\x80-\xff]/;

export interface Taken {
  readonly strings: readonly string[];
  /** The message without them. */
  readonly rest: Uint8Array;
}

/** The values of `field`, a repeated string of the message; undefined where that is to be read in the ordinary way. */
export function takeStrings(bytes: Uint8Array, field: number): Taken | undefined {
  if (bytes.length < LONG) return undefined;
  // One character a byte: a name is cut out of it without being decoded.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const plain = !NOT_ASCII.test(text);
  const strings: string[] = [];
  const others: Uint8Array[] = [];
  const reader = new Reader(bytes);
  while (reader.at < bytes.length) {
    const start = reader.at;
    const tag = reader.varint();
    const isName = tag === ((field << 3) | 2);
    const length = lengthOf(reader, tag & 7);
    if (Number.isNaN(tag) || length === undefined || reader.at + length > bytes.length) return undefined;
    const from = reader.at;
    reader.at += length;
    if (!isName) {
      others.push(bytes.subarray(start, reader.at));
      continue;
    }
    const name = text.substring(from, reader.at);
    if (!plain && NOT_ASCII.test(name)) return undefined;
    strings.push(name);
  }
  return { strings, rest: Buffer.concat(others) };
}

/** How many bytes of the field are left after what was read of it; undefined for what is unknown or cut short. */
function lengthOf(reader: Reader, wireType: number): number | undefined {
  if (wireType === 0) return Number.isNaN(reader.varint()) ? undefined : 0;
  if (wireType === 1) return 8;
  if (wireType === 5) return 4;
  const length = wireType === 2 ? reader.varint() : Number.NaN;
  return Number.isNaN(length) ? undefined : length;
}

class Reader {
  at = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** At most 28 bits, which is more than a message may be long; NaN for more, and where it is cut short. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.bytes[this.at];
      if (byte === undefined) return Number.NaN;
      this.at += 1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  }
}
