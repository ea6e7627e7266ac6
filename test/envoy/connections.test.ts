import { afterEach, beforeAll, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import type { SocketAddress } from "../../scripts/lib/lab/network.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { inboundOf, type Sidecar, untilLive } from "../../scripts/lib/lab/workload.ts";
import { callFrom, callPlaintext, describeMesh, type Member } from "./harness.ts";

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
`;
const WEB_ONLY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: default}
spec: {selector: {matchLabels: {app: orders}}, rules: [{from: [{source: {principals: [mesh.local/ns/default/sa/web]}}]}]}
`;
const HTTP_REQUEST = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";

/** A connection that stays open, with all that came back on it. */
interface Connection {
  readonly socket: Socket;
  received: string;
  closed: boolean;
}

function open(to: SocketAddress): Connection {
  const connection: Connection = { socket: connect({ host: to.address, port: to.port }), received: "", closed: false };
  connection.socket.on("data", (data) => {
    connection.received += data.toString();
  });
  const ended = () => {
    connection.closed = true;
  };
  connection.socket.on("end", ended).on("close", ended).on("error", ended);
  return connection;
}

/** Sends `text` and waits for `answer` to come back, or for the end. */
async function exchange(connection: Connection, text: string, answer: string): Promise<string> {
  connection.received = "";
  connection.socket.write(text);
  const whole = () => connection.received.includes(answer) || connection.closed;
  await waitFor(`"${answer}" on an open connection`, whole);
  return connection.received;
}

describeMesh("a connection that is open when a policy changes", (lab) => {
  let web: Member;
  let batch: Member;
  let orders: Member;
  let server: Sidecar;

  beforeAll(async () => {
    const listenFor = { db: "orders.default.mesh.local:9090" };
    [web, batch, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web", listenFor }),
      lab().workload({ name: "batch-1", service: "batch", listenFor }),
      lab().workload({ name: "orders-1", service: "orders", tcp: ["tcp-db"] }),
    ]);
    const ports = [
      { number: 8080, name: "http", protocol: "HTTP" },
      { number: 9090, name: "tcp-db", protocol: "TCP" },
    ];
    await lab().join([{ name: "web" }, { name: "batch" }, { name: "orders", ports }], [web, batch]);
    await lab().weft.apply(orders.yaml);
    // Connections get a second to drain, where `weft proxy run` gives them 20.
    server = lab().startSidecar(orders, ["--drain-time-s", "1"]);
    await untilLive(server);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  afterEach(async () => {
    for (const [kind, name] of [
      ["PeerAuthentication", "default"],
      ["AuthorizationPolicy", "orders"],
    ] as const) {
      const { status } = await lab().weft.api("GET", `/v1/resources/${kind}/default/${name}`);
      if (status === 200) await lab().weft.cli(["delete", kind, name]);
    }
    await waitFor(
      "plaintext to be accepted again",
      () => callPlaintext(orders),
      ({ status }) => status === 200,
    );
  });

  const database = (from: Member) => open({ address: from.place.address, port: from.place.listen.db ?? 0 });

  test("lives on in the mesh when STRICT comes, and is ended within the drain time where it is plaintext", async () => {
    const mutual = database(web);
    const [plainTcp, plainHttp] = [open(inboundOf(orders.place, "tcp-db")), open(inboundOf(orders.place))];
    for (const one of [mutual, plainTcp]) expect(await exchange(one, "before", "before")).toBe("orders-1: before");
    expect(await exchange(plainHttp, HTTP_REQUEST, '"service":"orders"')).toStartWith("HTTP/1.1 200");

    await lab().weft.apply(STRICT);
    await waitFor(
      "the listeners' filter chains to be replaced in place",
      () => server.stat("listener_manager.listener_in_place_updated"),
      (count) => count >= 2,
    );
    await waitFor(
      "the plaintext connections to end",
      () => [plainTcp.closed, plainHttp.closed],
      (closed) => closed.every(Boolean),
    );
    expect(mutual.closed).toBe(false);
    expect(await exchange(mutual, "after", "after")).toBe("orders-1: after");
    mutual.socket.destroy();
  });

  test("over HTTP meets a new AuthorizationPolicy with its next request, and stays open", async () => {
    const plain = open(inboundOf(orders.place));
    expect(await exchange(plain, HTTP_REQUEST, '"service":"orders"')).toStartWith("HTTP/1.1 200");
    await lab().weft.apply(WEB_ONLY);
    await waitFor(
      "the policy",
      () => callPlaintext(orders),
      ({ status }) => status === 403,
    );
    expect(await exchange(plain, HTTP_REQUEST, "RBAC: access denied")).toStartWith("HTTP/1.1 403");
    expect(plain.closed).toBe(false);
    plain.socket.destroy();
  });

  test("over TCP keeps the verdict under which it came in, and the next one meets the new policy", async () => {
    const admitted = database(batch);
    expect(await exchange(admitted, "before", "before")).toBe("orders-1: before");
    await lab().weft.apply(WEB_ONLY);
    await waitFor("a new connection to be refused", async () => {
      const next = database(batch);
      await exchange(next, "hello there", "hello there");
      next.socket.destroy();
      return next.closed && next.received === "";
    });
    expect(await exchange(admitted, "after", "after")).toBe("orders-1: after");
    admitted.socket.destroy();
  });
});
