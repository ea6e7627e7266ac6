/** What a server takes for a JWT-SVID of a trust domain, on a real Envoy and by weft why. The keys of a federated one are here to sign what it never would. */
import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { openAuthority, spiffeBundle } from "../../src/ca/index.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { callPlaintext, describeMesh, expectStatus, type Member } from "./harness.ts";

const OTHER = "spiffe://other.example";
const BILLING = `${OTHER}/ns/default/sa/billing`;

describeMesh("a JWT-SVID of another trust domain", (lab) => {
  let orders: Member;
  let key: CryptoKey;

  beforeAll(async () => {
    orders = await lab().workload({ name: "orders-1", service: "orders" });
    await lab().join([{ name: "orders" }], [orders]);
    const pair = await generateKeyPair("ES256");
    key = pair.privateKey;
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: "one", alg: "ES256", use: "jwt-svid" };
    const authority = await openAuthority({ dir: join(lab().directory, "other"), trustDomain: "other.example", clock: systemClock });
    const published = spiffeBundle(authority.bundle());
    authority.close();
    const bundle = JSON.stringify({ ...published, keys: [...published.keys, jwk] });
    await lab().weft.apply(`apiVersion: weft.dev/v1
kind: TrustDomain
metadata: {name: other.example}
spec:
  bundleEndpoint: {url: "https://127.0.0.1:1/", profile: https_web}
  bundle: ${JSON.stringify(bundle)}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: orders}
spec:
  selector: {matchLabels: {app: orders}}
  jwtRules: [{issuer: "${OTHER}", audiences: [orders]}]
`);
  });

  const sign = (claims: JWTPayload) =>
    new SignJWT({ iss: OTHER, sub: BILLING, aud: ["orders"], exp: Math.floor(systemClock.now() / 1000) + 300, ...claims })
      .setProtectedHeader({ alg: "ES256", kid: "one", typ: "JWT" })
      .sign(key);
  const judged = async (claims: JWTPayload) => {
    const token = await sign(claims);
    const { status } = await callPlaintext(orders, { headers: { authorization: `Bearer ${token}` } });
    const answer = await lab().weft.cli([
      "why",
      "--from",
      "plaintext",
      "--to",
      "orders",
      "--header",
      `authorization=Bearer ${token}`,
      "-o",
      "json",
    ]);
    return { envoy: status, why: (JSON.parse(answer.stdout) as { status: number }).status };
  };
  const both = (status: number) => ({ envoy: status, why: status });

  test("is for one of the rule's audiences, ends, and names an identity of its own trust domain; anything else is refused, as weft why says", async () => {
    await waitFor(
      "the keys",
      async () => callPlaintext(orders, { headers: { authorization: `Bearer ${await sign({})}` } }),
      ({ status }) => status === 200,
    );
    expectStatus(await callPlaintext(orders), 200);
    const now = Math.floor(systemClock.now() / 1000);
    expect({
      right: await judged({}),
      ofThisMesh: await judged({ sub: "spiffe://mesh.local/ns/default/sa/admin" }),
      ofALongerName: await judged({ sub: `${OTHER}.evil.example/ns/default/sa/billing` }),
      ofTheTrustDomainItself: await judged({ sub: OTHER }),
      noSubject: await judged({ sub: undefined }),
      noExpiry: await judged({ exp: undefined }),
      neverEnds: await judged({ exp: 0 }),
      ended: await judged({ exp: now - 120 }),
      forOthers: await judged({ aud: ["billing"] }),
      forNobody: await judged({ aud: undefined }),
      ofThisMeshAndForOthers: await judged({ sub: "spiffe://mesh.local/ns/default/sa/admin", aud: ["billing"] }),
      noExpiryAndForOthers: await judged({ exp: undefined, aud: ["billing"] }),
      endedAndForOthers: await judged({ exp: now - 120, aud: ["billing"] }),
    }).toEqual({
      right: both(200),
      ofThisMesh: both(401),
      ofALongerName: both(401),
      ofTheTrustDomainItself: both(401),
      noSubject: both(401),
      noExpiry: both(401),
      neverEnds: both(401),
      ended: both(401),
      forOthers: both(403),
      forNobody: both(403),
      ofThisMeshAndForOthers: both(403),
      noExpiryAndForOthers: both(403),
      endedAndForOthers: both(401),
    });
  });
});
