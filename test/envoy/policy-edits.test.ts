/** What an edit of a policy leaves alone: listeners, and everything that is open. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { inboundOf, type Sidecar } from "../../scripts/lib/lab/workload.ts";
import { describeMesh, type Member } from "./harness.ts";

const JWKS =
  '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"t1","x":"3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw","y":"HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8"}]}';

const policy = (kind: string, spec: object) => `apiVersion: security.istio.io/v1
kind: ${kind}
metadata: {name: orders, namespace: default}
spec: ${JSON.stringify({ selector: { matchLabels: { app: "orders" } }, ...spec })}
`;
const authorization = (spec: object) => policy("AuthorizationPolicy", spec);
const tokens = (issuer: string) => policy("RequestAuthentication", { jwtRules: [{ issuer, jwks: JWKS }] });
const denyPath = (...paths: string[]) => authorization({ action: "DENY", rules: [{ to: [{ operation: { paths } }] }] });

describeMesh("an edit of a policy", (lab) => {
  let orders: Member;
  let sidecar: Sidecar;
  /** Of the answer to /stream. */
  let answer: ReadableStreamDefaultController<Uint8Array> | undefined;
  const app = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch(request) {
      if (new URL(request.url).pathname !== "/stream") return new Response("ok");
      const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
        answer = controller;
      };
      return new Response(new ReadableStream({ start }));
    },
  });
  let session: ClientHttp2Session;
  let stream: ClientHttp2Stream;
  let heard = "";
  let socket: Socket;
  let echoed = "";
  const closed: string[] = [];

  beforeAll(async () => {
    const web = await lab().workload({ name: "web-1", service: "web", listenFor: { db: "orders.default.mesh.local:9090" } });
    const made = await lab().workload({ name: "orders-1", service: "orders", tcp: ["tcp-db"] });
    orders = { ...made, yaml: made.yaml.replace(`127.0.0.1:${made.app.port}`, `127.0.0.1:${app.port}`) };
    const ports = [
      { number: 8080, name: "http", protocol: "HTTP" },
      { number: 9090, name: "tcp-db", protocol: "TCP" },
    ];
    const [, started] = await lab().join([{ name: "web" }, { name: "orders", ports }], [web, orders]);
    if (!started) throw new Error("no sidecar");
    sidecar = started;

    const { address, port } = inboundOf(orders.place);
    session = connectHttp2(`http://${address}:${port}`);
    session.on("close", () => closed.push("session"));
    session.on("goaway", () => closed.push("goaway"));
    stream = session.request({ ":path": "/stream", ":authority": "orders" });
    stream.on("data", (data: Buffer) => {
      heard += data.toString();
    });
    stream.on("close", () => closed.push("stream"));
    stream.on("error", (reason) => closed.push(`stream: ${reason.message}`));
    await waitFor("the stream", () => answer);

    // Through both sidecars, in mutual TLS.
    socket = connect({ host: web.place.address, port: web.place.listen.db ?? 0 });
    socket.on("data", (data) => {
      echoed += data.toString();
    });
    socket.on("close", () => closed.push("connection"));
    socket.on("error", (reason) => closed.push(`connection: ${reason.message}`));
    await stillOpen("before");
  });

  afterAll(async () => {
    stream?.close();
    session?.destroy();
    socket?.destroy();
    await app.stop(true);
  });

  afterEach(async () => {
    for (const kind of ["AuthorizationPolicy", "RequestAuthentication"]) await lab().weft.cli(["delete", kind, "orders"]);
    await waitFor(
      "the mesh to be open again",
      () => statusOf("/any"),
      (status) => status === 200,
    );
  });

  /** Says `word` over both, and waits until it has arrived. */
  async function stillOpen(word: string) {
    answer?.enqueue(new TextEncoder().encode(`${word};`));
    socket.write(`${word};`);
    await waitFor(`"${word}" over the stream and the connection`, () => heard.includes(`${word};`) && echoed.includes(`${word};`));
    expect(closed).toEqual([]);
  }

  /** Of a request on the same HTTP/2 connection. */
  function statusOf(path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = session.request({ ":path": path, ":authority": "orders", ...headers });
      request.on("response", (response) => resolve(Number(response[":status"])));
      request.on("error", reject);
      request.resume();
      request.end();
    });
  }

  const until = (status: number, path: string, headers?: Readonly<Record<string, string>>) =>
    waitFor(
      `status ${status} of ${path}`,
      () => statusOf(path, headers),
      (found) => found === status,
    );

  /** What moves when a listener is touched, and what a connection's end leaves behind. */
  async function listenerState() {
    const envoy = await sidecar.stats(
      /^listener_manager\.(lds\.update_success|listener_(added|modified|removed|in_place_updated|create_success)|total_listeners_draining|total_filter_chains_draining)$|^cluster_manager\.cds\.update_success$/,
    );
    expect(envoy["listener_manager.lds.update_success"]).toBeGreaterThan(0);
    return { envoy, pushes: await lab().weft.metric("weft_pushes_total", { type: "LDS" }) };
  }

  test("of an AuthorizationPolicy, the first, a changed and the last one, touches no listener and ends nothing that is open", async () => {
    const before = await listenerState();
    await lab().weft.apply(denyPath("/one"));
    await until(403, "/one");
    await stillOpen("first");
    await lab().weft.apply(denyPath("/two"));
    await until(403, "/two");
    await until(200, "/one");
    await stillOpen("changed");
    await lab().weft.cli(["delete", "AuthorizationPolicy", "orders"]);
    await until(200, "/two");
    await stillOpen("last");
    expect(await listenerState()).toEqual(before);
  });

  test("of a RequestAuthentication, the first, a changed and the last one, touches no listener and ends nothing that is open", async () => {
    const before = await listenerState();
    const headers = { authorization: "Bearer not.a.token" };
    await lab().weft.apply(tokens("https://one.example"));
    await until(401, "/any", headers);
    await stillOpen("tokens");
    await lab().weft.apply(tokens("https://two.example"));
    await stillOpen("other tokens");
    await lab().weft.cli(["delete", "RequestAuthentication", "orders"]);
    await until(200, "/any", headers);
    await stillOpen("no tokens");
    expect(await listenerState()).toEqual(before);
  });

  test("to action CUSTOM puts another type of filter in its place, and touches no listener either", async () => {
    const before = await listenerState();
    await lab().weft.apply(`apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {extensionProviders: [{name: away, envoyExtAuthzHttp: {service: orders.default.mesh.local, port: 1}}]}
`);
    await lab().weft.apply(
      authorization({ action: "CUSTOM", provider: { name: "away" }, rules: [{ to: [{ operation: { paths: ["/asked"] } }] }] }),
    );
    await until(403, "/asked");
    await stillOpen("custom");
    expect(await listenerState()).toEqual(before);
  });

  test("to a dry run counts what it would have denied, and denies nothing", async () => {
    const counted = async (counter: string) =>
      Object.values(await sidecar.stats(new RegExp(`\\.rbac\\.${RegExp.escape(counter)}$`))).reduce((sum, one) => sum + one, 0);
    const before = await counted("denied");
    await lab().weft.apply(denyPath("/dry").replace("{name: orders,", '{name: orders, annotations: {istio.io/dry-run: "true"},'));
    await until(200, "/dry");
    await waitFor("a count", async () => {
      expect(await statusOf("/dry")).toBe(200);
      return (await counted("istio_dry_run_deny_.shadow_denied")) > 0;
    });
    expect(await counted("denied")).toBe(before);
  });

  test("decides the next request on an open HTTP/2 connection, while an open stream, like an open TCP connection, keeps what it was let in by", async () => {
    await lab().weft.apply(authorization({ action: "DENY", rules: [{}] }));
    await until(403, "/any");
    const { address, port } = inboundOf(orders.place, "tcp-db");
    const fresh = connect({ host: address, port }, () => fresh.write("hello there"));
    let reply = "";
    fresh.on("data", (data) => {
      reply += data.toString();
    });
    const ended = new Promise<void>((resolve) => fresh.on("close", () => resolve()));
    await ended;
    expect(reply).toBe("");
    await stillOpen("denied to others");
  });
});
