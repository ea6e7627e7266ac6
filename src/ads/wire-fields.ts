/**
 * A protobuf message from length-delimited fields, in one piece of memory of the right size: responses hold megabytes that are encoded already.
 * https://protobuf.dev/programming-guides/encoding/
 */

/** A field's number, below 16, and its value. */
export type Field = readonly [number: number, value: Uint8Array];

const LENGTH_DELIMITED = 2;

/** A string field, which is left out where it is empty, as proto3 does; but not of a list (`repeated`). */
export function text(number: number, value: string, repeated = false): readonly Field[] {
  return value === "" && !repeated ? [] : [[number, Buffer.from(value)]];
}

export function fieldsToBinary(fields: readonly Field[]): Uint8Array {
  let size = 0;
  for (const [, { length }] of fields) size += 1 + varintSize(length) + length;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const [number, value] of fields) {
    bytes[at] = (number << 3) | LENGTH_DELIMITED;
    at += 1;
    let { length } = value;
    for (; length >= 0x80; length >>>= 7) {
      bytes[at] = (length & 0x7f) | 0x80;
      at += 1;
    }
    bytes[at] = length;
    at += 1;
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest >>>= 7) size += 1;
  return size;
}
