/**
 * The SPIFFE Workload Endpoint: gRPC on a Unix socket, without TLS and without proof by the caller, whom the kernel names
 * (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_Endpoint.md).
 */
import { constants, createServer, type Http2Server, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { Code, ConnectError, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { SpiffeWorkloadAPI } from "../gen/spiffe/workload_pb.ts";
import { CallBudget } from "../lib/call-budget.ts";
import { WeftError } from "../lib/errors.ts";
import { grpcMessage } from "../lib/grpc-message.ts";
import { GRPC_STATUS } from "../lib/grpc-status.ts";
import { toLocalhost } from "../lib/http2-request.ts";
import type { Attestation } from "./attest.ts";
import { type CallParts, fetchJwtSvid, jwtBundles, type Source, validateJwtSvid, x509Bundles, x509Svids } from "./calls.ts";
import { Connections } from "./connections.ts";
import { executableHashes } from "./executable-hash.ts";
import { follow, type Wake } from "./follow.ts";
import { JwtSvids } from "./jwt-svids.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { listenForOwner, openToAll } from "./listen.ts";
import { cannotAttest } from "./self-test.ts";
import type { WorkloadApiOptions } from "./types.ts";
import { unixNames } from "./unix-names.ts";

export interface WorkloadApi {
  /** Undefined where the API is served; else why the socket was not opened. */
  readonly closedBecause?: string;
  /** The registrations may have changed. */
  changed(): void;
  /** Ends the streams, and cuts what is open after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Workload Endpoint, 3: so that who can make a server send requests cannot ask here, unless they rule its gRPC metadata too. */
const SECURITY_HEADER = "workload.spiffe.io";
const SHUTTING_DOWN = "weft is shutting down";
const callerKey = createContextKey<Attestation | undefined>(undefined);

const CODES: Readonly<Partial<Record<WeftError["code"], Code>>> = {
  invalid: Code.InvalidArgument,
  forbidden: Code.PermissionDenied,
  unavailable: Code.Unavailable,
};

/** Fails closed: where the kernel does not say who connects, no socket is opened. @throws WeftError "unavailable" where the path cannot be served */
export async function serveWorkloadApi(options: WorkloadApiOptions): Promise<WorkloadApi> {
  const { path, clock, observer = {} } = options;
  const closedBecause = await cannotAttest();
  if (closedBecause !== undefined) return { closedBecause, changed() {}, close: async () => {} };

  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const jwtSvids = new JwtSvids(options.issueJwtSvid, clock, limits.maxJwtSvids);
  const parts: CallParts = {
    ...options,
    limits,
    jwtSvids,
    surroundings: { names: unixNames(), hashOf: executableHashes(clock) },
    tooMany: (who, count) =>
      observer.refused?.({
        method: "entitlements",
        who,
        code: "RESOURCE_EXHAUSTED",
        reason: `${count} identities are registered for it: those beyond the first ${limits.maxIdentities}, of the youngest registrations, are left out`,
      }),
  };
  const budget = new CallBudget(clock, limits.callRate);
  let ending = false;
  const streams = new Map<Wake, AbortController>();
  const wakeAll = () => {
    for (const { wake } of streams.keys()) wake();
  };
  const stopBundles = options.bundles.onChange(() => {
    jwtSvids.clear();
    wakeAll();
  });

  const server = createServer({ settings: { maxConcurrentStreams: limits.maxCallsPerConnection, maxHeaderListSize: 16 * 1024 } });
  server.maxConnections = limits.maxConnections;
  const connections = new Connections(server, limits, {
    changed: (by) => observer.changed?.("connections", by),
    refused: (who) => observer.refused?.({ method: "connect", who, code: "UNAVAILABLE", reason: "the user has too many connections" }),
  });

  const turnAway = (method: string, { who }: Attestation, reason: unknown): ConnectError => {
    const error = statusOf(reason);
    observer.refused?.({ method, who, code: GRPC_STATUS[error.code] ?? "UNKNOWN", reason: error.rawMessage });
    return error;
  };
  const callerOf = (context: HandlerContext): Attestation => {
    const caller = context.values.get(callerKey);
    if (!caller) throw new ConnectError("internal error", Code.Internal);
    return caller;
  };
  const unary = async <Answer>(method: string, context: HandlerContext, run: (caller: Attestation) => Promise<Answer>): Promise<Answer> => {
    const caller = callerOf(context);
    try {
      const answer = await run(caller);
      observer.answered?.({ method, who: caller.who });
      return answer;
    } catch (reason) {
      throw turnAway(method, caller, reason);
    }
  };
  const issuing =
    (method: string, { who }: Attestation) =>
    async (svids: readonly string[]) =>
      observer.issuing?.({ method, who, svids });
  async function* stream<Message>(
    method: string,
    context: HandlerContext,
    sourceOf: (caller: Attestation, parts: CallParts) => Source<Message>,
  ) {
    const caller = callerOf(context);
    const source = sourceOf(caller, parts);
    const onMessage = async ({ svids = [] }: { readonly svids?: readonly string[] }) => {
      if (svids.length > 0) await issuing(method, caller)(svids);
      observer.answered?.({ method, who: caller.who });
    };
    const own = new AbortController();
    const lost = () => own.abort();
    context.signal.addEventListener("abort", lost, { once: true });
    streams.set(source.wake, own);
    try {
      if (context.signal.aborted) return;
      const { signal } = own;
      yield* follow({ look: () => source.look(), wake: source.wake, signal, onMessage, clock, gapMs: limits.betweenMessagesMs });
      if (ending && !context.signal.aborted) throw new WeftError("unavailable", SHUTTING_DOWN);
    } catch (reason) {
      throw turnAway(method, caller, reason);
    } finally {
      context.signal.removeEventListener("abort", lost);
      streams.delete(source.wake);
      source.close();
    }
  }

  const handler = connectNodeAdapter({
    connect: false,
    grpcWeb: false,
    // A compressed request could be small on the wire and large in memory.
    acceptCompression: [],
    readMaxBytes: limits.maxMessageBytes,
    contextValues: (request) =>
      createContextValues().set(callerKey, connections.callerOf("stream" in request ? request.stream.session : undefined)),
    // The WIT-SVID profile, reflection and whatever else: not here (Workload API, 7).
    fallback: (_request, response) => answer(response as Http2ServerResponse, Code.Unimplemented, "weft does not serve this"),
    routes: (router) =>
      router.service(SpiffeWorkloadAPI, {
        fetchX509SVID: (_request, context) => stream("FetchX509SVID", context, x509Svids),
        fetchX509Bundles: (_request, context) => stream("FetchX509Bundles", context, x509Bundles),
        fetchJWTBundles: (_request, context) => stream("FetchJWTBundles", context, jwtBundles),
        fetchJWTSVID: (request, context) =>
          unary("FetchJWTSVID", context, (caller) => fetchJwtSvid(caller, request, parts, issuing("FetchJWTSVID", caller))),
        validateJWTSVID: (request, context) => unary("ValidateJWTSVID", context, (caller) => validateJwtSvid(caller, request, parts)),
      }),
  });

  server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const { session } = request.stream;
    // Gone already where the peer reset the stream, or the connection.
    if (!session || session.destroyed) return;
    if (!budget.take(session)) return session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    const caller = connections.callerOf(session);
    if (caller?.uid === undefined) return request.stream.close();
    const { uid } = caller;
    const refuse = (code: Code, reason: string) => {
      observer.refused?.({ method: methodOf(request), who: caller.who, code: GRPC_STATUS[code] ?? "UNKNOWN", reason });
      answer(response, code, reason);
    };
    if (request.headers[SECURITY_HEADER] !== "true") {
      return refuse(Code.InvalidArgument, `the metadata ${SECURITY_HEADER}: true is missing`);
    }
    const calls = connections.count(uid, 1);
    observer.changed?.("calls", 1);
    response.once("close", () => {
      connections.count(uid, -1);
      observer.changed?.("calls", -1);
    });
    if (calls > limits.maxCallsPerUid) return refuse(Code.Unavailable, "the user has too many calls under way");
    if (ending) return refuse(Code.Unavailable, SHUTTING_DOWN);
    if (!toLocalhost(request)) return refuse(Code.Unimplemented, "there is no such path");
    handler(request, response);
  });
  await listenForOwner(server, path);
  openToAll(path);
  return { changed: wakeAll, close: (graceMs) => close(server, graceMs) };

  async function close(listening: Http2Server, graceMs: number): Promise<void> {
    stopBundles();
    ending = true;
    for (const stream of streams.values()) stream.abort();
    const stopped = new Promise<void>((resolve) => listening.close(() => resolve()));
    connections.sayGoodbye();
    const cancel = clock.after(graceMs, () => connections.destroy());
    await stopped;
    cancel();
    connections.destroy();
  }
}

/** A response without a body, as gRPC says a status before anything else. */
function answer(response: Pick<Http2ServerResponse, "writeHead" | "end">, code: Code, reason: string): void {
  response.writeHead(200, { "content-type": "application/grpc", "grpc-status": String(code), "grpc-message": grpcMessage(reason) });
  response.end();
}

/** Names that nobody sends are not worth a record each. */
function methodOf({ url }: Http2ServerRequest): string {
  const [, service, method = ""] = url.split("/");
  return service === SpiffeWorkloadAPI.typeName && SpiffeWorkloadAPI.methods.some(({ name }) => name === method)
    ? method
    : "another method";
}

/** A defect's message stays here. */
function statusOf(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return reason;
  const { code, message } = WeftError.from(reason);
  const status = CODES[code];
  return status === undefined
    ? new ConnectError("internal error", Code.Internal, undefined, undefined, reason)
    : new ConnectError(message, status);
}
