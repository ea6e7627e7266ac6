import { afterEach, beforeAll, expect, test } from "bun:test";
import { tcpExchange } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { inboundOf } from "../../scripts/lib/lab/workload.ts";
import { callFrom, callPlaintext, describeMesh, expectStatus, type Member, peerOf } from "./harness.ts";

const WEB = "spiffe://mesh.local/ns/default/sa/web";
const BATCH = "spiffe://mesh.local/ns/ops/sa/batch";

/** Five bytes and more: with less, Envoy cannot tell plaintext from the beginning of a TLS record, and waits. */
const PING = "ping pong";

const peerAuthentication = (spec: string) => `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: orders, namespace: default}
spec: {selector: {matchLabels: {app: orders}}, ${spec}}
`;
const authorization = (spec: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: default}
spec: {selector: {matchLabels: {app: orders}}, ${spec}}
`;
const destinationTls = (mode: string) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: default}
spec: {host: orders, trafficPolicy: {tls: {mode: ${mode}}}}
`;

describeMesh("identity and policy between sidecars", (lab) => {
  let web: Member;
  let batch: Member;
  let orders: Member;

  beforeAll(async () => {
    const listenFor = { db: "orders.default.mesh.local:9090" };
    [web, batch, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web", listenFor }),
      lab().workload({ name: "batch-1", namespace: "ops", service: "batch", listenFor }),
      lab().workload({ name: "orders-1", service: "orders", http: ["http", "http-admin"], tcp: ["tcp-db"] }),
    ]);
    await lab().join(
      [
        { name: "web" },
        { name: "batch", namespace: "ops" },
        {
          name: "orders",
          ports: [
            { number: 8080, name: "http", protocol: "HTTP" },
            { number: 8081, name: "http-admin", protocol: "HTTP" },
            { number: 9090, name: "tcp-db", protocol: "TCP" },
          ],
        },
      ],
      [web, batch, orders],
    );
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  afterEach(async () => {
    for (const kind of ["PeerAuthentication", "AuthorizationPolicy", "DestinationRule"]) {
      const { status } = await lab().weft.api("GET", `/v1/resources/${kind}/default/orders`);
      if (status === 200) await lab().weft.cli(["delete", kind, "orders"]);
    }
    // A pooled connection lives through a change of mode until its next answer: what is waited for is a new one.
    await waitFor(
      "mutual TLS from web",
      () => callFrom(web, "orders"),
      (answer) => answer.status === 200 && peerOf(answer) === WEB,
    );
    await waitFor(
      "plaintext to be accepted again",
      () => callPlaintext(orders),
      ({ status }) => status === 200,
    );
    await waitFor(
      "the mesh to be open again",
      () => callFrom(batch, "orders.default"),
      ({ status }) => status === 200,
    );
  });

  const inbound = (port: string) => inboundOf(orders.place, port);
  const database = (from: Member) => tcpExchange({ address: from.place.address, port: from.place.listen.db ?? 0 }, PING, 3_000);

  test("an application learns its caller's identity from x-forwarded-client-cert, and cannot be lied to", async () => {
    const forged = { "x-forwarded-client-cert": "URI=spiffe://mesh.local/ns/default/sa/admin" };
    expect(peerOf(expectStatus(await callFrom(web, "orders"), 200))).toBe(WEB);
    expect(peerOf(expectStatus(await callFrom(batch, "orders.default"), 200))).toBe(BATCH);
    expect(expectStatus(await callFrom(web, "orders", { headers: forged }), 200).echo?.headers["x-forwarded-client-cert"]).not.toContain(
      "sa/admin",
    );
  });

  /** With curl where there is one. */
  const put = async (path: string, json: string) => {
    if (!Bun.which("curl")) {
      expect((await lab().weft.api("PUT", path, { text: json, type: "application/json" })).status).toBeLessThan(300);
      return;
    }
    const curl = Bun.spawn(
      [
        ...["curl", "-sS", "--fail-with-body", "-X", "PUT", "-H", "content-type: application/json", "--data-binary", "@-"],
        ...["--unix-socket", `${lab().weft.data}/admin.sock`, `http://weft${path}`],
      ],
      { stdin: new Blob([json]), stdout: "pipe", stderr: "pipe" },
    );
    const [code, out, err] = await Promise.all([curl.exited, new Response(curl.stdout).text(), new Response(curl.stderr).text()]);
    if (code !== 0) throw new Error(`curl ended with ${code}: ${err}${out}`);
  };

  test("without a policy both mutual TLS and plaintext are accepted", async () => {
    expect(peerOf(expectStatus(await callFrom(web, "orders"), 200))).toBe(WEB);
    expect(peerOf(expectStatus(await callPlaintext(orders), 200))).toBeUndefined();
  });

  test("STRICT refuses plaintext, on HTTP and on TCP, and serves the mesh", async () => {
    await lab().weft.apply(peerAuthentication("mtls: {mode: STRICT}"));
    await waitFor(
      "plaintext to be refused",
      () => callPlaintext(orders),
      ({ status }) => status === 0,
    );
    expect(await tcpExchange(inbound("tcp-db"), PING, 3_000)).not.toHaveProperty("reply");
    expect(peerOf(expectStatus(await callFrom(web, "orders"), 200))).toBe(WEB);
    expect(await database(web)).toEqual({ reply: `orders-1: ${PING}` });
  });

  test("DISABLE means plaintext, also for clients that could do better", async () => {
    await lab().weft.apply(peerAuthentication("mtls: {mode: DISABLE}"));
    await waitFor(
      "plaintext between sidecars",
      () => callFrom(web, "orders"),
      (answer) => answer.status === 200 && peerOf(answer) === undefined,
    );
    expectStatus(await callPlaintext(orders), 200);
  });

  test("a port may have a mode of its own", async () => {
    const port = orders.place.ports["http-admin"];
    await lab().weft.apply(peerAuthentication(`mtls: {mode: PERMISSIVE}, portLevelMtls: {${port}: {mode: STRICT}}`));
    await waitFor(
      "plaintext to be refused on one port",
      () => callPlaintext(orders, { port: "http-admin" }),
      ({ status }) => status === 0,
    );
    expectStatus(await callPlaintext(orders), 200);
    expect(peerOf(expectStatus(await callFrom(web, "orders:8081"), 200))).toBe(WEB);
    expect(await tcpExchange(inbound("tcp-db"), PING)).toEqual({ reply: `orders-1: ${PING}` });
  });

  test("one curl that changes a PeerAuthentication changes the reported mode, and what a plaintext client gets", async () => {
    const strict = peerAuthentication("mtls: {mode: STRICT}");
    const { metadata, spec } = Bun.YAML.parse(strict) as { metadata: unknown; spec: unknown };
    const body = JSON.stringify({ apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata, spec });
    const mode = async () => ((await lab().weft.api("GET", "/v1/services/orders/mtls")).json as { mtls_mode: string }).mtls_mode;
    expect(await mode()).toBe("PERMISSIVE");
    expectStatus(await callPlaintext(orders), 200);

    await put("/v1/resources/PeerAuthentication/default/orders", body);
    await waitFor("the mode STRICT", mode, (now) => now === "STRICT");
    await waitFor(
      "plaintext to be refused",
      () => callPlaintext(orders),
      ({ status }) => status === 0,
    );
  });

  test("an AuthorizationPolicy lets in only the identities that it names", async () => {
    await lab().weft.apply(authorization("action: ALLOW, rules: [{from: [{source: {principals: [mesh.local/ns/default/sa/web]}}]}]"));
    const refused = await waitFor(
      "batch to be refused",
      () => callFrom(batch, "orders.default"),
      ({ status }) => status === 403,
    );
    expect(refused.text).toBe("RBAC: access denied");
    expectStatus(await callPlaintext(orders), 403);
    expectStatus(await callFrom(web, "orders"), 200);
  });

  test("DENY wins over ALLOW, by method and path", async () => {
    await lab().weft.apply(authorization('action: DENY, rules: [{to: [{operation: {methods: [DELETE], paths: ["/admin/*"]}}]}]'));
    await waitFor(
      "the denial",
      () => callFrom(web, "orders", { method: "DELETE", path: "/admin/x" }),
      ({ status }) => status === 403,
    );
    expectStatus(await callFrom(web, "orders", { method: "GET", path: "/admin/x" }), 200);
    expectStatus(await callFrom(web, "orders", { method: "DELETE", path: "/other" }), 200);
    expectStatus(await callFrom(web, "orders", { method: "DELETE", path: "//admin/x" }), 403);
  });

  test("a changed AuthorizationPolicy decides the next request without closing a connection", async () => {
    const allowed = "rules: [{from: [{source: {principals: [mesh.local/ns/default/sa/web]}}]}]";
    orders.app.delayMs = 700;
    const inFlight = callFrom(batch, "orders.default");
    await waitFor(
      "the request in flight",
      () => orders.app.inFlight,
      (count) => count === 1,
    );
    await lab().weft.apply(authorization(`action: ALLOW, ${allowed}`));
    orders.app.delayMs = 0;
    await waitFor(
      "the next to be refused",
      () => callFrom(batch, "orders.default"),
      ({ status }) => status === 403,
    );
    expectStatus(await inFlight, 200);
  });

  test("TCP goes over mutual TLS, and an AuthorizationPolicy decides who may connect", async () => {
    expect(await database(web)).toEqual({ reply: `orders-1: ${PING}` });
    expect(await database(batch)).toEqual({ reply: `orders-1: ${PING}` });
    await lab().weft.apply(
      authorization(
        `action: ALLOW, rules: [{from: [{source: {principals: [mesh.local/ns/default/sa/web]}}], to: [{operation: {ports: ["${orders.place.ports["tcp-db"]}"]}}]}, {to: [{operation: {ports: ["${orders.place.ports.http}"]}}]}]`,
      ),
    );
    await waitFor(
      "batch to be refused",
      () => database(batch),
      ({ reply }) => reply === undefined,
    );
    expect(await database(web)).toEqual({ reply: `orders-1: ${PING}` });
    // Plaintext shows no identity.
    expect(await tcpExchange(inbound("tcp-db"), PING, 3_000)).not.toHaveProperty("reply");
    expectStatus(await callFrom(batch, "orders.default"), 200);
  });

  test("a DestinationRule decides how callers speak: DISABLE in plaintext, ISTIO_MUTUAL in mutual TLS", async () => {
    await lab().weft.apply(destinationTls("DISABLE"));
    await waitFor(
      "plaintext",
      () => callFrom(web, "orders"),
      (answer) => answer.status === 200 && peerOf(answer) === undefined,
    );
    await lab().weft.apply(destinationTls("ISTIO_MUTUAL"));
    await waitFor(
      "mutual TLS",
      () => callFrom(web, "orders"),
      (answer) => answer.status === 200 && peerOf(answer) === WEB,
    );
  });

  test("plaintext by DestinationRule does not get through to a STRICT workload", async () => {
    await lab().weft.apply(`${destinationTls("DISABLE")}---\n${peerAuthentication("mtls: {mode: STRICT}")}`);
    await waitFor(
      "the refusal",
      () => callFrom(web, "orders"),
      ({ status }) => status === 503,
    );
    expect(orders.app.inFlight).toBe(0);
  });
});
