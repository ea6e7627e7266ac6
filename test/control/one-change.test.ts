/** What one change of a mesh of 1,000 services sends, on streams of a whole weft. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { VirtualHostSchema } from "../../src/gen/envoy/config/route/v3/route_components_pb.ts";
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { DeltaClient, type Received, SotwClient } from "../feature/ads-client.ts";
import { eventually, openTestWeft, type TestWeft } from "./weft.ts";

setDefaultTimeout(120_000);

const SERVICES = 1_000;
const hostOf = (index: number) => `s${index}.default.mesh.local`;
const assignmentOf = (index: number) => `outbound|8080||${hostOf(index)}`;

const service = (index: number, address = `10.1.${index >> 8}.${index & 255}`) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s${index}}
spec:
  hosts: [${hostOf(index)}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  ${index === 0 ? "workloadSelector: {labels: {app: s0}}" : `endpoints: [{address: ${address}}]`}
`;
const workload = (name: string, app: string, address: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: ${address}, labels: {app: ${app}}, serviceAccount: ${app}}
`;
const policy = (method: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: s0}
spec: {selector: {matchLabels: {app: s0}}, action: DENY, rules: [{to: [{operation: {methods: [${method}]}}]}]}
`;
/** As real ones are: a path of its own, retries, a timeout. */
const route = (index: number, timeout = "10s") => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s${index}}
spec:
  hosts: [${hostOf(index)}]
  http:
    - match: [{uri: {prefix: /slow}}]
      route: [{destination: {host: ${hostOf(index)}}}]
      timeout: 60s
    - route: [{destination: {host: ${hostOf(index)}}}]
      timeout: ${timeout}
      retries: {attempts: 3, perTryTimeout: 2s, retryOn: "connect-failure,refused-stream,503"}
`;

const MESH = [
  ...Array.from({ length: SERVICES }, (_, index) => service(index)),
  workload("s0-1", "s0", "10.0.0.1"),
  workload("s0-2", "s0", "10.0.0.2"),
  workload("s0-3", "s0", "10.0.0.3"),
  workload("web-1", "web", "10.0.0.4"),
  policy("POST"),
  ...Array.from({ length: SERVICES }, (_, index) => route(index)),
];

/** In the order of Envoy: what a sidecar of s0 asks for. Listeners, clusters and virtual hosts all, the rest by name. */
const WANTED: readonly (readonly [TypeUrl, readonly string[]])[] = [
  [TYPE.cluster, []],
  [TYPE.endpoint, Array.from({ length: SERVICES }, (_, index) => assignmentOf(index))],
  [TYPE.listener, []],
  [TYPE.route, ["http_proxy"]],
  [TYPE.secret, ["default", "ROOTCA"]],
  [TYPE.extension, ["authn|http|jwt", ...["custom", "audit", "deny", "allow"].map((slot) => `authz|http|${slot}`)]],
];

/** What an Envoy asks for besides that takes virtual hosts one by one. */
const VIRTUAL_HOSTS: readonly (readonly [TypeUrl, readonly string[]])[] = [[TYPE.virtualHost, []]];

interface Sent {
  readonly type: string;
  readonly names: readonly string[];
  readonly removed: readonly string[];
}

/** Takes and ACKs all that comes; `sent` tells of it, in order. */
interface Follower {
  readonly sent: Sent[];
  /** Of each response. */
  readonly bytes: number[];
  close(): void;
}

const shortType = (typeUrl: string) => typeUrl.slice(typeUrl.lastIndexOf(".") + 1);

function namesOf({ typeUrl, bodies }: Received): string[] {
  if (typeUrl === TYPE.endpoint) return bodies.map((body) => fromBinary(ClusterLoadAssignmentSchema, body).clusterName);
  if (typeUrl === TYPE.virtualHost) return bodies.map((body) => fromBinary(VirtualHostSchema, body).name);
  if (typeUrl === TYPE.extension) return bodies.map((body) => fromBinary(TypedExtensionConfigSchema, body).name);
  return bodies.map((_, index) => `${index}`);
}

function follow(client: DeltaClient | SotwClient, ack: (response: Received) => void): Follower {
  const sent: Sent[] = [];
  const bytes: number[] = [];
  let isClosed = false;
  void (async () => {
    for (let index = 0; !isClosed; index++) {
      const response = await client.until(() => client.responses[index] ?? (isClosed ? null : undefined), "a response", 600_000);
      if (!response) return;
      sent.push({ type: shortType(response.typeUrl), names: namesOf(response), removed: response.removed });
      bytes.push(response.bytes);
      ack(response);
    }
  })();
  return {
    sent,
    bytes,
    close() {
      isClosed = true;
      client.close();
    },
  };
}

function followDelta(weft: TestWeft, token: string, envoyVersion?: string): Follower {
  const client = new DeltaClient({ address: weft.ads.host, port: weft.ads.port }, { token, envoyVersion });
  const wanted = envoyVersion === undefined ? WANTED : [...WANTED, ...VIRTUAL_HOSTS];
  for (const [typeUrl, names] of wanted) client.send(typeUrl, { resourceNamesSubscribe: [...names] });
  return follow(client, (response) => client.ack(response));
}

function followSotw(weft: TestWeft, token: string): Follower {
  const client = new SotwClient({ address: weft.ads.host, port: weft.ads.port }, { token });
  const names = new Map<string, readonly string[]>(WANTED);
  for (const [typeUrl, resourceNames] of WANTED) client.send(typeUrl, { resourceNames: [...resourceNames] });
  return follow(client, (response) => client.ack(response, ...(names.get(response.typeUrl) ?? [])));
}

describe("In a mesh of 1,000 services", () => {
  let weft: TestWeft;
  let followers: Readonly<Record<"own" | "sotw" | "neighbour", Follower>>;
  /** Applies a change; resolves when every proxy has ACKed all that it makes of it. */
  const apply = async (text: string): Promise<void> => {
    const { status, json } = await weft.ask("POST", "/v1/apply", text);
    expect(status).toBe(200);
    await eventually(async () => {
      const { json: state } = await weft.ask("GET", `/v1/convergence?revision=${json.revision}`);
      expect(state).toMatchObject({ acked: ["default/s0-1", "default/s0-2", "default/web-1"], pending: [], nacked: [] });
    }, 60_000);
  };
  /** What came since; each call begins anew. */
  const news = () => {
    const { own, sotw, neighbour } = followers;
    for (const { bytes } of [own, sotw, neighbour]) bytes.length = 0;
    return { own: own.sent.splice(0), sotw: sotw.sent.splice(0), neighbour: neighbour.sent.splice(0) };
  };

  beforeAll(async () => {
    weft = await openTestWeft();
    const token = async (name: string) => String((await weft.ask("POST", "/v1/tokens", JSON.stringify({ workload: name }))).json.token);
    expect((await weft.ask("POST", "/v1/apply", MESH.join("---\n"))).status).toBe(200);
    followers = {
      own: followDelta(weft, await token("s0-1")),
      sotw: followSotw(weft, await token("s0-2")),
      neighbour: followDelta(weft, await token("web-1"), "1.40.0"),
    };
    // A proxy that has not asked yet counts as one that has all that it wants.
    const answered = () => Object.values(followers).map(({ sent }) => new Set(sent.map(({ type }) => type)).size);
    await eventually(() => expect(answered()).toEqual([WANTED.length, WANTED.length, WANTED.length + 1]), 60_000);
    await apply(policy("PUT"));
  });
  afterAll(async () => {
    for (const follower of Object.values(followers)) follower.close();
    await weft.close();
  });

  test("every stream has had all services at first", () => {
    for (const sent of Object.values(news())) {
      const assignments = new Set(sent.flatMap(({ type, names }) => (type === "ClusterLoadAssignment" ? names : [])));
      expect(assignments.size).toBe(SERVICES);
      expect(sent.map(({ type }) => type)).toContain("Listener");
    }
  });

  test("changing one AuthorizationPolicy sends the workload's proxies one extension, and no listener; other proxies get nothing", async () => {
    await apply(policy("DELETE"));
    const extension: Sent = { type: "TypedExtensionConfig", names: ["authz|http|deny"], removed: [] };
    expect(news()).toEqual({ own: [extension], sotw: [extension], neighbour: [] });
  });

  test("changing one endpoint sends every caller one endpoint assignment, and nothing else", async () => {
    const assignment = (index: number): Sent => ({ type: "ClusterLoadAssignment", names: [assignmentOf(index)], removed: [] });
    await apply(service(7, "10.9.9.9"));
    expect(news()).toEqual({ own: [assignment(7)], sotw: [assignment(7)], neighbour: [assignment(7)] });
    await apply(workload("s0-3", "s0", "10.9.9.8"));
    expect(news()).toEqual({ own: [assignment(0)], sotw: [assignment(0)], neighbour: [assignment(0)] });
  });

  test("changing one VirtualService sends one virtual host of at most 4 KB; an Envoy without virtual host discovery, and SotW, get all of them", async () => {
    await apply(route(7, "11s"));
    const table: Sent = { type: "RouteConfiguration", names: ["0"], removed: [] };
    const { own, sotw, neighbour } = followers;
    const [whole = 0, change = 0] = [own, neighbour].map(({ bytes }) => bytes.reduce((sum, size) => sum + size, 0));
    expect(change).toBeGreaterThan(0);
    expect(change).toBeLessThanOrEqual(4096);
    expect(whole).toBeGreaterThan(100 * change);
    expect(sotw.bytes).toHaveLength(1);
    const host = (index: number): Sent => ({ type: "VirtualHost", names: [`http_proxy/${hostOf(index)}:8080`], removed: [] });
    expect(news()).toEqual({ own: [table], sotw: [table], neighbour: [host(7)] });
  });

  test("a policy that comes or goes sends one extension too", async () => {
    await apply(policy("DELETE").replace("name: s0", "name: more").replace("DELETE", "PATCH"));
    const extension: Sent = { type: "TypedExtensionConfig", names: ["authz|http|deny"], removed: [] };
    expect(news()).toEqual({ own: [extension], sotw: [extension], neighbour: [] });
  });
});
