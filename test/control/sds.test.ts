/** Secrets by their names, over ADS and over the secret discovery service, from a whole weft. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { AggregatedDiscoveryService, ResourceSchema } from "../../src/gen/weft/ads/v1/discovery_pb.ts";
import { SecretDiscoveryService } from "../../src/gen/weft/ads/v1/secret_pb.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { openTestWeft, type TestWeft } from "./weft.ts";

const WEB = "spiffe://mesh.local/ns/default/sa/web";
const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const TRUST_DOMAIN = "spiffe://mesh.local";
const MINE = ["default", WEB, "ROOTCA", TRUST_DOMAIN, "ALL"];
/** Another workload's certificate and token, another trust domain, no name at all, and one that only looks like the caller's. */
const NOT_MINE = [ORDERS, "jwt-svid:orders", "spiffe://elsewhere", "nothing", "SPIFFE://mesh.local/ns/default/sa/web", ""];

const entry = (name: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}-1}
spec: {address: 10.0.0.${name.length}, labels: {app: ${name}}, serviceAccount: ${name}}
`;
const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: orders}}
`;
const injection = `apiVersion: weft.dev/v1
kind: TokenInjection
metadata: {name: to-orders}
spec: {selector: {matchLabels: {app: orders}}, hosts: [orders], audience: orders}
`;

let weft: TestWeft;
let headers: Record<string, string>;
const closers: (() => void)[] = [];

beforeAll(async () => {
  weft = await openTestWeft();
  const { status, text } = await weft.ask("POST", "/v1/apply", [entry("web"), entry("orders"), service, injection].join("---\n"));
  expect(status, text).toBe(200);
  const { json } = await weft.ask("POST", "/v1/tokens", JSON.stringify({ workload: "default/web-1" }));
  headers = { authorization: `Bearer ${json.token}` };
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
});
afterAll(() => weft.close());

function connection() {
  const baseUrl = `http://${weft.ads.host}:${weft.ads.port}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  const abort = new AbortController();
  closers.push(() => {
    abort.abort();
    sessionManager.abort();
  });
  return { transport: createGrpcTransport({ baseUrl, sessionManager }), options: { headers, signal: abort.signal } };
}

/** Yields the requests, then stays open. */
async function* open<T>(signal: AbortSignal, ...requests: readonly T[]) {
  yield* requests;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

const kindsOf = (resources: readonly Uint8Array[]) =>
  Object.fromEntries(
    resources.map((bytes) => {
      const secret = anyUnpack(fromBinary(AnySchema, bytes), SecretSchema);
      return [secret?.name ?? "", secret?.type.case ?? ""];
    }),
  );
const EXPECTED = {
  default: "tlsCertificate",
  [WEB]: "tlsCertificate",
  ROOTCA: "validationContext",
  [TRUST_DOMAIN]: "validationContext",
  ALL: "validationContext",
};

async function first<T>(responses: AsyncIterable<T>): Promise<T> {
  for await (const response of responses) return response;
  throw new Error("the stream ended without an answer");
}

const delta = { typeUrl: TYPE.secret, node: { id: "hand-written" }, resourceNamesSubscribe: [...NOT_MINE, ...MINE] };
const sotw = { typeUrl: TYPE.secret, node: { id: "hand-written" }, resourceNames: [...NOT_MINE, ...MINE] };

describe("Secrets by SPIRE's names", () => {
  for (const [where, streams] of [
    ["the secret discovery service", () => secretStreams()],
    ["ADS", () => aggregatedStreams()],
  ] as const) {
    test(`come over ${where}, incremental; what is not the caller's does not exist`, async () => {
      const answer = await first(streams().delta());
      expect(kindsOf(answer.resources.map((bytes) => fromBinary(ResourceSchema, bytes).resource))).toEqual(EXPECTED);
      expect([...answer.removedResources].sort()).toEqual([...NOT_MINE].sort());
    });

    test(`come over ${where}, state of the world; what is not the caller's is left out`, async () => {
      expect(kindsOf((await first(streams().sotw())).resources)).toEqual(EXPECTED);
    });
  }

  test("come without a type on a stream that has no other, and one of another type ends it", async () => {
    const { transport, options } = connection();
    const client = createClient(SecretDiscoveryService, transport);
    const answer = await first(client.streamSecrets(open(options.signal, { ...sotw, typeUrl: "" }), options));
    expect([answer.typeUrl, Object.keys(kindsOf(answer.resources)).length]).toEqual([TYPE.secret, 5]);
    const refused = await first(client.deltaSecrets(open(options.signal, { ...delta, typeUrl: TYPE.cluster }), options)).catch(
      ConnectError.from,
    );
    expect(refused).toMatchObject({ code: Code.InvalidArgument });
  });

  test("come to nobody without a token", async () => {
    const { transport, options } = connection();
    const client = createClient(SecretDiscoveryService, transport);
    const refused = await first(client.streamSecrets(open(options.signal, sotw), { signal: options.signal })).catch(ConnectError.from);
    expect(refused).toMatchObject({ code: Code.Unauthenticated });
  });
});

function secretStreams() {
  const { transport, options } = connection();
  const client = createClient(SecretDiscoveryService, transport);
  return {
    delta: () => client.deltaSecrets(open(options.signal, delta), options),
    sotw: () => client.streamSecrets(open(options.signal, sotw), options),
  };
}

function aggregatedStreams() {
  const { transport, options } = connection();
  const client = createClient(AggregatedDiscoveryService, transport);
  return {
    delta: () => client.deltaAggregatedResources(open(options.signal, delta), options),
    sotw: () => client.streamAggregatedResources(open(options.signal, sotw), options),
  };
}
