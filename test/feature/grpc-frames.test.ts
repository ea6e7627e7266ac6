import { expect, test } from "bun:test";
import { MessageReader, PREFIX } from "../../src/ads/grpc-frames.ts";

/** A message as it stands on the wire. */
function framed(bytes: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

test("messages are the same however their bytes are cut into chunks, one byte at a time too", () => {
  const messages = [0, 1, 1_023, 1_024, 5_000, 3].map((length) => Buffer.from(Array.from({ length }, (_, at) => at % 251)));
  const wire = Buffer.concat(messages.map(framed));
  for (const size of [1, 2, 1_000, wire.length]) {
    const reader = new MessageReader(5_000);
    const read: Buffer[] = [];
    for (let at = 0; at < wire.length; at += size) read.push(...reader.add(wire.subarray(at, at + size)));
    expect(read.map((one) => one.toString("hex"))).toEqual(messages.map((one) => one.toString("hex")));
    expect(reader.partial).toBe(false);
  }
});
