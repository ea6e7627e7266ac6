/**
 * The ADS server.
 *
 * @example
 * const ads = createAdsServer({ authenticate, source, clock: systemClock });
 * await ads.listen({ host: "127.0.0.1", port: 15010 });
 * await ads.listen({ path: "weft-data/ads.sock", mode: 0o660 });
 * await ads.listen({ host: "0.0.0.0", port: 15012, tls: certificate });
 */
import { randomUUID } from "node:crypto";
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { AggregatedDiscoveryService } from "../gen/weft/ads/v1/discovery_pb.ts";
import { SecretDiscoveryService } from "../gen/weft/ads/v1/secret_pb.ts";
import type { Clock } from "../lib/clock.ts";
import { limitConnections } from "../lib/connection-limit.ts";
import { WeftError } from "../lib/errors.ts";
import { type PeerCredentials, peerCredentials } from "../lib/peer-credentials.ts";
import { presentedCertificates } from "../lib/server-tls.ts";
import { Admission } from "./admission.ts";
import { Connections } from "./connections.ts";
import { within } from "./deadline.ts";
import { Deadlines } from "./deadlines.ts";
import { toConnectError } from "./errors.ts";
import { GrpcCall } from "./grpc-call.ts";
import { type Methods, methodOf, pathOf } from "./grpc-methods.ts";
import { Ledger, type LedgerReader } from "./ledger.ts";
import { type AdsLimits, DEFAULT_LIMITS } from "./limits.ts";
import {
  type AnyServer,
  type Bound,
  bind,
  createHttp2Server,
  type Target,
  type TcpTarget,
  type TlsTarget,
  type UnixTarget,
} from "./listener.ts";
import { nothing, selfTest } from "./self-test.ts";
import { AdsStream } from "./stream.ts";
import type { Subscription } from "./subscription.ts";
import type { AdsObserver, Authenticate, Credentials, Entitlement, ProxyIdentity, SnapshotSource } from "./types.ts";
import { delta, secretsOnly, sotw, type Variant } from "./variant.ts";

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
  listen(target: TcpTarget | TlsTarget): Promise<{ readonly address: string; readonly port: number }>;
  listen(target: UnixTarget): Promise<{ readonly path: string }>;
  /** Ends all streams with UNAVAILABLE after a GOAWAY; connections that are still there after `graceMs` are cut. */
  close(graceMs: number): Promise<void>;
  readonly ledger: LedgerReader;
  /** Ends those streams with UNAUTHENTICATED, so that their proxies must prove themselves anew. @returns how many there were */
  endStreams(which: (proxy: ProxyIdentity) => boolean, message: string): number;
  /** Opens a stream to each of its own listeners. @throws WeftError "unavailable" where no answer comes in 2 s. */
  selfTest(): Promise<void>;
}

interface Peer extends Pick<Credentials, "transport" | "certificates" | "user"> {
  /** Ends the connection when its streams have ended: a certificate is presented once, and the next one needs another handshake. */
  readonly retire: () => void;
  readonly address: string;
  readonly session: object;
  readonly connections: Connections;
}

interface Admitted {
  readonly expiresAt?: number;
  readonly identify: (nodeId: string) => ProxyIdentity;
  /** Where the proof names one workload. */
  readonly proxy?: ProxyIdentity | undefined;
  readonly selfTest: boolean;
}

type Serve = (call: GrpcCall, peer: Peer, admitted: Admitted) => void;

/** After the last of many has come into sync: what they left behind would stay until the next large allocation. */
const GIVE_BACK_MS = 1_000;

const SHUTTING_DOWN = "weft is shutting down";
const PROOF_ENDED = "the token or certificate that opened this stream has ended: connect again with a new one";

interface Listening {
  readonly server: AnyServer;
  readonly connections: Connections;
  readonly bound: Bound;
}

export function createAdsServer(options: AdsServerOptions): AdsServer {
  const { authenticate, source, clock, observer = {}, newId = randomUUID } = options;
  const limits: AdsLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const ledger = new Ledger({ clock, keepMs: options.rememberMs });
  const admission = new Admission({
    clock,
    atOnce: limits.syncsAtOnce,
    patienceMs: limits.syncPatienceMs,
    // Beside other work: a collection in one go would hold up everything for as long as it takes.
    onPassed: () => clock.after(GIVE_BACK_MS, () => Bun.gc(false)),
  });
  const firstRequests = new Deadlines(clock, limits.firstRequestMs);
  const instance = newId().slice(0, 8);
  const streams = new Set<Pick<AdsStream<never, Subscription>, "end" | "proxy">>();
  const listening: Listening[] = [];
  const selfTests = new Set<string>();
  let opened = 0;
  let closing = false;
  /** Whether the kernel has said of weft's own connection that it is weft's. Until then it is believed of nobody. */
  let knowsUsers = false;

  const admit = async (authorization: string | undefined, peer: Peer): Promise<Admitted> => {
    if (closing) throw new WeftError("unavailable", SHUTTING_DOWN);
    if (authorization !== undefined && selfTests.delete(authorization)) {
      if (peer.transport === "unix") knowsUsers = isOwn(peer.user);
      return { identify: () => ({ id: "" }), selfTest: true };
    }
    const late = () => new WeftError("unavailable", `nobody said in ${limits.authenticateMs} ms whose token this is; try again`);
    const { transport, certificates, user } = peer;
    const credentials = { authorization, transport, certificates, ...(knowsUsers ? { user } : {}) };
    const proof = await within(clock, limits.authenticateMs, authenticate(credentials), late);
    if (closing) throw new WeftError("unavailable", SHUTTING_DOWN);
    return {
      expiresAt: proof.expiresAt,
      identify: (nodeId) => identify(proof, nodeId, peer),
      selfTest: false,
      proxy: "id" in proof ? proof : undefined,
    };
  };

  const identify = (proof: ProxyIdentity | Entitlement, nodeId: string, { address, certificates, retire }: Peer): ProxyIdentity => {
    if ("id" in proof) return proof;
    try {
      return proof.choose(nodeId);
    } catch (reason) {
      const { code, message } = WeftError.from(reason);
      observer.refused?.({ code, reason: message, address });
      if (certificates?.length) retire();
      throw reason;
    }
  };

  const untilExpiry = ({ expiresAt }: Admitted, end: () => void): (() => void) =>
    expiresAt === undefined ? () => {} : clock.after(expiresAt - clock.now(), end);

  /** Nothing of a call is read before it is known whose it is. */
  const gate = async (call: GrpcCall, authorization: string | undefined, peer: Peer, serve: Serve): Promise<void> => {
    peer.connections.judge(peer.session, 1);
    try {
      const admitted = await admit(authorization, peer).finally(() => peer.connections.judge(peer.session, -1));
      if (!call.closed) serve(call, peer, admitted);
    } catch (reason) {
      const { code, message } = WeftError.from(reason);
      observer.refused?.({ code, reason: message, address: peer.address });
      if (peer.certificates?.length) peer.retire();
      call.end(toConnectError(reason));
    }
  };

  const serving =
    <Request, S extends Subscription>(variant: Variant<Request, S>): Serve =>
    (call, peer, admitted) => {
      const onConnection = peer.connections.count(peer.session, 1);
      if (!admitted.selfTest && (streams.size >= limits.maxStreams || onConnection > limits.maxStreamsPerConnection)) {
        peer.connections.count(peer.session, -1);
        observer.refused?.({ code: "too_large", reason: "too many streams", address: peer.address });
        call.end(new ConnectError("too many streams", Code.ResourceExhausted));
        return;
      }
      opened += 1;
      const stream = new AdsStream(
        {
          identify: admitted.identify,
          proven: admitted.proxy,
          address: peer.address,
          transport: peer.transport,
          id: `${instance}.${opened}`,
          clock,
          limits,
          firstRequests,
          onEnd: () => {
            peer.connections.count(peer.session, -1);
            streams.delete(stream);
            cancelExpiry();
          },
          // Nobody's statistics: the self-test is no proxy.
          ...(admitted.selfTest
            ? { source: nothing, ledger: new Ledger({ clock }), observer: {} }
            : { source, ledger, observer, admission }),
        },
        variant,
        call,
      );
      streams.add(stream);
      const cancelExpiry = untilExpiry(admitted, () => {
        stream.end("its proof ended", new ConnectError(PROOF_ENDED, Code.Unauthenticated));
        if (peer.certificates?.length) peer.retire();
      });
      stream.start();
    };

  const methods: Methods<Serve> = new Map([
    [pathOf(AggregatedDiscoveryService.method.deltaAggregatedResources), serving(delta)],
    [pathOf(AggregatedDiscoveryService.method.streamAggregatedResources), serving(sotw)],
    [pathOf(SecretDiscoveryService.method.deltaSecrets), serving(secretsOnly(delta))],
    [pathOf(SecretDiscoveryService.method.streamSecrets), serving(secretsOnly(sotw))],
  ]);

  const start = async (target: Target): Promise<Bound> => {
    const server = createHttp2Server(target, limits.maxStreamsPerConnection);
    if ("tls" in target) {
      limitConnections(server, limits.maxConnectionsPerAddress, (address) =>
        observer.refused?.({ code: "too_large", reason: "too many connections from one address", address }),
      );
    }
    server.maxConnections = limits.maxConnections;
    server.on("drop", (peer) => {
      const address = peer ? `${peer.remoteAddress}:${peer.remotePort}` : "unix";
      observer.refused?.({ code: "too_large", reason: "too many connections", address });
    });
    const connections = new Connections(server, clock, limits);
    const transport = "path" in target ? "unix" : "tls" in target ? "tls" : "tcp";
    const proofs = new WeakMap<object, Pick<Credentials, "certificates" | "user">>();
    // Once a connection: neither changes while it stands.
    server.on("session", (session) => {
      const { socket } = session;
      if (transport === "unix") proofs.set(session, { user: peerCredentials(socket) });
      else if (transport === "tls") proofs.set(session, { certificates: presentedCertificates(socket) });
    });
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      const { session } = stream;
      // Gone already where the peer reset the stream, or the connection.
      if (!session || session.destroyed) return;
      const peer = peerOf(session, transport, connections, proofs);
      if (!connections.mayCall(session)) {
        observer.refused?.({ code: "rate_limited", reason: "too many calls on one connection", address: peer.address });
        return;
      }
      const serve = methodOf(methods, stream, headers);
      if (serve) void gate(new GrpcCall(stream, limits.maxMessageBytes), headers.authorization, peer, serve);
    });
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

    endStreams(which, message) {
      const own = [...streams].filter(({ proxy }) => proxy && which(proxy));
      for (const stream of own) stream.end(message, new ConnectError(message, Code.Unauthenticated));
      return own.length;
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

const isOwn = (user: PeerCredentials | undefined) => user?.pid === process.pid && user.uid === process.getuid?.();

function peerOf(
  session: Http2Session,
  transport: Credentials["transport"],
  connections: Connections,
  proofs: WeakMap<object, Pick<Credentials, "certificates" | "user">>,
): Peer {
  const { socket } = session;
  const address = transport === "unix" ? "unix" : `${socket?.remoteAddress ?? ""}:${socket?.remotePort ?? ""}`;
  const retire = () => {
    if (!session.closed && !session.destroyed) session.close();
  };
  return { ...proofs.get(session), address, transport, session, connections, retire };
}
