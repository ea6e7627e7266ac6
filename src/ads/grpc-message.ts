/**
 * Refusals in words that people can read where Envoy logs them: Envoy prints `grpc-message` as it was sent. The runtime percent-encodes every
 * space; gRPC asks for it only outside of printable ASCII, and of the percent sign itself (gRPC over HTTP/2, Responses, Percent-Byte-Encoded).
 */
import type { OutgoingHttpHeaders } from "node:http";
import type { Http2ServerResponse } from "node:http2";

const NAME = "grpc-message";

/** Its trailers carry as much percent-encoding as gRPC asks for. */
export function sayPlainly(response: Http2ServerResponse): Http2ServerResponse {
  const add = response.addTrailers;
  response.addTrailers = (trailers: OutgoingHttpHeaders) => {
    const message = trailers[NAME];
    add.call(response, typeof message === "string" ? { ...trailers, [NAME]: plainly(message) } : trailers);
  };
  return response;
}

/** `encoded`: by encodeURIComponent. What is encoded otherwise stays as it is. */
export function plainly(encoded: string): string {
  try {
    // A field's value neither begins nor ends with a space (RFC 9113, 8.2.1).
    return decodeURIComponent(encoded).replace(/[^\x20-\x24\x26-\x7e]+|^ +| +$/gu, encodeURIComponent);
  } catch {
    return encoded;
  }
}
