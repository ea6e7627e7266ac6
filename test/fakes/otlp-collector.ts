/**
 * A stand-in for an OTLP/HTTP collector: it reads the protobuf by its field numbers (opentelemetry-proto, trace.proto), so that a test
 * sees what went over the wire, not what the SDK meant. Whether a real collector takes it is the concern of the test with Jaeger.
 */
export interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  /** String values only. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface OtlpCollector extends AsyncDisposable {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  readonly resource: Record<string, string>;
  readonly requests: { readonly path: string; readonly contentType: string; readonly headers: Headers }[];
}

export function startOtlpCollector(): OtlpCollector {
  const spans: ReceivedSpan[] = [];
  const resource: Record<string, string> = {};
  const requests: OtlpCollector["requests"] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const body = new Uint8Array(await request.arrayBuffer());
      requests.push({
        path: new URL(request.url).pathname,
        contentType: request.headers.get("content-type") ?? "",
        headers: request.headers,
      });
      for (const resourceSpans of fields(body, 1)) {
        for (const described of fields(resourceSpans, 1)) Object.assign(resource, attributes(described, 1));
        for (const scopeSpans of fields(resourceSpans, 2)) {
          for (const span of fields(scopeSpans, 2)) {
            spans.push({
              name: text(fields(span, 5)[0]),
              traceId: hex(fields(span, 1)[0]),
              spanId: hex(fields(span, 2)[0]),
              parentSpanId: hex(fields(span, 4)[0]),
              attributes: attributes(span, 9),
            });
          }
        }
      }
      return new Response(null, { headers: { "content-type": "application/x-protobuf" } });
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, spans, resource, requests, [Symbol.asyncDispose]: () => server.stop(true) };
}

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes ?? new Uint8Array());
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");

function attributes(message: Uint8Array, field: number): Record<string, string> {
  return Object.fromEntries(
    fields(message, field).map((pair) => [text(fields(pair, 1)[0]), text(fields(fields(pair, 2)[0] ?? new Uint8Array(), 1)[0])]),
  );
}

/** The length-delimited values of field `wanted`. https://protobuf.dev/programming-guides/encoding/ */
function fields(message: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 2) {
      const size = varint();
      if (Math.floor(tag / 8) === wanted) found.push(message.subarray(at, at + size));
      at += size;
    } else if (kind === 0) varint();
    else at += kind === 1 ? 8 : 4;
  }
  return found;
}
