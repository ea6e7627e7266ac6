import "reflect-metadata";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { startHttpApp } from "../../scripts/lib/lab/apps.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { inboundOf, type Sidecar, sidecarOf, untilLive } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, expectStatus, type Member, peerOf } from "./harness.ts";

const API = "api.example.com";
const app = startHttpApp({ service: "api", instance: "api-1" });

const external = (resolution: string, address: string, port: number) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: default}
spec:
  hosts: [${API}]
  location: MESH_EXTERNAL
  resolution: ${resolution}
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: ${address}, ports: {http: ${port}}}]
`;
const originate = (tls: string) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: default}
spec: {host: ${API}, trafficPolicy: {tls: {mode: SIMPLE, sni: ${API}, ${tls}}}}
`;

/** A self-signed certificate for `name`, PEM. */
async function selfSigned(name: string): Promise<{ readonly certificate: string; readonly key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const extensions = [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]), new x509.BasicConstraintsExtension(true)];
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    { name: `CN=${name}`, keys, signingAlgorithm: algorithm, extensions },
    crypto,
  );
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key };
}

describeMesh("what is not in the mesh, and who only says that it is", (lab) => {
  let web: Member;
  let sidecar: Sidecar;

  beforeAll(async () => {
    web = await lab().workload({ name: "web-1", service: "web" });
    [sidecar = expect.unreachable()] = await lab().join([{ name: "web" }], [web]);
  });
  afterAll(() => app.stop());

  /** How many certificates of `host` Envoy refused, for a reason of its statistics. */
  const refusals = async (host: string, reason: string) =>
    Object.values(await sidecar.stats(new RegExp(`${RegExp.escape(host)}.*\\.ssl\\.${reason}$`))).reduce((sum, count) => sum + count, 0);

  test("an external service is called in plaintext at the addresses of its ServiceEntry", async () => {
    await lab().weft.apply(external("STATIC", "127.0.0.1", app.port));
    const answer = await waitFor(
      "the external service",
      () => callFrom(web, API),
      ({ status }) => status === 200,
    );
    expect(answer.echo).toMatchObject({ service: "api", headers: { host: API } });
  });

  test("without a resolution a call goes on to the address that its client means, or to what the name says", async () => {
    const passed = (name: string, host: string, more: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec: {hosts: [${host}], ports: [{number: ${app.port}, name: http, protocol: HTTP, targetPort: 1}]${more}}
`;
    for (const document of [passed("by-name", "api.localhost", ""), passed("by-address", "vip.example.com", ", addresses: [127.0.0.1]")]) {
      await lab().weft.apply(document);
    }
    for (const host of ["api.localhost", "vip.example.com"]) {
      app.reset();
      await waitFor(
        `the way to ${host}`,
        () => callFrom(web, `${host}:${app.port}`),
        ({ status }) => status === 200 && app.calls > 0,
      );
    }
  });

  test("an external service's names are resolved by Envoy", async () => {
    await lab().weft.apply(external("DNS", "localhost", app.port));
    app.reset();
    await waitFor(
      "the resolved service",
      () => callFrom(web, API),
      ({ status }) => status === 200 && app.calls > 0,
    );
  });

  test("TLS to an external service is verified: by its CA, and by its name", async () => {
    const [right, wrongName] = await Promise.all([selfSigned(API), selfSigned("other.example.com")]);
    const file = async (name: string, { certificate }: { certificate: string }) => {
      const path = join(lab().directory, name);
      await Bun.write(path, certificate);
      return path;
    };
    const [ca, foreignCa] = [await file("right.pem", right), await file("wrong-name.pem", wrongName)];
    const serve = ({ certificate, key }: typeof right) =>
      Bun.serve({ hostname: "127.0.0.1", port: 0, tls: { cert: certificate, key }, fetch: () => new Response("over TLS") });
    const [server, impostor] = [serve(right), serve(wrongName)];
    const expectAnswer = (what: string, port: number | undefined, tls: string, wanted: number) =>
      lab()
        .weft.apply(`${external("STATIC", "127.0.0.1", port ?? 0)}---\n${originate(tls)}`)
        .then(() =>
          waitFor(
            what,
            () => callFrom(web, API),
            ({ status }) => status === wanted,
          ),
        );
    const san = `subjectAltNames: [${API}]`;
    try {
      expect((await expectAnswer("a trusted server", server.port, `caCertificates: ${ca}, ${san}`, 200)).text).toBe("over TLS");
      await expectAnswer("an untrusted server", server.port, `caCertificates: ${foreignCa}, ${san}`, 503);
      expect(await refusals(API, "fail_verify_error")).toBeGreaterThan(0);
      expect(await refusals(API, "fail_verify_san")).toBe(0);
      expect((await expectAnswer("the trusted one again", server.port, `caCertificates: ${ca}, ${san}`, 200)).text).toBe("over TLS");
      const before = await refusals(API, "fail_verify_error");
      await expectAnswer("a server that no public authority vouches for, where no CA is named", server.port, "", 503);
      expect(await refusals(API, "fail_verify_error")).toBeGreaterThan(before);
      await expectAnswer("one that needs no voucher", server.port, "insecureSkipVerify: true", 200);
      await expectAnswer("a server of another name", impostor.port, `caCertificates: ${foreignCa}, ${san}`, 503);
      expect(await refusals(API, "fail_verify_san")).toBeGreaterThan(0);
    } finally {
      await Promise.all([server.stop(true), impostor.stop(true)]);
    }
  });

  test("a workload that presents another identity than the service's is not believed", async () => {
    const inbound = inboundOf(web.place);
    await lab().weft.apply(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vault, namespace: default}
spec:
  hosts: [vault.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: vault}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vault-1, namespace: default}
spec: {address: ${inbound.address}, ports: {http: ${inbound.port}}, labels: {app: vault}, serviceAccount: vault}
`);
    web.app.reset();
    await waitFor(
      "the refusal",
      () => callFrom(web, "vault"),
      ({ status }) => status === 503,
    );
    expect(await refusals("vault.default.mesh.local", "fail_verify_san")).toBeGreaterThan(0);
    expect(web.app.calls).toBe(0);
  });

  test("an Envoy that speaks the state-of-the-world protocol is served as well", async () => {
    const { weft, envoy, directory } = lab();
    const member = await lab().workload({ name: "sotw-1", service: "sotw" });
    await weft.apply(member.yaml);
    const bootstrap = (await weft.cli(["proxy", "bootstrap", "sotw-1"])).stdout;
    expect(bootstrap).toContain("DELTA_GRPC");
    const file = join(directory, "sotw.yaml");
    await Bun.write(file, bootstrap.replace("DELTA_GRPC", "GRPC"));
    const process = lab().processes.start("envoy-sotw", [envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart"]);
    await untilLive(sidecarOf(member.place, process));
    await weft.apply("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web}\nspec: {host: web}\n");
    expect(peerOf(expectStatus(await callFrom(member, "web.default"), 200))).toBe("spiffe://mesh.local/ns/default/sa/sotw");
    expect((await weft.cli(["proxies", "sotw-1"])).stdout).toContain("sotw");
    await process.kill();
  });
});
