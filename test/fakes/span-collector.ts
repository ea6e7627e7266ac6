/**
 * A collector of spans, OTLP over gRPC (opentelemetry-proto, collector/trace/v1), that remembers them. A fake, for a real one (Jaeger, the OpenTelemetry
 * Collector) takes minutes to build or to fetch; what is under test is what Envoy sends, read here field by field.
 */

import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

export interface Span {
  /** service.name of its resource. */
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** "" for the first of a trace. */
  readonly parentId: string;
  readonly name: string;
  /** 2 server, 3 client. */
  readonly kind: number;
  /** Those that are texts. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface SpanCollector {
  readonly port: number;
  readonly spans: Span[];
  close(): void;
}

const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

export async function startSpanCollector(): Promise<SpanCollector> {
  const spans: Span[] = [];
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("error", () => {});
    stream.on("end", () => {
      const known = headers[":path"] === EXPORT;
      // After the five bytes of gRPC's frame.
      if (known) spans.push(...spansOf(Buffer.concat(pieces).subarray(5)));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": known ? "0" : "12" }));
      stream.end(known ? Buffer.alloc(5) : undefined);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, spans, close: () => server.close() };
}

type Field = Uint8Array | number;

/** The fields of a message by number: bytes where they have a length, numbers where they are varints; others are passed over. */
function fieldsOf(bytes: Uint8Array): ReadonlyMap<number, readonly Field[]> {
  const fields = new Map<number, Field[]>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.set(number, [...(fields.get(number) ?? []), reader.bytes()]);
    else if (type === WireType.Varint) fields.set(number, [Number(reader.uint64())]);
    else reader.skip(type, number);
  }
  return fields;
}

const parts = (bytes: Uint8Array, ...numbers: readonly number[]): readonly Uint8Array[] =>
  numbers.reduce<readonly Uint8Array[]>(
    (all, number) => all.flatMap((one) => (fieldsOf(one).get(number) ?? []).filter((field) => typeof field !== "number")),
    [bytes],
  );

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");

/** Of KeyValues in field `number`. */
function attributesOf(bytes: Uint8Array, number: number): Record<string, string> {
  return Object.fromEntries(parts(bytes, number).map((pair) => [text(parts(pair, 1)[0]), text(parts(pair, 2, 1)[0])]));
}

/** ExportTraceServiceRequest: resource_spans, each with a resource and scope_spans, each with spans. */
function spansOf(request: Uint8Array): Span[] {
  return parts(request, 1).flatMap((group) => {
    const [resource = new Uint8Array()] = parts(group, 1);
    const service = attributesOf(resource, 1)["service.name"] ?? "";
    return parts(group, 2, 2).map((span) => ({
      service,
      traceId: hex(parts(span, 1)[0]),
      spanId: hex(parts(span, 2)[0]),
      parentId: hex(parts(span, 4)[0]),
      name: text(parts(span, 5)[0]),
      kind: Number(fieldsOf(span).get(6)?.[0] ?? 0),
      attributes: attributesOf(span, 9),
    }));
  });
}
