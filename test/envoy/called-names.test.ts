import "reflect-metadata";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { issue } from "../fakes/certificates.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";
import { getOverTls } from "./tls-call.ts";

/** The one name that the server's certificate is for; resolvers give it, and its neighbours, the loopback address (RFC 6761). */
const NAME = "one.api.localhost";

describeMesh("a wildcard's names over TLS", (lab) => {
  let web: Member;
  let server: ReturnType<typeof Bun.serve>;
  let authority = "";

  beforeAll(async () => {
    const ca = await issue("ca.localhost");
    const { certificate, key } = await issue(NAME, ca);
    authority = join(lab().directory, "ca.pem");
    await Bun.write(authority, ca.certificate);
    const tls = { cert: certificate, key };
    server = Bun.serve({ hostname: "127.0.0.1", port: 0, tls, fetch: ({ headers }) => new Response(`at ${headers.get("host")}`) });
    web = await lab().workload({ name: "web-1", service: "web", listenFor: { tls: `*.api.localhost:${server.port}` } });
    await lab().join([{ name: "web" }], [web]);
  });
  afterAll(() => server.stop(true));

  const entry = (more: string, protocol: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any, namespace: default}
spec:
  hosts: ["*.api.localhost"]
  ${more}
  ports: [{number: ${server.port}, name: port, protocol: ${protocol}}]
`;
  const place = () => ({ address: web.place.address, port: web.place.listen.tls ?? 0 });

  for (const [what, more, protocol] of [
    ["DYNAMIC_DNS", "resolution: DYNAMIC_DNS", "TLS"],
    ["no resolution", "", "HTTPS"],
  ] as const) {
    test(`with ${what} the application's own TLS goes to the name that it asks for`, async () => {
      await lab().weft.apply(entry(more, protocol));
      const { text } = await waitFor(
        "the server",
        () => getOverTls(place(), NAME),
        ({ status }) => status === 200,
      );
      expect(text).toContain(`at ${NAME}`);
      expect((await getOverTls(place(), "any.localhost")).status).toBe(0);
    });
  }

  test("a DestinationRule's TLS asks for the name that is called, and takes a certificate for that name alone", async () => {
    const rule = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: any, namespace: default}
spec: {host: "*.api.localhost", trafficPolicy: {tls: {mode: SIMPLE, caCertificates: ${authority}}}}
`;
    await lab().weft.apply(`${entry("resolution: DYNAMIC_DNS", "HTTP")}---\n${rule}`);
    const { text } = await waitFor(
      "the server",
      () => callFrom(web, `${NAME}:${server.port}`),
      ({ status }) => status === 200,
    );
    expect(text).toBe(`at ${NAME}:${server.port}`);
    expectStatus(await callFrom(web, `two.api.localhost:${server.port}`), 503);
  });
});
