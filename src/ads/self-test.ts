/** A client of weft's own ADS, for health: it proves listener, HTTP/2, authentication and stream by using them. */
import { connect } from "node:net";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AggregatedDiscoveryService, DeltaDiscoveryRequestSchema } from "../gen/weft/ads/v1/discovery_pb.ts";
import type { Clock } from "../lib/clock.ts";
import { type ProxySnapshot, TYPE } from "../lib/encoded.ts";
import { WeftError } from "../lib/errors.ts";
import type { Bound } from "./listener.ts";
import type { SnapshotSource } from "./types.ts";

/** How long ADS may take to answer its own question, milliseconds. */
const SELF_TEST_MS = 2_000;

const NOTHING: ProxySnapshot = { revision: 0, resources: new Map() };

/** What the self-test's stream is served: no resources, so it does not wait for the first load and shows no proxy's. */
export const nothing: SnapshotSource = {
  subscribe(_proxy, onSnapshot) {
    onSnapshot(NOTHING);
    return () => {};
  },
};

/**
 * Asks for a resource that does not exist, and waits to be told so.
 * @throws WeftError "unavailable" where no answer comes in 2 s.
 */
export async function selfTest(bound: Bound, authorization: string, clock: Clock): Promise<void> {
  const abort = new AbortController();
  const cancel = clock.after(SELF_TEST_MS, () => abort.abort());
  const { manager, baseUrl } = session(bound);
  try {
    const client = createClient(AggregatedDiscoveryService, createGrpcTransport({ baseUrl, sessionManager: manager }));
    const requests = ask(abort.signal);
    for await (const response of client.deltaAggregatedResources(requests, { headers: { authorization }, signal: abort.signal })) {
      if (response.removedResources.includes("self-test")) return;
    }
    throw new Error("the stream ended without an answer");
  } catch (reason) {
    const detail = abort.signal.aborted ? `no answer in ${SELF_TEST_MS} ms` : reason instanceof Error ? reason.message : String(reason);
    const place = "path" in bound ? bound.path : `${bound.address}:${bound.port}`;
    throw new WeftError("unavailable", `ADS does not answer on ${place}: ${detail}; restart weft`, { cause: reason });
  } finally {
    cancel();
    abort.abort();
    manager.abort();
  }
}

async function* ask(signal: AbortSignal) {
  yield create(DeltaDiscoveryRequestSchema, { typeUrl: TYPE.endpoint, resourceNamesSubscribe: ["self-test"], node: { id: "self-test" } });
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function session(bound: Bound): { manager: Http2SessionManager; baseUrl: string } {
  if ("path" in bound) {
    const baseUrl = "http://localhost";
    return { manager: new Http2SessionManager(baseUrl, {}, { createConnection: () => connect(bound.path) }), baseUrl };
  }
  const host = bound.address === "0.0.0.0" ? "127.0.0.1" : bound.address === "::" ? "::1" : bound.address;
  const baseUrl = `${bound.isTls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${bound.port}`;
  // It asks whether weft answers, at an address that weft itself has bound: whose certificate is served, clients judge.
  const manager = new Http2SessionManager(baseUrl, {}, bound.isTls ? { rejectUnauthorized: false } : {});
  return { manager, baseUrl };
}
