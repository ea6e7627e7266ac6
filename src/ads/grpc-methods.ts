/** Which method a call is for, and whether it is gRPC as it is served here: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { grpcMessage } from "../lib/grpc-message.ts";

export type Methods<Handler> = ReadonlyMap<string, Handler>;

/** "Path → '/' Service-Name '/' {method name}" (Requests). */
export const pathOf = (method: DescMethod) => `/${method.parent.typeName}/${method.name}`;

/** "Content-Type → 'application/grpc' [('+proto' / '+json' / {custom})]": protobuf is the default. */
const PROTOBUF = /^application\/grpc(?:\+proto)?(?:;|$)/i;

/** The handler; undefined where the call cannot be served, which it has been told then. */
export function methodOf<Handler>(methods: Methods<Handler>, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Handler | undefined {
  const refuse = (answer: Record<string, string | number>) => {
    stream.on("error", () => {});
    stream.respond(answer, { endStream: true });
    stream.resume();
  };
  const unimplemented = (message: string) =>
    refuse({
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-accept-encoding": "identity",
      "grpc-status": String(Code.Unimplemented),
      "grpc-message": grpcMessage(message),
    });
  const [path = ""] = String(headers[":path"] ?? "").split("?", 1);
  const handler = methods.get(path);
  const encoding = headers["grpc-encoding"] ?? "identity";
  // Fetch* and whatever else.
  if (!handler) unimplemented("weft serves ADS and SDS as streams, and nothing else here");
  else if (headers[":method"] !== "POST") refuse({ ":status": 405, allow: "POST" });
  // "If Content-Type does not begin with 'application/grpc', gRPC servers SHOULD respond with HTTP status of 415" (Requests).
  else if (!PROTOBUF.test(headers["content-type"] ?? "")) refuse({ ":status": 415 });
  // A compressed request could be small on the wire and large in memory.
  else if (encoding !== "identity") unimplemented("no compression but identity is supported");
  else return handler;
  return undefined;
}
