/** HTTP/2 by hand, for peers that do what no library does. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "../../src/gen/weft/ads/v1/discovery_pb.ts";

/** Frame types: RFC 9113, section 6. */
export const HEADERS = 1;
export const RST_STREAM = 3;
export const GOAWAY = 7;

/** An HTTP/2 frame: RFC 9113, section 4.1. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** The connection preface with empty SETTINGS: RFC 9113, section 3.4. */
export const preface = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, Buffer.alloc(0))]);

/** HEADERS and DATA of one delta request on a new `stream`, 1, 3, 5 ...; header fields are literals without a table (RFC 7541, 6.2.2). */
export function rawDeltaRequest(stream: number, fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Buffer {
  const headers = {
    ":method": "POST",
    ":scheme": "http",
    ":authority": "localhost",
    ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "content-type": "application/grpc",
    authorization: "Bearer default/raw",
  };
  const literal = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
  const block = Object.entries(headers).flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]);
  return Buffer.concat([frame(HEADERS, 4, stream, Buffer.concat(block)), frame(0, 0, stream, envelope(fields))]);
}

/** A gRPC message: no compression, its length, its bytes. */
function envelope(fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Buffer {
  const message = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The whole frames in `bytes`. */
export function frames(bytes: Buffer): Frame[] {
  const found: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    if (at + 9 + length > bytes.length) break;
    const payload = bytes.subarray(at + 9, at + 9 + length);
    found.push({ type: bytes.readUInt8(at + 3), flags: bytes.readUInt8(at + 4), stream: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return found;
}
