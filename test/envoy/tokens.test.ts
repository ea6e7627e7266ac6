import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { callFrom, callPlaintext, describeMesh, expectStatus, type Member } from "./harness.ts";

const ISSUER = "https://issuer.example";

/** An issuer with one key, whose tokens are valid for ten minutes unless the claims say otherwise. */
async function openIssuer(issuer = ISSUER, kid = "k1") {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  return {
    jwks: JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" }] }),
    sign(claims: JWTPayload = {}): Promise<string> {
      const payload: JWTPayload = { iss: issuer, sub: "alice", aud: "orders", exp: Math.floor(systemClock.now() / 1000) + 600, ...claims };
      return new SignJWT(payload).setProtectedHeader({ alg: "ES256", kid }).sign(privateKey);
    },
  };
}
type Issuer = Awaited<ReturnType<typeof openIssuer>>;

const requestAuthentication = (rules: object[], name = "orders") => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: ${name}, namespace: default}
spec: ${JSON.stringify({ selector: { matchLabels: { app: "orders" } }, jwtRules: rules })}
`;
const authorization = (spec: object) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: default}
spec: ${JSON.stringify({ selector: { matchLabels: { app: "orders" } }, ...spec })}
`;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describeMesh(
  "tokens",
  (lab) => {
    let web: Member;
    let orders: Member;
    let issuer: Issuer;

    beforeAll(async () => {
      [web, orders] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "orders-1", service: "orders" }),
      ]);
      await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
      issuer = await openIssuer();
    });

    afterEach(async () => {
      for (const kind of ["RequestAuthentication", "AuthorizationPolicy"]) await lab().weft.cli(["delete", kind, "orders"]);
      await untilStatus(200, { headers: bearer("not.a.token") });
    });

    /** Calls until the status is this: an ACK is the main thread's, and a worker follows a moment later. */
    const untilStatus = (status: number, more: Parameters<typeof callPlaintext>[1] = {}) =>
      waitFor(
        `status ${status}`,
        () => callPlaintext(orders, more),
        (answer) => answer.status === status,
      );
    const statusWith = async (claims: JWTPayload) => (await callPlaintext(orders, { headers: bearer(await issuer.sign(claims)) })).status;
    const inForce = () => untilStatus(401, { headers: bearer("not.a.token") });

    test("a valid token passes, and so does none; any other is refused", async () => {
      await lab().weft.apply(requestAuthentication([{ issuer: ISSUER, jwks: issuer.jwks, audiences: ["orders", "shop"] }]));
      await inForce();
      expectStatus(await callPlaintext(orders), 200);
      expectStatus(await callFrom(web, "orders", { headers: bearer(await issuer.sign()) }), 200);
      const now = Math.floor(systemClock.now() / 1000);
      const stranger = await openIssuer();
      expect({
        valid: await statusWith({}),
        anyOfItsAudiences: await statusWith({ aud: ["else", "shop"] }),
        expired: await statusWith({ exp: now - 120 }),
        notYetValid: await statusWith({ nbf: now + 600 }),
        wrongIssuer: await statusWith({ iss: "https://other.example" }),
        wrongAudience: await statusWith({ aud: "billing" }),
        noAudience: await statusWith({ aud: undefined }),
        wrongKey: (await callPlaintext(orders, { headers: bearer(await stranger.sign()) })).status,
      }).toEqual({
        valid: 200,
        anyOfItsAudiences: 200,
        expired: 401,
        notYetValid: 401,
        wrongIssuer: 401,
        wrongAudience: 403,
        noAudience: 403,
        wrongKey: 401,
      });
    });

    test("a token is taken from where the rule says: header, parameter or cookie", async () => {
      const places = { fromHeaders: [{ name: "x-token", prefix: "Token " }], fromParams: ["token"], fromCookies: ["session"] };
      await lab().weft.apply(
        requestAuthentication([
          { issuer: ISSUER, jwks: issuer.jwks, ...places, outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }] },
        ]),
      );
      await untilStatus(401, { headers: { "x-token": "Token not.a.token" } });
      const token = await issuer.sign();
      const seen = async (more: Parameters<typeof callPlaintext>[1]) =>
        expectStatus(await callPlaintext(orders, more), 200).echo?.headers["x-sub"];
      expect(await seen({ headers: { "x-token": `Token ${token}` } })).toBe("alice");
      expect(await seen({ path: `/?token=${token}` })).toBe("alice");
      expect(await seen({ headers: { cookie: `a=b; session=${token}` } })).toBe("alice");
      expect(await seen({ headers: bearer(token) })).toBeUndefined();
      expectStatus(await callPlaintext(orders, { path: "/?token=not.a.token" }), 401);
      expectStatus(await callPlaintext(orders, { headers: { cookie: "session=not.a.token" } }), 401);
    });

    test("the application gets the claims and the payload that the rule names, and the token only where it is forwarded", async () => {
      const rule = {
        issuer: ISSUER,
        jwks: issuer.jwks,
        outputPayloadToHeader: "x-payload",
        outputClaimToHeaders: [
          { header: "x-sub", claim: "sub" },
          { header: "x-city", claim: "address.city" },
        ],
      };
      await lab().weft.apply(requestAuthentication([rule]));
      await inForce();
      const headers = bearer(await issuer.sign({ address: { city: "Ulm" } }));
      const kept = expectStatus(await callPlaintext(orders, { headers: { ...headers, "x-sub": "forged" } }), 200).echo?.headers ?? {};
      expect([kept["x-sub"], kept["x-city"], kept.authorization]).toEqual(["alice", "Ulm", undefined]);
      expect(JSON.parse(Buffer.from(kept["x-payload"] ?? "", "base64url").toString())).toMatchObject({ sub: "alice", iss: ISSUER });
      // Without a token nobody may say who he is.
      expect(expectStatus(await callPlaintext(orders, { headers: { "x-sub": "forged" } }), 200).echo?.headers["x-sub"]).toBeUndefined();
      await lab().weft.apply(requestAuthentication([{ ...rule, forwardOriginalToken: true }]));
      await waitFor(
        "the token to be forwarded",
        () => callPlaintext(orders, { headers }),
        ({ echo }) => echo?.headers.authorization === headers.authorization,
      );
    });

    test("several rules hold together: a token of one of the issuers is enough", async () => {
      const other = await openIssuer("https://other.example", "k2");
      await lab().weft.apply(
        requestAuthentication([
          { issuer: ISSUER, jwks: issuer.jwks },
          { issuer: "https://other.example", jwks: other.jwks },
        ]),
      );
      await inForce();
      expectStatus(await callPlaintext(orders, { headers: bearer(await issuer.sign()) }), 200);
      expectStatus(await callPlaintext(orders, { headers: bearer(await other.sign()) }), 200);
      expectStatus(await callPlaintext(orders), 200);
      expectStatus(await callPlaintext(orders, { headers: bearer(await other.sign({ iss: ISSUER })) }), 401);
    });

    test("an AuthorizationPolicy lets in by the token's principal", async () => {
      const allow = authorization({ rules: [{ from: [{ source: { requestPrincipals: [`${ISSUER}/alice`, "*/batch"] } }] }] });
      await lab().weft.apply(`${requestAuthentication([{ issuer: ISSUER, jwks: issuer.jwks }])}---\n${allow}`);
      await untilStatus(403);
      expect([await statusWith({}), await statusWith({ sub: "batch" }), await statusWith({ sub: "mallory" })]).toEqual([200, 200, 403]);
    });

    test("an AuthorizationPolicy denies who has no token by notRequestPrincipals", async () => {
      const deny = authorization({ action: "DENY", rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }] }] });
      await lab().weft.apply(`${requestAuthentication([{ issuer: ISSUER, jwks: issuer.jwks }])}---\n${deny}`);
      await untilStatus(403);
      expect(await statusWith({ sub: "anybody" })).toBe(200);
    });

    test("an AuthorizationPolicy judges claims: texts, lists, lists in a text, and claims inside claims", async () => {
      const when = [
        { key: "request.auth.claims[groups]", values: ["staff"] },
        { key: "request.auth.claims[scope]", values: ["orders:*"] },
        { key: "request.auth.claims[realm][roles]", values: ["reader"] },
        { key: "request.auth.claims[level]", notValues: ["guest"] },
        { key: "request.auth.audiences", values: ["orders"] },
        { key: "request.auth.presenter", values: ["shop"] },
      ];
      await lab().weft.apply(
        `${requestAuthentication([{ issuer: ISSUER, jwks: issuer.jwks }])}---\n${authorization({ rules: [{ when }] })}`,
      );
      await untilStatus(403);
      const good = {
        groups: ["guests", "staff"],
        scope: "openid orders:read",
        realm: { roles: ["reader"] },
        aud: ["x", "orders"],
        azp: "shop",
      };
      expect({
        good: await statusWith(good),
        aTextForAList: await statusWith({ ...good, groups: "staff" }),
        anotherGroup: await statusWith({ ...good, groups: ["guests"] }),
        anotherScope: await statusWith({ ...good, scope: "openid" }),
        anotherRole: await statusWith({ ...good, realm: { roles: ["writer"] } }),
        noRealm: await statusWith({ ...good, realm: undefined }),
        guest: await statusWith({ ...good, level: "guest" }),
        anotherPresenter: await statusWith({ ...good, azp: "else" }),
      }).toEqual({
        good: 200,
        aTextForAList: 200,
        anotherGroup: 403,
        anotherScope: 403,
        anotherRole: 403,
        noRealm: 403,
        guest: 403,
        anotherPresenter: 403,
      });
    });

    describe("with keys by URI", () => {
      let served = "";
      let status = 200;
      const server = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: () => new Response(served, { status, headers: { "cache-control": "max-age=1" } }),
      });
      afterAll(() => server.stop(true));
      const rule = () => ({ issuer: ISSUER, jwksUri: `http://127.0.0.1:${server.port}/keys` });
      const withToken = async (expected: number, from: Issuer) => untilStatus(expected, { headers: bearer(await from.sign()) });

      test("tokens are refused until the keys are there, and follow the keys when these change", async () => {
        const next = await openIssuer(ISSUER, "k2");
        [served, status] = ["nothing here", 404];
        await lab().weft.apply(requestAuthentication([rule()]));
        await withToken(401, issuer);
        expectStatus(await callPlaintext(orders), 200);
        const check = await lab().weft.cli(["check"]);
        expect(check.stdout).toContain(
          `FAIL  keys of ${ISSUER}: none, so tokens are refused: http://127.0.0.1:${server.port}/keys answers with status 404`,
        );
        expect(check.code).toBe(1);
        expect(await lab().weft.metric("weft_jwks_ok")).toBe(0);

        [served, status] = [issuer.jwks, 200];
        await withToken(200, issuer);
        expect(await lab().weft.metric("weft_jwks_ok")).toBe(1);

        served = next.jwks;
        await withToken(200, next);
        await withToken(401, issuer);

        // The last good keys stay in use while the issuer is away.
        [served, status] = ["", 500];
        await waitFor(
          "a failed fetch",
          () => lab().weft.metric("weft_jwks_ok"),
          (ok) => ok === 0,
        );
        expectStatus(await callPlaintext(orders, { headers: bearer(await next.sign()) }), 200);
      });

      test("a restart of weft refuses no token, though the issuer is away", async () => {
        [served, status] = [issuer.jwks, 200];
        await lab().weft.apply(requestAuthentication([rule()]));
        await withToken(200, issuer);
        status = 500;
        const headers = bearer(await issuer.sign());
        const statuses = new Set<number>();
        let done = false;
        const caller = (async () => {
          while (!done) statuses.add((await callPlaintext(orders, { headers })).status);
        })();
        await lab().weft.process().stop();
        await lab().weft.start();
        await waitFor("the proxies to be back", async () => (await lab().weft.metric("weft_streams")) >= 2);
        await waitFor("a failed fetch", async () => (await lab().weft.metric("weft_jwks_fetches_total", { result: "error" })) > 0);
        const check = await lab().weft.cli(["check"]);
        expect(check.stdout).toContain("are in use, new ones cannot be fetched");
        done = true;
        await caller;
        expect([...statuses]).toEqual([200]);
      });

      test("keys are not fetched from an address that is not allowed, and it is said", async () => {
        await lab().weft.apply(requestAuthentication([{ ...rule(), jwksUri: "http://169.254.169.254/latest/meta-data/" }]));
        await withToken(401, issuer);
        const { stdout } = await waitFor(
          "the finding",
          () => lab().weft.cli(["check"]),
          ({ stdout: text }) => text.includes("169.254.169.254 is no public address"),
        );
        expect(stdout).toContain("--jwks-allow");
      });
    });
  },
  { env: { WEFT_JWKS_ALLOW: "127.0.0.1" } },
);
