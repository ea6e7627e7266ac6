import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { startHttpApp } from "../../scripts/lib/lab/apps.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";

const app = startHttpApp({ service: "outside", instance: "outside-1" });

const sidecar = (policy: string) => `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: default}
spec: {workloadSelector: {labels: {app: web}}, outboundTrafficPolicy: ${policy}}
`;

// Resolvers give every name below "localhost" the loopback address (RFC 6761), so no name server is needed.
const wildcard = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any, namespace: default}
spec:
  hosts: ["*.api.localhost"]
  resolution: DYNAMIC_DNS
  ports: [{number: ${app.port}, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: alias, namespace: default}
spec:
  hosts: [alias.internal]
  http:
    - rewrite: {authority: "two.api.localhost:${app.port}"}
      route: [{destination: {host: "*.api.localhost", port: {number: ${app.port}}}}]
`;

describeMesh("calls to hosts that are not known beforehand", (lab) => {
  let web: Member;
  let batch: Member;

  beforeAll(async () => {
    const member = (service: string) => lab().workload({ name: `${service}-1`, service });
    [web, batch] = [await member("web"), await member("batch")];
    await lab().join([{ name: "web" }, { name: "batch" }], [web, batch]);
    await until(web, "batch", 200);
  });
  afterAll(() => app.stop());

  const until = (from: Member, host: string, status: number) =>
    waitFor(
      `${status} from ${host}`,
      () => callFrom(from, host),
      (answer) => answer.status === status,
    );
  const outside = () => `any.localhost:${app.port}`;

  /** What `weft why` says of the same call: its status. */
  const why = async (host: string, from = "web-1", ...more: string[]) => {
    const { stdout } = await lab().weft.cli(["why", "--from", from, "--to", host, "-o", "json", ...more]);
    return (JSON.parse(stdout) as { status: number }).status;
  };

  test("ALLOW_ANY lets a workload call them, in plaintext, at the port of the Host header; others not", async () => {
    expectStatus(await callFrom(web, outside()), 404);
    expect(await why(outside())).toBe(404);
    await lab().weft.apply(sidecar("{mode: ALLOW_ANY}"));
    const { echo } = await until(web, outside(), 200);
    expect(echo).toMatchObject({ service: "outside", headers: { host: outside() } });
    expect(await why(outside())).toBe(200);
    expectStatus(await callFrom(web, `127.0.0.1:${app.port}`), 200);
    expectStatus(await callFrom(web, outside(), { asProxy: true }), 200);
    expectStatus(await callFrom(web, "batch"), 200);
    expectStatus(await callFrom(web, "no-such-name.invalid"), 503);
    expectStatus(await callFrom(batch, outside()), 404);
    expect(await why(outside(), "batch-1")).toBe(404);
  });

  test("with ALLOW_ANY a client of the proxy may open a tunnel with CONNECT", async () => {
    const answer = await tunnel(web, outside());
    expect(answer).toContain("200 OK");
    expect(answer).toContain('"instance":"outside-1"');
    expect(await why(outside(), "web-1", "--method", "CONNECT")).toBe(200);
  });

  test("an egressProxy gets the calls to hosts that are not known", async () => {
    await lab().weft.apply(sidecar("{mode: ALLOW_ANY, egressProxy: {host: batch.default.mesh.local, port: {number: 8080}}}"));
    const answer = await waitFor(
      "the proxy",
      () => callFrom(web, "far.example.com"),
      ({ echo }) => echo?.service === "batch",
    );
    expect(answer.echo?.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://mesh.local/ns/default/sa/web");
    expect(await why("far.example.com")).toBe(200);
  });

  test("REGISTRY_ONLY takes it back", async () => {
    await lab().weft.apply(sidecar("{mode: REGISTRY_ONLY}"));
    await until(web, outside(), 404);
  });

  test("a wildcard of DYNAMIC_DNS leads to what the called name resolves to, at the service's port alone", async () => {
    await lab().weft.apply(wildcard);
    const one = `one.api.localhost:${app.port}`;
    expect((await until(web, one, 200)).echo?.headers.host).toBe(one);
    expect(await why(one)).toBe(200);
    expectStatus(await callFrom(web, "one.api.localhost:1"), 404);
    expectStatus(await callFrom(web, outside()), 404);
  });

  test("a route that gives the request another host leads to that one", async () => {
    const { echo } = await until(web, "alias.internal", 200);
    expect(echo?.headers.host).toBe(`two.api.localhost:${app.port}`);
    expect(await why("alias.internal")).toBe(200);
  });
});

/** CONNECT to the workload's outbound listener, then one request inside of it: all that came back. */
function tunnel(from: Member, host: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { address, port } = from.place.outbound;
  const socket = connect(port, address, () => socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
  let text = "";
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  socket.on("data", (chunk) => {
    const before = text;
    text += chunk.toString();
    if (!before.includes("\r\n\r\n") && text.includes("\r\n\r\n")) socket.write(request);
    if (text.includes('"instance"')) socket.end();
  });
  socket.on("close", () => resolve(text));
  socket.on("error", reject);
  socket.setTimeout(20_000, () => socket.destroy());
  return promise;
}
