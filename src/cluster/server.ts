/**
 * The node-to-node RPC of an authority: Connect over HTTP/2 and TLS 1.3. A certificate is asked for, and judged at each call: Join needs none, RenewNode
 * takes one that has expired, the others take what is good now.
 */
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
} from "node:http2";
import { createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { TrustBundle } from "../ca/index.ts";
import { ClusterService } from "../gen/weft/cluster/v1/cluster_pb.ts";
import { CallBudget } from "../lib/call-budget.ts";
import type { Clock } from "../lib/clock.ts";
import { limitConnections } from "../lib/connection-limit.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { toLocalhost } from "../lib/http2-request.ts";
import { keepServing, presentedCertificates, type ServerCertificate, serverTlsOptions } from "../lib/server-tls.ts";
import {
  CALL_RATE,
  JOIN_RATE,
  MAX_CONNECTIONS,
  MAX_CONNECTIONS_PER_ADDRESS,
  MAX_HEADER_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_STREAMS,
} from "./limits.ts";
import { type ClaimedNode, claimedNode, verifiedNode } from "./peer.ts";
import { toConnectError } from "./rpc-errors.ts";
import type { AuthorityCalls } from "./types.ts";

export interface ClusterServerOptions {
  readonly calls: AuthorityCalls;
  /** By which nodes are judged. */
  readonly bundle: () => TrustBundle;
  readonly certificate: ServerCertificate;
  readonly clock: Clock;
  /** Told of each refusal, for the audit. `who` is what was claimed where nothing was proved. Must not throw. */
  readonly refused?: (refusal: { readonly call: string; readonly who: string; readonly from: string; readonly reason: string }) => void;
}

export interface ClusterServer {
  /** @throws WeftError "unavailable" where the port is taken */
  listen(place: { readonly host: string; readonly port: number }): Promise<{ readonly host: string; readonly port: number }>;
  /** Ends the connections of the nodes that are. */
  endNodes(are: (node: string) => boolean): void;
  close(graceMs: number): Promise<void>;
}

/** A connection, with what its peer presented. */
interface Peer {
  readonly address: string;
  readonly presented: readonly Uint8Array[];
  /** The node that it claims to be. */
  readonly claims: string | undefined;
  /** What verifiedNode said, for as long as that holds. */
  verified?: { readonly bundle: TrustBundle; readonly notAfter: number; readonly node: ClaimedNode };
  /** What it said where it refused, by that bundle: to find it out again at each call would cost this side more than the other. */
  refused?: { readonly bundle: TrustBundle; readonly reason: WeftError };
}

/** For a connection whose peer has not proved to be a node: a join takes less. */
const STRANGER_MS = 30_000;
/** How long a budget outlives its address' last connection: until it is whole again. */
const DOOR_MS = (JOIN_RATE.burst / JOIN_RATE.perSecond) * 1_000;

const JOIN_PATH = `/${ClusterService.typeName}/${ClusterService.method.join.name}`;

const peerKey = createContextKey<Peer | undefined>(undefined);

export function createClusterServer({ calls, bundle, certificate, clock, refused }: ClusterServerOptions): ClusterServer {
  const peers = new Map<Http2Session, Peer>();
  const budget = new CallBudget(clock, CALL_RATE);
  const strangers = new CallBudget(clock, JOIN_RATE);
  /** By address: what a budget counts for strangers. */
  const doors = new Map<string, { readonly door: object; open: number; forget: () => void }>();

  const nodeOf = (peer: Peer): ClaimedNode => {
    const now = clock.now();
    const trusted = bundle();
    if (peer.verified?.bundle === trusted && now < peer.verified.notAfter) return peer.verified.node;
    if (peer.refused?.bundle === trusted) throw peer.refused.reason;
    try {
      const node = verifiedNode(peer.presented, trusted, now);
      peer.verified = { bundle: trusted, notAfter: node.notAfter, node };
      return node;
    } catch (reason) {
      peer.verified = undefined;
      peer.refused = { bundle: trusted, reason: WeftError.from(reason) };
      throw reason;
    }
  };
  const answering = async <Answer>(call: string, context: HandlerContext, run: (peer: Peer) => Promise<Answer>): Promise<Answer> => {
    const peer = context.values.get(peerKey);
    if (!peer) throw toConnectError(new WeftError("internal", "a call without a connection"));
    try {
      return await run(peer);
    } catch (reason) {
      const { code, message } = WeftError.from(reason);
      if (code !== "unavailable" && code !== "internal") refused?.({ call, who: claimOf(peer), from: peer.address, reason: message });
      throw toConnectError(reason);
    }
  };

  const handler = connectNodeAdapter({
    grpc: false,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes: MAX_MESSAGE_BYTES,
    contextValues: (request) => {
      const session = "stream" in request ? request.stream.session : undefined;
      return createContextValues().set(peerKey, session ? peers.get(session) : undefined);
    },
    routes: (router) =>
      router.service(ClusterService, {
        join: ({ token, node, csr, trustDomain }, context) =>
          answering("Join", context, ({ address }) => calls.join({ token, node, csr, trustDomain, from: address })),
        renewNode: (_, context) =>
          answering("RenewNode", context, async ({ presented }) => ({ certificates: [...(await calls.renew(claimedNode(presented)))] })),
        signX509Svid: ({ spiffeId, publicKey, revision }, context) =>
          answering("SignX509Svid", context, (peer) => calls.signX509(nodeOf(peer), { spiffeId, publicKey, revision: Number(revision) })),
        signJwtSvid: ({ spiffeId, audience, revision }, context) =>
          answering("SignJwtSvid", context, (peer) => calls.signJwt(nodeOf(peer), { spiffeId, audience, revision: Number(revision) })),
      }),
  });

  const settings = { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES };
  const server: Http2SecureServer = createSecureServer({
    ...serverTlsOptions(certificate, "h2"),
    minVersion: "TLSv1.3",
    settings,
    allowHTTP1: false,
  });
  const stopServing = keepServing(server, certificate, "h2");
  server.maxConnections = MAX_CONNECTIONS;
  limitConnections(server, MAX_CONNECTIONS_PER_ADDRESS);
  // A peer that resets its connection ends nothing but that.
  server.on("sessionError", () => {});
  server.on("session", (session) => {
    const address = session.socket.remoteAddress ?? "";
    const presented = presentedCertificates(session.socket);
    const peer: Peer = { address: `${address}:${session.socket.remotePort ?? ""}`, presented, claims: nameOf(presented) };
    peers.set(session, peer);
    const place = doors.get(address) ?? { door: {}, open: 0, forget: () => {} };
    place.forget();
    place.open += 1;
    doors.set(address, place);
    const cancel = clock.after(STRANGER_MS, () => {
      if (!peer.verified) session.destroy();
    });
    session.once("close", () => {
      cancel();
      peers.delete(session);
      place.open -= 1;
      // Not at once: who comes back by another connection has not got another budget.
      if (place.open === 0) place.forget = clock.after(DOOR_MS, () => doors.delete(address));
    });
  });
  server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const { session } = request.stream;
    if (!session || session.destroyed) return;
    const peer = peers.get(session);
    // Anybody can make a certificate to present: what joins is a stranger with one too.
    const isStranger = peer?.presented.length === 0 || request.url === JOIN_PATH;
    const door = doors.get(session.socket.remoteAddress ?? "")?.door;
    if (!budget.take(session) || (isStranger && door && !strangers.take(door))) {
      return session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
    if (!toLocalhost(request)) return request.stream.close();
    handler(request, response);
  });

  return {
    async listen({ host, port }) {
      await new Promise<void>((resolve, reject) => {
        const failed = (cause: Error) => {
          const why = errnoOf(cause) === "EADDRINUSE" ? "something else does" : cause.message;
          const help = "choose another address with --cluster ADDR:PORT (port 0: the system chooses)";
          reject(new WeftError("unavailable", `the node-to-node RPC cannot listen on ${host}:${port}: ${why}`, { help, cause }));
        };
        server.once("error", failed);
        server.listen({ host, port }, () => {
          server.off("error", failed);
          resolve();
        });
      });
      const bound = server.address();
      if (bound === null || typeof bound === "string") throw new WeftError("internal", "the node-to-node RPC has no address");
      return { host: bound.address, port: bound.port };
    },

    endNodes(are) {
      for (const [session, { claims }] of [...peers]) if (claims !== undefined && are(claims)) session.destroy();
    },

    async close(graceMs) {
      stopServing();
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of peers.keys()) session.close();
      const destroy = () => {
        for (const session of [...peers.keys()]) session.destroy();
      };
      const cancel = clock.after(graceMs, destroy);
      // Before any connection was made there is nothing to wait for.
      if (server.listening) await stopped;
      cancel();
      destroy();
      for (const { forget } of doors.values()) forget();
      doors.clear();
    },
  };
}

function nameOf(presented: readonly Uint8Array[]): string | undefined {
  try {
    return claimedNode(presented).node;
  } catch {
    return undefined;
  }
}

const claimOf = (peer: Peer): string => {
  const { claims, verified } = peer;
  return claims === undefined ? "nobody" : `${verified ? "" : "unproved "}node ${claims}`;
};
