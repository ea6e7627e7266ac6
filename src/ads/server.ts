/**
 * The ADS server.
 *
 * @example
 * const ads = createAdsServer({ authenticate, source, clock: systemClock });
 * await ads.listen({ host: "127.0.0.1", port: 15010 });
 * await ads.listen({ path: "weft-data/ads.sock", mode: 0o660 });
 */
import { randomUUID } from "node:crypto";
import type { Http2Server } from "node:http2";
import { Code, ConnectError, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { type ConnectNodeAdapterOptions, connectNodeAdapter } from "@connectrpc/connect-node";
import { AggregatedDiscoveryService } from "../gen/weft/ads/v1/discovery_pb.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { Connections } from "./connections.ts";
import { within } from "./deadline.ts";
import { toConnectError } from "./errors.ts";
import { Ledger, type LedgerReader } from "./ledger.ts";
import { type AdsLimits, DEFAULT_LIMITS } from "./limits.ts";
import { type Bound, bind, createHttp2Server, type TcpTarget, type UnixTarget } from "./listener.ts";
import { nothing, selfTest } from "./self-test.ts";
import { AdsStream } from "./stream.ts";
import type { Subscription } from "./subscription.ts";
import type { AdsObserver, Authenticate, Credentials, ProxyIdentity, SnapshotSource } from "./types.ts";
import { delta, sotw, type Variant } from "./variant.ts";

export interface AdsServerOptions {
  readonly authenticate: Authenticate;
  readonly source: SnapshotSource;
  readonly clock: Clock;
  readonly observer?: AdsObserver;
  readonly limits?: Partial<AdsLimits>;
  /** How long a proxy that left is remembered, milliseconds; one hour. */
  readonly rememberMs?: number;
  /** Makes unguessable ids; random UUIDs. */
  readonly newId?: () => string;
}

export interface AdsServer {
  /** May be called more than once. @throws WeftError "unavailable" */
  listen(target: TcpTarget): Promise<{ readonly address: string; readonly port: number }>;
  listen(target: UnixTarget): Promise<{ readonly path: string }>;
  /** Ends all streams with UNAVAILABLE after a GOAWAY; connections that are still there after `graceMs` are cut. */
  close(graceMs: number): Promise<void>;
  readonly ledger: LedgerReader;
  /** Opens a stream to each of its own listeners. @throws WeftError "unavailable" where no answer comes in 2 s. */
  selfTest(): Promise<void>;
}

type NodeRequest = Parameters<NonNullable<ConnectNodeAdapterOptions["contextValues"]>>[0];

interface Peer {
  readonly address: string;
  readonly transport: Credentials["transport"];
  readonly session: object;
  readonly connections: Connections;
}

interface Admitted {
  readonly proxy: ProxyIdentity;
  readonly selfTest: boolean;
}

const peerKey = createContextKey<Peer | undefined>(undefined);
const admittedKey = createContextKey<Admitted | undefined>(undefined);

const SHUTTING_DOWN = "weft is shutting down";

interface Listening {
  readonly server: Http2Server;
  readonly connections: Connections;
  readonly bound: Bound;
}

export function createAdsServer(options: AdsServerOptions): AdsServer {
  const { authenticate, source, clock, observer = {}, newId = randomUUID } = options;
  const limits: AdsLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const ledger = new Ledger({ clock, keepMs: options.rememberMs });
  const instance = newId().slice(0, 8);
  const streams = new Set<{ end(reason: string, error?: ConnectError): void }>();
  const listening: Listening[] = [];
  const selfTests = new Set<string>();
  let opened = 0;
  let closing = false;

  const admit = async (authorization: string | undefined, peer: Peer): Promise<Admitted> => {
    if (closing) throw new WeftError("unavailable", SHUTTING_DOWN);
    if (authorization !== undefined && selfTests.delete(authorization)) return { proxy: { id: "" }, selfTest: true };
    const late = () => new WeftError("unavailable", `nobody said in ${limits.authenticateMs} ms whose token this is; try again`);
    const proxy = await within(clock, limits.authenticateMs, authenticate({ authorization, transport: peer.transport }), late);
    if (closing) throw new WeftError("unavailable", SHUTTING_DOWN);
    return { proxy, selfTest: false };
  };

  const requestGate = async (context: HandlerContext): Promise<void> => {
    const peer = context.values.get(peerKey);
    if (!peer) throw new ConnectError("internal error", Code.Internal);
    try {
      context.values.set(admittedKey, await admit(context.requestHeader.get("authorization") ?? undefined, peer));
    } catch (reason) {
      const { code, message } = WeftError.from(reason);
      observer.refused?.({ code, reason: message, address: peer.address });
      throw toConnectError(reason);
    }
  };

  async function* serve<Request, Response, S extends Subscription>(
    variant: Variant<Request, Response, S>,
    requests: AsyncIterable<Request>,
    context: HandlerContext,
  ): AsyncGenerator<Response> {
    const peer = context.values.get(peerKey);
    const admitted = context.values.get(admittedKey);
    if (!peer || !admitted) throw new ConnectError("internal error", Code.Internal);
    opened += 1;
    const stream = new AdsStream(
      {
        proxy: admitted.proxy,
        address: peer.address,
        id: `${instance}.${opened}`,
        clock,
        limits,
        // Nobody's statistics: the self-test is no proxy.
        ...(admitted.selfTest ? { source: nothing, ledger: new Ledger({ clock }), observer: {} } : { source, ledger, observer }),
      },
      variant,
    );
    const lost = () => stream.end("the connection was lost");
    context.signal.addEventListener("abort", lost, { once: true });
    const onConnection = peer.connections.count(peer.session, 1);
    streams.add(stream);
    try {
      if (context.signal.aborted) return;
      if (!admitted.selfTest && (streams.size > limits.maxStreams || onConnection > limits.maxStreamsPerConnection)) {
        observer.refused?.({ code: "too_large", reason: "too many streams", address: peer.address });
        throw new ConnectError("too many streams", Code.ResourceExhausted);
      }
      yield* stream.run(requests);
    } finally {
      context.signal.removeEventListener("abort", lost);
      peer.connections.count(peer.session, -1);
      streams.delete(stream);
    }
  }

  const start = async (target: TcpTarget | UnixTarget): Promise<Bound> => {
    const server = createHttp2Server(limits.maxStreamsPerConnection);
    server.maxConnections = limits.maxConnections;
    server.on("drop", (peer) => {
      const address = peer ? `${peer.remoteAddress}:${peer.remotePort}` : "unix";
      observer.refused?.({ code: "too_large", reason: "too many connections", address });
    });
    const connections = new Connections(server, clock, limits);
    const transport = "path" in target ? "unix" : "tcp";
    const handler = connectNodeAdapter({
      connect: false,
      grpcWeb: false,
      // A compressed request could be small on the wire and large in memory.
      acceptCompression: [],
      readMaxBytes: limits.maxMessageBytes,
      requestGate,
      contextValues: (request) => createContextValues().set(peerKey, peerOf(request, transport, connections)),
      // Fetch* and whatever else: "unimplemented", as gRPC says it in a response without a body.
      fallback: (_request, response) => {
        response.writeHead(200, { "content-type": "application/grpc", "grpc-status": String(Code.Unimplemented) });
        response.end();
      },
      routes: (router) =>
        router.service(AggregatedDiscoveryService, {
          deltaAggregatedResources: (requests, context) => serve(delta, requests, context),
          streamAggregatedResources: (requests, context) => serve(sotw, requests, context),
        }),
    });
    server.on("request", handler);
    const bound = await bind(server, target);
    listening.push({ server, connections, bound });
    return bound;
  };

  return {
    // The overloads say which target gives which answer; start() gives either.
    listen: start as AdsServer["listen"],
    ledger,

    async close(graceMs) {
      closing = true;
      const stopped = listening.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve())));
      for (const { connections } of listening) connections.sayGoodbye();
      const goodbye = new ConnectError(SHUTTING_DOWN, Code.Unavailable);
      for (const stream of streams) stream.end("shut down", goodbye);
      const destroy = () => {
        for (const { connections } of listening) connections.destroy();
      };
      const cancel = clock.after(graceMs, destroy);
      await Promise.all(stopped);
      cancel();
      destroy();
    },

    async selfTest() {
      if (listening.length === 0 || closing) throw new WeftError("unavailable", "ADS is not listening");
      await Promise.all(
        listening.map(async ({ bound }) => {
          const credential = `SelfTest ${newId()}`;
          selfTests.add(credential);
          try {
            await selfTest(bound, credential, clock);
          } finally {
            selfTests.delete(credential);
          }
        }),
      );
    },
  };
}

function peerOf(request: NodeRequest, transport: Credentials["transport"], connections: Connections): Peer {
  const session = "stream" in request ? request.stream.session : undefined;
  const socket = session?.socket;
  const address = transport === "unix" ? "unix" : `${socket?.remoteAddress ?? ""}:${socket?.remotePort ?? ""}`;
  return { address, transport, session: session ?? request, connections };
}
