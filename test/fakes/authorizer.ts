/** A service that answers Envoy's ext_authz, over HTTP and over gRPC, and remembers what it was asked. */
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Authorization } from "../../src/gen/envoy/service/auth/v3/external_auth_pb.ts";

export interface Question {
  readonly over: "http" | "grpc";
  readonly method: string;
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Of a TCP connection. */
  readonly peer: string;
}

export interface Authorizer {
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly asked: Question[];
  /** Whether to let it through. */
  allows: (question: Question) => boolean;
  close(): void;
}

/** Denies with status 401 (HTTP) or 423 (gRPC), and header x-reason; allows with header x-verified. */
export async function startAuthorizer(): Promise<Authorizer> {
  const asked: Question[] = [];
  const ask = (question: Question) => {
    asked.push(question);
    return authorizer.allows(question);
  };
  const http = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const headers = Object.fromEntries(request.headers);
      const body = await request.text();
      const ok = ask({ over: "http", method: request.method, path: pathname + search, headers, body, peer: "" });
      if (ok) return new Response("", { headers: { "x-verified": "yes", "x-secret": "kept" } });
      return new Response("who are you?", { status: 401, headers: { "x-reason": "unknown", "x-secret": "kept" } });
    },
  });
  const adapter = connectNodeAdapter({
    routes: (router) =>
      router.service(Authorization, {
        check({ attributes }) {
          const { method = "", path = "", headers = {}, body = "", rawBody } = attributes?.request?.http ?? {};
          const peer = attributes?.source?.principal ?? "";
          const text = rawBody && rawBody.length > 0 ? new TextDecoder().decode(rawBody) : body;
          if (ask({ over: "grpc", method, path, headers, body: text, peer })) {
            return {
              status: { code: 0 },
              httpResponse: { case: "okResponse", value: { headers: [{ header: { key: "x-verified", value: "yes" } }] } },
            };
          }
          return {
            status: { code: Code.PermissionDenied },
            httpResponse: { case: "deniedResponse", value: { status: { code: 423 }, body: "who are you?" } },
          };
        },
      }),
  });
  const grpc = createServer(adapter);
  await new Promise<void>((resolve) => grpc.listen(0, "127.0.0.1", resolve));
  const authorizer: Authorizer = {
    httpPort: http.port ?? 0,
    grpcPort: (grpc.address() as AddressInfo).port,
    asked,
    allows: () => true,
    close() {
      void http.stop(true);
      grpc.close();
    },
  };
  return authorizer;
}
