/**
 * Refusals in words that people can read where Envoy logs them: Envoy prints `grpc-message` as it was sent.
 */

/**
 * The value of `grpc-message`: percent-encoded outside of printable ASCII, and the percent sign itself (gRPC over HTTP/2, Responses,
 * Percent-Byte-Encoded). No more than that, for each space would be three characters.
 */
export function grpcMessage(text: string): string {
  // A field's value neither begins nor ends with a space (RFC 9113, 8.2.1).
  return text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]+|^ +| +$/gu, encodeURIComponent);
}
