import { beforeAll, expect, test } from "bun:test";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { call } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { choosePlace, inboundOf, type Place, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { describeMesh } from "./harness.ts";

const SHOP = "shop.example.com";
const ISSUER = "https://issuer.example";

/** The route that answered, by its status: none of them calls anybody. */
const ROUTES = [
  [201, `headers: {"@request.auth.claims.group": {exact: admin}}`],
  [202, `headers: {"@request.auth.claims[realm][roles]": {prefix: "shop-"}}, withoutHeaders: {"@request.auth.claims[banned]": {}}`],
  [203, `headers: {"@Request.Auth.Claims[sub]": {regex: "guest-[0-9]+"}}`],
  [204, `headers: {"@request.auth.claims[scope]": {exact: write}, x-beta: {exact: "1"}}`],
  [205, `headers: {"@request.auth.claims[https://shop.example/tier]": {exact: gold}}`],
  [206, `headers: {"@request.auth.claims[verified]": {}}`],
  [226, `headers: {x-sub: {exact: bob}}`],
  [203, `withoutHeaders: {"@request.auth.claims[sub]": {regex: ".*"}}, headers: {x-anonymous: {exact: "1"}}`],
] as const;

describeMesh("routes by claims", (lab) => {
  let front: Place;
  let sign: (claims: JWTPayload) => Promise<string>;

  beforeAll(async () => {
    const { network, weft, processes, envoy } = lab();
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "ES256" }] });
    const exp = Math.floor(systemClock.now() / 1000) + 600;
    sign = (claims) => new SignJWT({ iss: ISSUER, exp, ...claims }).setProtectedHeader({ alg: "ES256", kid: "k" }).sign(privateKey);
    front = await choosePlace(network, { name: "front-1", ports: ["http"] });
    const entry = workloadEntryYaml({ place: front, labels: { istio: "ingressgateway" }, serviceAccount: "front", apps: {} });
    const rule = { issuer: ISSUER, jwks, outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }] };
    await weft.apply(
      [
        entry.replace('"annotations":{', '"annotations":{"weft.dev/type":"gateway",'),
        `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: ${front.ports.http}, name: http, protocol: HTTP}, hosts: [${SHOP}]}]}
`,
        `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: front, namespace: default}
spec: ${JSON.stringify({ selector: { matchLabels: { istio: "ingressgateway" } }, jwtRules: [rule] })}
`,
        `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [${SHOP}]
  gateways: [front]
  http:
${ROUTES.map(([status, match]) => `    - {match: [{${match}}], directResponse: {status: ${status}}}`).join("\n")}
    - {directResponse: {status: 299}}
`,
      ].join("---\n"),
    );
    await untilLive(startSidecar({ weft, processes, envoy }, front));
    const token = await sign({ group: "admin" });
    await waitFor(
      "the routes",
      () => call({ to: inboundOf(front, "http"), host: SHOP, headers: { authorization: `Bearer ${token}` } }),
      ({ status }) => status === 201,
    );
  });

  const requests: readonly (readonly [status: number, claims: JWTPayload | undefined, headers?: Readonly<Record<string, string>>])[] = [
    [201, { group: "admin" }],
    [201, { group: ["user", "admin"] }],
    [299, { group: "administrator" }],
    [299, { group: { admin: true } }],
    [202, { realm: { roles: "shop-clerk" } }],
    [202, { realm: { roles: ["x", "shop-clerk"] } }],
    [299, { realm: { roles: ["shop-clerk"] }, banned: true }],
    [203, { sub: "guest-12" }],
    [299, { sub: "guest-12x" }],
    [204, { scope: "read write" }, { "x-beta": "1" }],
    [299, { scope: "read write" }],
    [205, { "https://shop.example/tier": "gold" }],
    [206, { verified: false }],
    [299, { level: 7 }],
    [226, { sub: "bob" }],
    [299, undefined],
    [226, undefined, { "x-sub": "bob" }],
    [203, undefined, { "x-anonymous": "1" }],
    [299, { sub: "carol" }, { "x-anonymous": "1" }],
  ];
  for (const [status, claims, headers = {}] of requests) {
    const who = claims ? JSON.stringify(claims) : "no token";
    test(`answer ${status} for ${who}${Object.keys(headers).length > 0 ? ` and ${JSON.stringify(headers)}` : ""}, and weft why says so`, async () => {
      const authorization = claims ? { authorization: `Bearer ${await sign(claims)}` } : undefined;
      const all = { ...headers, ...authorization };
      const answer = await call({ to: inboundOf(front, "http"), host: SHOP, headers: all });
      const body = { from: "default/front-1", to: `${SHOP}:${front.ports.http}`, headers: { ...all, host: SHOP }, sourceIp: "127.0.0.1" };
      const told = await lab().weft.api("POST", "/v1/why", { text: JSON.stringify(body), type: "application/json" });
      expect([answer.status, (told.json as { status: number }).status, told.status]).toEqual([status, status, 200]);
    });
  }
});
