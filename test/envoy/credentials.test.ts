import { afterAll, beforeAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:tls";
import { call } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import {
  choosePlace,
  inboundOf,
  type Place,
  type Sidecar,
  startSidecar,
  untilLive,
  workloadEntryYaml,
} from "../../scripts/lib/lab/workload.ts";
import { type Issued, issue, secretYaml } from "../fakes/certificates.ts";
import { describeMesh, type Member, serviceEntryYaml } from "./harness.ts";
import { getOverTls, holdTls } from "./tls-call.ts";

const SHOP = "shop.example.com";
const PARTNER = "partner.example.com";
const OPTIONAL = "optional.example.com";
const MISSING = "missing.example.com";
const BANK = "bank.example.com";

const fingerprintOf = ({ certificate }: Issued) => new X509Certificate(certificate).fingerprint256;
const LDS = /^listener_manager\.(listener_added|listener_modified|listener_in_place_updated|listener_removed|lds\.update_success)$/;

describeMesh("certificates from Secrets", (lab) => {
  let orders: Member;
  let front: Place;
  let gateway: Sidecar;
  let ca: Issued;
  let shop: Issued;
  let bank: Server;
  const bankCallers: string[] = [];

  const https = () => inboundOf(front, "https");

  beforeAll(async () => {
    const { network, weft, processes, envoy } = lab();
    ca = await issue("ca.example.com");
    shop = await issue(SHOP, ca);
    const bankPair = await issue(BANK, ca);
    const options = { cert: bankPair.certificate, key: bankPair.key, ca: ca.certificate, requestCert: true, rejectUnauthorized: true };
    bank = createServer(options, (socket) => {
      bankCallers.push(String(socket.getPeerCertificate().subject?.CN));
      socket.on("error", () => socket.destroy());
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nthe bank"));
    });
    await new Promise<void>((resolve) => bank.listen(0, "127.0.0.1", resolve));
    orders = await lab().workload({ name: "orders-1", service: "orders" });
    front = await choosePlace(network, { name: "front-1", ports: ["https", "http"] });
    const port = front.ports.https;
    const entry = workloadEntryYaml({ place: front, labels: { istio: "ingressgateway" }, serviceAccount: "front", apps: {} });
    const server = (name: string, host: string, tls: string) =>
      `    - {port: {number: ${port}, name: ${name}, protocol: HTTPS}, hosts: ["${host}"], tls: {${tls}}}`;
    await weft.apply(
      [
        serviceEntryYaml({ name: "orders" }),
        orders.yaml,
        entry.replace('"annotations":{', '"annotations":{"weft.dev/type":"gateway",'),
        secretYaml("shop", shop),
        secretYaml("shop-cacert", { ca: ca.certificate }),
        secretYaml("wild", await issue("wild.example.com", ca)),
        secretYaml("client", { ...(await issue("client.example.com", ca)), ca: ca.certificate }),
        // A Secret of another namespace is none for this gateway.
        secretYaml("missing", await issue(MISSING, ca), "other"),
        `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
${[
  server("shop", SHOP, "mode: SIMPLE, credentialName: shop"),
  server("partner", PARTNER, "mode: MUTUAL, credentialName: shop"),
  server("optional", OPTIONAL, "mode: OPTIONAL_MUTUAL, credentialName: shop"),
  server("missing", MISSING, "mode: MUTUAL, credentialName: missing"),
  server("wild", "*.example.com", "mode: SIMPLE, credentialName: wild"),
].join("\n")}
    - {port: {number: ${front.ports.http}, name: http, protocol: HTTP}, hosts: ["*"]}
`,
        `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, namespace: default}
spec:
  hosts: [${BANK}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${(bank.address() as AddressInfo).port}}}]
`,
        `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank, namespace: default}
spec: {host: ${BANK}, trafficPolicy: {tls: {mode: MUTUAL, credentialName: client, sni: ${BANK}, subjectAltNames: [${BANK}]}}}
`,
        `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: default}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
    - {match: [{authority: {exact: ${BANK}}}], route: [{destination: {host: ${BANK}, port: {number: 80}}}]}
    - {route: [{destination: {host: orders.default.mesh.local, port: {number: 8080}}}]}
`,
      ].join("\n---\n"),
    );
    const proxies = [orders.place, front].map((place) => startSidecar({ weft, processes, envoy }, place));
    await Promise.all(proxies.map((proxy) => untilLive(proxy)));
    [, gateway] = proxies as [Sidecar, Sidecar];
    await waitFor(
      "the first call",
      () => getOverTls(https(), SHOP),
      ({ status }) => status === 200,
    );
  });
  afterAll(() => bank?.close());

  test("are shown by the name that TLS asks for, several servers on one port", async () => {
    const names = [SHOP, "other.example.com"];
    const shown = await Promise.all(
      names.map(async (name) => {
        const held = await holdTls(https(), name);
        held?.close();
        return held?.fingerprint;
      }),
    );
    expect(shown[0]).toBe(fingerprintOf(shop));
    expect(shown[1]).toBeString();
    expect(shown[1]).not.toBe(shown[0]);
  });

  test("are asked of clients and judged by the CA of NAME-cacert", async () => {
    const known = await issue("client.example.com", ca);
    const stranger = await issue("client.example.com", await issue("ca.example.com"));
    const asked = [
      [PARTNER, known, 200],
      [PARTNER, undefined, 0],
      [PARTNER, stranger, 0],
      [OPTIONAL, known, 200],
      [OPTIONAL, undefined, 200],
      [OPTIONAL, stranger, 0],
    ] as const;
    for (const [host, client, status] of asked) {
      expect([host, client?.name, (await getOverTls(https(), host, client)).status]).toEqual([host, client?.name, status]);
      // What weft why is told of a certificate counts as signed by the right CA.
      if (client === stranger) continue;
      const body = {
        from: "default/front-1",
        to: `${host}:${https().port}`,
        ...(client ? { clientCertificate: [client.name] } : {}),
      };
      const { json } = await lab().weft.api("POST", "/v1/why", { text: JSON.stringify(body), type: "application/json" });
      expect([host, client?.name, (json as { status: number }).status]).toEqual([host, client?.name, status]);
    }
  });

  test("that are missing close their own server, which no wildcard takes over, and leave the others serving", async () => {
    expect((await getOverTls(https(), MISSING)).status).toBe(0);
    expect((await getOverTls(https(), SHOP)).status).toBe(200);
    const { stdout } = await lab().weft.cli(["check"]);
    expect(stdout).toContain("WF0517");
    const why = await lab().weft.cli(["why", "--from", "front-1", "--to", `${MISSING}:${https().port}`, "--client-cert", "x"]);
    expect([why.code, why.stdout]).toEqual([1, expect.stringContaining("there is no Secret default/missing")]);
  });

  test("are renewed by one push of one secret: no listener changes, and open connections go on", async () => {
    const { weft } = lab();
    const held = await holdTls(https(), SHOP);
    expect(await held?.get("/")).toMatchObject({ status: 200 });
    const before = await gateway.stats(LDS);
    const pushes = await weft.metric("weft_pushes_total", { type: "SDS" });
    const renewed = await issue(SHOP, ca);
    await weft.apply(secretYaml("shop", renewed));
    await waitFor(
      "the renewed certificate",
      async () => {
        const fresh = await holdTls(https(), SHOP);
        fresh?.close();
        return fresh?.fingerprint;
      },
      (fingerprint) => fingerprint === fingerprintOf(renewed),
    );
    expect(await held?.get("/again")).toMatchObject({ status: 200 });
    expect(held?.fingerprint).toBe(fingerprintOf(shop));
    held?.close();
    expect(await gateway.stats(LDS)).toEqual(before);
    expect((await weft.metric("weft_pushes_total", { type: "SDS" })) - pushes).toBe(1);
  });

  test("that come later open their server, and drop no connection of the others", async () => {
    const { weft } = lab();
    const held = await holdTls(https(), SHOP);
    expect(await held?.get("/")).toMatchObject({ status: 200 });
    const late = await issue(MISSING, ca);
    await weft.apply([secretYaml("missing", late), secretYaml("missing-cacert", { ca: ca.certificate })].join("\n---\n"));
    const client = await issue("client.example.com", ca);
    await waitFor(
      "the server to open",
      () => getOverTls(https(), MISSING, client),
      ({ status }) => status === 200,
    );
    expect((await getOverTls(https(), MISSING)).status).toBe(0);
    expect(await held?.get("/again")).toMatchObject({ status: 200 });
    held?.close();
  });

  test("are shown by a gateway that calls out, where a DestinationRule names them", async () => {
    const answer = await waitFor(
      "the bank",
      () => call({ to: inboundOf(front, "http"), host: BANK }),
      ({ status }) => status === 200,
    );
    expect(answer.text).toBe("the bank");
    expect(bankCallers).toContain("client.example.com");
  });
});
