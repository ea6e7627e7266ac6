/** HTTP/2 requests as connect-node takes them. */

/**
 * Names the server "localhost", whatever the client calls it: gRPC clients of a Unix socket write its path there, percent-encoded, and connect-node makes
 * a URL of it, which throws where it can be none, in an event handler, where nobody catches. False where the path too would throw: then
 * nothing is served there.
 */
export function toLocalhost(request: { readonly headers: Record<string, string | string[] | undefined>; readonly url: string }): boolean {
  request.headers[":authority"] = "localhost";
  try {
    new URL(request.url, "http://localhost");
    return true;
  } catch {
    return false;
  }
}
