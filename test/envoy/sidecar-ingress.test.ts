import { beforeAll, expect, test } from "bun:test";
import { request } from "node:https";
import { join } from "node:path";
import { call } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Issued, issue } from "../fakes/certificates.ts";
import { describeMesh, type Member } from "./harness.ts";

const HOST = "orders.example.com";

describeMesh("a Sidecar's ingress with TLS of its own", (lab) => {
  let orders: Member;
  let ca: Issued;
  let client: Issued;
  let port: number;

  beforeAll(async () => {
    orders = await lab().workload({ name: "orders-1", service: "orders" });
    await lab().join([{ name: "orders" }], [orders]);
    port = orders.place.ports.http ?? 0;
    ca = await issue("ca");
    client = await issue("client.example.com", ca);
    const server = await issue(HOST, ca);
    const file = async (name: string, text: string) => {
      const path = join(lab().directory, name);
      await Bun.write(path, text);
      return path;
    };
    const [certificate, key, authority] = [
      await file("server.pem", server.certificate),
      await file("server-key.pem", server.key),
      await file("ca.pem", ca.certificate),
    ];
    await lab().weft.apply(`apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: orders, namespace: default}
spec:
  workloadSelector: {labels: {app: orders}}
  ingress:
    - port: {number: ${port}, protocol: HTTPS, name: https}
      defaultEndpoint: 127.0.0.1:${orders.app.port}
      tls: {mode: MUTUAL, serverCertificate: ${certificate}, privateKey: ${key}, caCertificates: ${authority}}
`);
  });

  /** Status 0 where TLS came to nothing. */
  const ask = (shown: Issued | undefined) =>
    new Promise<number>((resolve) => {
      const sent = request(
        {
          host: orders.place.address,
          port,
          servername: HOST,
          ca: ca.certificate,
          headers: { host: HOST },
          agent: false,
          timeout: 5_000,
          ...(shown ? { cert: shown.certificate, key: shown.key } : {}),
        },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      sent.on("timeout", () => sent.destroy());
      sent.on("error", () => resolve(0));
      sent.end();
    });
  const plain = async () => (await call({ to: { address: orders.place.address, port }, host: HOST })).status;
  const mode = (value: string) =>
    lab().weft.apply(`apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: orders, namespace: default}
spec: {selector: {matchLabels: {app: orders}}, portLevelMtls: {${port}: {mode: ${value}}}}
`);
  const why = async () => JSON.parse((await lab().weft.cli(["why", "--to", "orders", "-o", "json"])).stdout);

  test("stands back for the mesh's mutual TLS, and weft says so", async () => {
    await waitFor("plaintext", plain, (status) => status === 200);
    expect(await ask(client)).toBe(0);
    const { stdout } = await lab().weft.cli(["check"]);
    expect(stdout).toContain(`port ${port} of default/orders-1 takes the mesh's mutual TLS, and so not this`);
  });

  test("ends the TLS of callers outside the mesh where PeerAuthentication says DISABLE, and refuses plaintext", async () => {
    await mode("DISABLE");
    await waitFor(
      "TLS",
      () => ask(client),
      (status) => status === 200,
    );
    expect(await ask(undefined)).toBe(0);
    expect(await ask(await issue("client.example.com", await issue("another")))).toBe(0);
    expect(await plain()).toBe(0);
    expect(await why()).toMatchObject({ verdict: "refused", mtls: { server: "DISABLE", outcome: "refused" } });
  });
});
