import "reflect-metadata";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { request } from "node:https";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { call, tcpExchange } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { choosePlace, inboundOf, type Place, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { describeMesh, expectStatus, type Member, peerOf, serviceEntryYaml } from "./harness.ts";

const SHOP = "shop.example.com";
const PARTNER = "partner.example.com";
const VAULT = "vault.example.com";

interface Issued {
  readonly certificate: string;
  readonly key: string;
  readonly sign: CryptoKey;
  readonly name: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate for `name`, PEM: of `issuer`, or a CA's own. */
async function issue(name: string, issuer?: Issued): Promise<Issued> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: `CN=${name}`,
      issuer: `CN=${issuer?.name ?? name}`,
      publicKey: keys.publicKey,
      signingKey: issuer?.sign ?? keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]), new x509.BasicConstraintsExtension(!issuer)],
    },
    crypto,
  );
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key, sign: keys.privateKey, name };
}

const bound = (name: string, host: string, rules: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: default}
spec:
  hosts: ["${host}"]
  gateways: [front]
${rules}
`;

const denyAdmin = (action: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: front, namespace: default}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: ${action}
  rules: [{to: [{operation: {paths: [/admin*]}}]}]
`;

describeMesh("a gateway", (lab) => {
  let orders: Member;
  let front: Place;
  let ca: Issued;
  const vaultCertificate = issue(VAULT);
  let vault: ReturnType<typeof Bun.serve> | undefined;

  beforeAll(async () => {
    const { network, weft, processes, envoy, directory } = lab();
    ca = await issue("ca.example.com");
    const server = await issue(SHOP, ca);
    const { certificate, key } = await vaultCertificate;
    vault = Bun.serve({ hostname: "127.0.0.1", port: 0, tls: { cert: certificate, key }, fetch: () => new Response("the vault") });
    const file = async (name: string, text: string) => {
      await Bun.write(join(directory, name), text);
      return join(directory, name);
    };
    const [cert, privateKey, caCert] = await Promise.all([
      file("server.pem", server.certificate),
      file("server-key.pem", server.key),
      file("ca.pem", ca.certificate),
    ]);
    const files = `serverCertificate: ${cert}, privateKey: ${privateKey}`;
    orders = await lab().workload({ name: "orders-1", service: "orders", tcp: ["tcp"] });
    const vaultPlace = await choosePlace(network, { name: "vault-1", ports: ["tcp"] });
    front = await choosePlace(network, { name: "front-1", ports: ["http", "redirected", "https", "tls", "tcp"] });
    const vaultApp = { address: "127.0.0.1", port: vault.port ?? 0 };
    const entry = workloadEntryYaml({ place: front, labels: { istio: "ingressgateway" }, serviceAccount: "front", apps: {} });
    await weft.apply(
      [
        serviceEntryYaml({
          name: "orders",
          ports: [
            { number: 8080, name: "http", protocol: "HTTP" },
            { number: 9090, name: "tcp", protocol: "TCP" },
          ],
        }),
        serviceEntryYaml({ name: "vault", ports: [{ number: 443, name: "tcp", protocol: "TCP" }] }),
        orders.yaml,
        workloadEntryYaml({ place: vaultPlace, labels: { app: "vault" }, serviceAccount: "vault", apps: { tcp: vaultApp } }),
        entry.replace('"annotations":{', '"annotations":{"weft.dev/type":"gateway",'),
        `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: ${front.ports.http}, name: http, protocol: HTTP}, hosts: [${SHOP}]}
    - {port: {number: ${front.ports.redirected}, name: redirected, protocol: HTTP}, hosts: [${SHOP}], tls: {httpsRedirect: true}}
    - {port: {number: ${front.ports.https}, name: https, protocol: HTTPS}, hosts: [${SHOP}], tls: {mode: SIMPLE, ${files}}}
    - port: {number: ${front.ports.https}, name: mutual, protocol: HTTPS}
      hosts: [${PARTNER}]
      tls: {mode: MUTUAL, ${files}, caCertificates: ${caCert}, subjectAltNames: [client.example.com]}
    - {port: {number: ${front.ports.tls}, name: tls, protocol: TLS}, hosts: [${VAULT}], tls: {mode: PASSTHROUGH}}
    - {port: {number: ${front.ports.tcp}, name: tcp, protocol: TCP}, hosts: ["*"]}
`,
        `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: weft-system}
spec: {mtls: {mode: STRICT}}
`,
        bound("shop", SHOP, "  http:\n    - route: [{destination: {host: orders, port: {number: 8080}}}]"),
        bound("partner", PARTNER, "  http:\n    - route: [{destination: {host: orders, port: {number: 8080}}}]"),
        bound("vault", VAULT, `  tls:\n    - match: [{sniHosts: [${VAULT}]}]\n      route: [{destination: {host: vault}}]`),
        bound("tcp", "*", "  tcp:\n    - route: [{destination: {host: orders, port: {number: 9090}}}]"),
      ].join("---\n"),
    );
    const proxies = [orders.place, vaultPlace, front].map((place) => startSidecar({ weft, processes, envoy }, place));
    await Promise.all(proxies.map((proxy) => untilLive(proxy)));
    await waitFor(
      "the first call",
      () => plain(SHOP),
      ({ status }) => status === 200,
    );
  });
  afterAll(() => vault?.stop(true));

  const plain = (host: string, path = "/", headers: Readonly<Record<string, string>> = {}, port = "http") =>
    call({ to: inboundOf(front, port), host, path, headers });

  interface TlsCall {
    readonly port?: string;
    readonly path?: string;
    readonly client?: Issued;
    readonly trust: string;
  }
  /** Status 0 where TLS came to nothing. */
  const tls = (host: string, { port = "https", path = "/", client, trust }: TlsCall) =>
    new Promise<{ readonly status: number; readonly text: string }>((resolve) => {
      const { address, port: number } = inboundOf(front, port);
      const sent = request(
        {
          host: address,
          port: number,
          path,
          servername: host,
          ca: trust,
          // The one certificate of the gateway names the shop; which CA signed it is what is asked here.
          checkServerIdentity: () => undefined,
          headers: { host },
          agent: false,
          timeout: 5_000,
          ...(client ? { cert: client.certificate, key: client.key } : {}),
        },
        (response) => {
          let text = "";
          response.on("data", (piece) => {
            text += String(piece);
          });
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      sent.on("timeout", () => sent.destroy());
      sent.on("error", (reason) => resolve({ status: 0, text: String(reason) }));
      sent.end();
    });

  test("calls a STRICT service of the mesh under its own identity", async () => {
    expect(peerOf(expectStatus(await plain(SHOP), 200))).toBe("spiffe://mesh.local/ns/default/sa/front");
  });

  test("answers only for the hosts on which a server and a VirtualService agree", async () => {
    expectStatus(await plain("other.example.com"), 404);
    expectStatus(await plain(PARTNER), 404);
    expectStatus(await plain(`${SHOP}:8080`), 200);
  });

  test("does not believe what callers say about who they are and where they come from", async () => {
    const { echo } = expectStatus(
      await plain(SHOP, "/", { "x-forwarded-client-cert": "URI=spiffe://mesh.local/ns/default/sa/admin" }),
      200,
    );
    expect(echo?.headers["x-forwarded-client-cert"]).not.toContain("sa/admin");
    expect(echo?.headers["x-forwarded-for"]).toBeString();
  });

  test("redirects plaintext to https where its server says so", async () => {
    const { headers } = expectStatus(await plain(SHOP, "/cart", {}, "redirected"), 301);
    expect(headers.location).toBe(`https://${SHOP}/cart`);
  });

  test("ends TLS with the certificate of its server's files", async () => {
    const answer = await tls(SHOP, { trust: ca.certificate });
    expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('"orders"') });
    expect(await tls(SHOP, { trust: (await vaultCertificate).certificate })).toMatchObject({ status: 0 });
  });

  test("asks for a client certificate, by its CA and its name, where its server is MUTUAL", async () => {
    const trust = ca.certificate;
    expect(await tls(PARTNER, { trust, client: await issue("client.example.com", ca) })).toMatchObject({ status: 200 });
    expect(await tls(PARTNER, { trust })).toMatchObject({ status: 0 });
    expect(await tls(PARTNER, { trust, client: await issue("stranger.example.com", ca) })).toMatchObject({ status: 0 });
    const other = await issue("other-ca.example.com");
    expect(await tls(PARTNER, { trust, client: await issue("client.example.com", other) })).toMatchObject({ status: 0 });
  });

  test("passes TLS on unopened, by the name that it asks for", async () => {
    const trust = (await vaultCertificate).certificate;
    expect(await tls(VAULT, { port: "tls", trust })).toEqual({ status: 200, text: "the vault" });
    expect(await tls(SHOP, { port: "tls", trust })).toMatchObject({ status: 0 });
  });

  test("carries TCP to where a VirtualService's tcp route says", async () => {
    expect(await tcpExchange(inboundOf(front, "tcp"), "hello")).toEqual({ reply: "orders-1: hello" });
  });

  test("obeys the AuthorizationPolicies that select it", async () => {
    await lab().weft.apply(denyAdmin("DENY"));
    const denied = await waitFor(
      "the policy",
      () => plain(SHOP, "/admin/x"),
      ({ status }) => status === 403,
    );
    expect(denied.text).toContain("RBAC");
    expectStatus(await plain(SHOP, "//admin"), 403);
    expectStatus(await plain(SHOP, "/cart"), 200);
  });

  test("does with each request what weft why says", async () => {
    const { weft } = lab();
    const to = "route: [{destination: {host: orders, port: {number: 8080}}}]";
    await weft.apply(
      [
        bound(
          "shop",
          SHOP,
          `  http:
    - {match: [{headers: {x-beta: {exact: "1"}}}], directResponse: {status: 418}}
    - {match: [{uri: {prefix: /old}}], redirect: {uri: /new, redirectCode: 302}}
    - {match: [{uri: {prefix: /port}}], redirect: {derivePort: FROM_REQUEST_PORT}}
    - {match: [{uri: {prefix: /broken}}], fault: {abort: {httpStatus: 555, percentage: {value: 100}}}, ${to}}
    - {match: [{uri: {prefix: /v1/}}], rewrite: {uri: /closed/}, ${to}}
    - {match: [{uri: {prefix: /secure}, scheme: {exact: https}}], directResponse: {status: 203}}
    - {match: [{uri: {exact: /}}, {uri: {prefix: /cart}}, {uri: {prefix: /closed}}, {uri: {prefix: /admin}}, {uri: {prefix: /blocked}}], ${to}}`,
        ),
        denyAdmin("DENY"),
        `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: blocked, namespace: default}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules:
    - {from: [{source: {remoteIpBlocks: [127.0.0.1/32]}}], to: [{operation: {paths: [/blocked]}}]}
    - {from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}
`,
        `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: default}
spec:
  selector: {matchLabels: {app: orders}}
  action: DENY
  rules:
    - {to: [{operation: {paths: [/closed*]}}]}
    - {from: [{source: {notPrincipals: [mesh.local/ns/default/sa/front]}}]}
`,
        `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: front, namespace: default}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  jwtRules: [{issuer: me, jwks: '{"keys": []}'}]
`,
      ].join("---\n"),
    );
    await waitFor(
      "the routes",
      async () => [(await plain(SHOP, "/", { "x-beta": "1" })).status, (await plain(SHOP, "/closed")).status],
      ([direct, denied]) => direct === 418 && denied === 403,
    );
    const said = async (host: string, path: string, headers: Readonly<Record<string, string>>, port: string) => {
      const body = {
        from: "default/front-1",
        to: `${host.replace(/:\d+$/, "")}:${inboundOf(front, port).port}`,
        path,
        headers: { ...headers, host },
        sourceIp: "127.0.0.1",
      };
      const { status, text, json } = await weft.api("POST", "/v1/why", { text: JSON.stringify(body), type: "application/json" });
      expect(status, text).toBe(200);
      return json as { readonly status: number; readonly summary: string; readonly route: { readonly location?: string } | null };
    };
    const requests: readonly (readonly [host: string, path: string, headers?: Readonly<Record<string, string>>, port?: string])[] = [
      ...[
        "/",
        "/cart/1",
        "/none",
        "/old/x?y=1",
        "/port",
        "/broken",
        "/v1/x",
        "/closed",
        "/secure",
        "/admin",
        "//admin/x",
        "/a/../blocked",
      ].map((path) => [SHOP, path] as const),
      ...["/", "/admin", "/cart?x=1", "/none"].map((path) => [SHOP, path, {}, "redirected"] as const),
      [SHOP, "/", { "x-beta": "1" }],
      [SHOP, "/", { "x-forwarded-for": "192.0.2.7" }],
      [SHOP, "/", { "x-forwarded-proto": "https" }, "redirected"],
      [SHOP, "/secure", { "x-forwarded-proto": "https" }],
      [SHOP, "/", { authorization: "Bearer none" }],
      [`${SHOP.toUpperCase()}:80`, "/old"],
      ["other.example.com", "/"],
      ["other.example.com", "/admin"],
      [PARTNER, "/"],
    ];
    for (const [host, path, headers = {}, port = "http"] of requests) {
      const [answer, seen] = [await said(host, path, headers, port), await plain(host, path, headers, port)];
      const asked = `${port} ${host}${path} ${JSON.stringify(headers)}`;
      expect(`${asked}: ${seen.status} ${seen.headers.location ?? ""}`).toBe(`${asked}: ${answer.status} ${answer.route?.location ?? ""}`);
    }
    for (const path of ["/", "/secure", "/closed", "/admin", "/none"]) {
      const [answer, seen] = [await said(SHOP, path, {}, "https"), await tls(SHOP, { trust: ca.certificate, path })];
      expect(`${path}: ${seen.status}`).toBe(`${path}: ${answer.status}`);
    }
  });
});
