import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Answer, call, tcpExchange } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, expectStatus, type Member, peerOf } from "./harness.ts";

describeMesh("a Sidecar's egress listeners", (lab) => {
  let web: Member;
  let orders: Member;
  let batch: Member;
  /** Of the services' ports, free at web's address. */
  let http: number;
  let tcp: number;
  let socket: string;

  beforeAll(async () => {
    web = await lab().workload({ name: "web-1", service: "web" });
    orders = await lab().workload({ name: "orders-1", service: "orders", tcp: ["tcp"] });
    batch = await lab().workload({ name: "batch-1", service: "batch" });
    http = await lab().network.freePort(web.place.address);
    tcp = await lab().network.freePort(web.place.address);
    socket = join(lab().directory, "out.sock");
    const ports = [
      { number: http, name: "http", protocol: "HTTP" },
      { number: tcp, name: "tcp", protocol: "TCP" },
    ];
    await lab().join([{ name: "orders", ports }, { name: "batch", ports: ports.slice(0, 1) }, { name: "web" }], [web, orders, batch]);
    await lab().weft.apply(`apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: default}
spec:
  workloadSelector: {labels: {app: web}}
  egress:
    - {port: {number: ${http}, protocol: HTTP}, bind: ${web.place.address}, captureMode: NONE, hosts: ["./orders.default.mesh.local"]}
    - {port: {number: ${tcp}, protocol: TCP}, bind: ${web.place.address}, hosts: ["./orders.default.mesh.local"]}
    - {port: {number: 0, protocol: HTTP}, bind: "unix://${socket}", hosts: ["./batch.default.mesh.local"]}
    - {hosts: ["./batch.default.mesh.local"]}
`);
    await until(() => atListener("orders.default.mesh.local"), 200);
  });

  const until = (ask: () => Promise<Answer>, wanted: number) => waitFor(`status ${wanted}`, ask, ({ status }) => status === wanted);
  const atListener = (host: string) => call({ to: { address: web.place.address, port: http }, host });
  const why = async (...args: string[]) => {
    const { code, stdout } = await lab().weft.cli(["why", "--from", "web-1", "-o", "json", ...args]);
    return { code, answer: JSON.parse(stdout) };
  };

  test("leads requests at its port to its own hosts, with the mesh's identity, and to no others", async () => {
    const answer = expectStatus(await atListener("orders.default.mesh.local"), 200);
    expect(answer.echo?.instance).toBe("orders-1");
    expect(peerOf(answer)).toBe("spiffe://mesh.local/ns/default/sa/web");
    expectStatus(await atListener("batch.default.mesh.local"), 404);
    // The outbound listener has what the last one says.
    expectStatus(await callFrom(web, `orders.default.mesh.local:${http}`), 404);
    expectStatus(await callFrom(web, `batch.default.mesh.local:${http}`), 200);

    const via = `${web.place.address}:${http}`;
    expect(await why("--to", "orders", "--via", via)).toMatchObject({ code: 0, answer: { status: 200, destinations: [{ port: http }] } });
    expect(await why("--to", "batch", "--via", via)).toMatchObject({ code: 1, answer: { status: 404 } });
    const { answer: found } = await why("--to", `orders:${http}`);
    expect(found.status).toBe(200);
    expect(found.steps[0]).toMatchObject({ stage: "listener", result: via, source: { kind: "Sidecar", name: "web" } });
    expect(await why("--to", `batch:${http}`)).toMatchObject({ code: 0, answer: { status: 200 } });
  });

  test("leads connections at a TCP port to the service's instances", async () => {
    expect(await tcpExchange({ address: web.place.address, port: tcp }, "hello")).toEqual({ reply: "orders-1: hello" });
    const via = `${web.place.address}:${tcp}`;
    expect(await why("--to", `orders:${tcp}`, "--via", via)).toMatchObject({ code: 0, answer: { protocol: "tcp", verdict: "allow" } });
  });

  test("takes requests at a Unix socket, where the Host header names the port", async () => {
    const ask = async (host: string) => (await fetch("http://socket/", { unix: socket, headers: { host } })).status;
    expect(await ask(`batch.default.mesh.local:${http}`)).toBe(200);
    expect(await ask(`orders.default.mesh.local:${http}`)).toBe(404);
    expect(await why("--to", `batch:${http}`, "--via", `unix://${socket}`)).toMatchObject({ code: 0, answer: { status: 200 } });
  });
});
