/** The JWT-SVID standard's MUSTs: what weft makes, read by a parser that did not write it, and what it refuses. */
import { describe, expect, test } from "bun:test";
import { createHmac, createPublicKey, verify } from "node:crypto";
import { base64url, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";
import { verifyJwtSvid } from "../../src/ca/jwt-svid.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const FOREIGN = "spiffe://partner.example/billing";
const MINUTE = 60_000;

async function withAuthority(body: (authority: OpenedAuthority, clock: FakeClock) => Promise<void>): Promise<void> {
  await inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    await body(await openAuthority({ dir, trustDomain: "mesh.local", clock }), clock);
  });
}

const part = (token: string, index: number) => JSON.parse(Buffer.from(token.split(".")[index] ?? "", "base64url").toString());

describe("A JWT-SVID", () => {
  test("is a compact JWS with alg, kid and typ in its header, and iss, sub, aud, iat and exp as its claims, and nothing else.", () =>
    withAuthority(async (authority, clock) => {
      const { token, expiresAt, issuedAt } = await authority.issueJwtSvid(ORDERS, ["billing"]);
      expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
      const [jwk] = authority.bundle().jwt;
      expect(part(token, 0)).toEqual({ alg: "ES256", kid: jwk?.kid, typ: "JWT" });
      const now = clock.now() / 1000;
      expect(part(token, 1)).toEqual({ iss: "spiffe://mesh.local", sub: ORDERS, aud: ["billing"], iat: now, exp: now + 300 });
      expect([issuedAt, expiresAt]).toEqual([clock.now(), clock.now() + 5 * MINUTE]);
      const [header, payload, signature = ""] = token.split(".");
      const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
      const signed = Buffer.from(`${header}.${payload}`);
      expect(verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"))).toBe(true);
    }));

  test("never outlives its authority.", () =>
    withAuthority(async (authority, clock) => {
      const end = Date.parse(authority.report().jwt[0]?.notAfter ?? "");
      clock.setWallClock(end - MINUTE);
      expect((await authority.issueJwtSvid(ORDERS, ["billing"])).expiresAt).toBe(end);
      clock.setWallClock(end);
      expect(await failureOf(() => authority.issueJwtSvid(ORDERS, ["billing"]))).toMatchObject({ code: "unavailable" });
    }));

  test.each([
    [ORDERS, []],
    [ORDERS, [""]],
    [ORDERS, Array.from({ length: 17 }, (_, index) => `a${index}`)],
    [ORDERS, ["a".repeat(2049)]],
    ["spiffe://mesh.local", ["billing"]],
    ["spiffe://other.example/ns/default/sa/orders", ["billing"]],
    ["spiffe://mesh.local/a/../b", ["billing"]],
    ["https://mesh.local/a", ["billing"]],
  ] as [string, string[]][])("is not issued for %p and audience %p.", (spiffeId, audience) =>
    withAuthority(async (authority) => {
      expect(await failureOf(() => authority.issueJwtSvid(spiffeId, audience))).toMatchObject({ code: "invalid" });
    }),
  );
});

interface Foreign {
  readonly jwk: JWK;
  readonly sign: (claims: JWTPayload, header?: Record<string, unknown>) => Promise<string>;
}

/** Another trust domain's JWT authority. */
async function foreign(alg = "ES256"): Promise<Foreign> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "key-1" };
  return { jwk, sign: (claims, header = {}) => new SignJWT(claims).setProtectedHeader({ alg, kid: "key-1", ...header }).sign(privateKey) };
}

const NOW = Date.parse("2026-01-01T00:00:00Z");
const SECONDS = NOW / 1000;
const GOOD: JWTPayload = { sub: FOREIGN, aud: "orders", exp: SECONDS + 60 };

function check(token: string, jwt: readonly JWK[], audience = "orders") {
  return verifyJwtSvid(token, { audience, now: NOW, bundleOf: (name) => (name === "partner.example" ? { jwt } : undefined) });
}

describe("Verification of a JWT-SVID", () => {
  test.each(["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"])(
    "takes algorithm %s, with a kid or without.",
    async (alg) => {
      const { jwk, sign } = await foreign(alg);
      const other = await foreign(alg);
      expect(await check(await sign(GOOD), [jwk])).toEqual({
        spiffeId: FOREIGN,
        audience: ["orders"],
        expiresAt: NOW + 60_000,
        claims: GOOD,
      });
      const several = [{ ...other.jwk, kid: "other" }, jwk];
      expect((await check(await sign(GOOD, { kid: undefined }), several)).spiffeId).toBe(FOREIGN);
      expect((await check(await sign(GOOD, { typ: "JOSE" }), several)).spiffeId).toBe(FOREIGN);
    },
  );

  test("takes one of several audiences, and clocks that differ by half a minute.", async () => {
    const { jwk, sign } = await foreign();
    expect((await check(await sign({ ...GOOD, aud: ["billing", "orders"] }), [jwk])).audience).toEqual(["billing", "orders"]);
    expect((await check(await sign({ ...GOOD, exp: SECONDS - 29 }), [jwk])).spiffeId).toBe(FOREIGN);
  });

  const wrong: readonly [what: string, says: string, claims: JWTPayload, header?: Record<string, unknown>][] = [
    ["without an audience", "not for audience", { sub: FOREIGN, exp: SECONDS + 60 }],
    ["for another audience", 'not for audience "orders"', { ...GOOD, aud: ["billing"] }],
    ["without an expiry", '"exp"', { sub: FOREIGN, aud: "orders" }],
    ["that has expired", "expired at 2025-12-31T23:59:29", { ...GOOD, exp: SECONDS - 31 }],
    ["that is not valid yet", '"nbf"', { ...GOOD, nbf: SECONDS + 60 }],
    ["without a subject", "no subject", { aud: "orders", exp: SECONDS + 60 }],
    ["whose subject is no SPIFFE ID", "no workload's SPIFFE ID", { ...GOOD, sub: "https://partner.example/billing" }],
    ["whose subject is spelt in another way", "no workload's SPIFFE ID", { ...GOOD, sub: "spiffe://partner.example//billing" }],
    ["whose subject is a trust domain", "not a workload", { ...GOOD, sub: "spiffe://partner.example" }],
    ["of a trust domain that is not trusted", "not trusted here", { ...GOOD, sub: "spiffe://evil.example/billing" }],
    ["with an unknown header", 'the header "jku"', GOOD, { jku: "https://evil.example/keys" }],
    ["with a key in its header", 'the header "jwk"', GOOD, { jwk: { kty: "EC" } }],
    ["with another type", "its type", GOOD, { typ: "weft-workload+jwt" }],
    ["with an unknown kid", "none of trust domain", GOOD, { kid: "key-2" }],
  ];
  test.each(wrong.map(([what, says, claims, header = {}]) => [what, { says, claims, header }] as const))(
    "refuses one %s.",
    async (_, { says, claims, header }) => {
      const { jwk, sign } = await foreign();
      const failure = await failureOf(async () => check(await sign(claims, header), [jwk]));
      expect(failure).toMatchObject({ code: "unauthenticated", message: expect.stringContaining(says) });
    },
  );

  const encode = (value: unknown) => base64url.encode(JSON.stringify(value));
  test("refuses one that is not signed, or signed by HMAC with the public key, or by somebody else, or changed, or no compact JWS.", async () => {
    const { jwk, sign } = await foreign();
    const stranger = await foreign();
    const good = await sign(GOOD);
    const [header, , signature] = good.split(".");
    const hmac = (alg: string) => {
      const text = `${encode({ alg, kid: "key-1" })}.${encode(GOOD)}`;
      return `${text}.${createHmac("sha256", JSON.stringify(jwk)).update(text).digest("base64url")}`;
    };
    const bad = {
      none: `${encode({ alg: "none" })}.${encode(GOOD)}.`,
      hmac: hmac("HS256"),
      stranger: await stranger.sign(GOOD),
      changed: `${header}.${encode({ ...GOOD, sub: `${FOREIGN}2` })}.${signature}`,
      json: JSON.stringify({ protected: header, payload: encode(GOOD), signature }),
      parts: `${good}.x.y`,
      empty: "",
      long: good + "a".repeat(20_000),
    };
    for (const [name, token] of Object.entries(bad)) {
      const failure = await failureOf(() => check(token, [jwk]));
      expect([name, failure]).toEqual([name, expect.objectContaining({ code: "unauthenticated" })]);
      expect(String(failure)).not.toContain(signature ?? "");
    }
  });

  test("refuses one of weft's own whose key has left the bundle, and one for another trust domain's weft.", () =>
    withAuthority(async (authority, clock) => {
      const { token } = await authority.issueJwtSvid(ORDERS, ["billing"]);
      expect((await authority.verifyJwtSvid(token, "billing")).spiffeId).toBe(ORDERS);
      const { token: other } = await (await foreign()).sign(GOOD).then((signed) => ({ token: signed }));
      expect(await failureOf(() => authority.verifyJwtSvid(other, "orders"))).toMatchObject({
        message: expect.stringContaining("not trusted"),
      });
      await clock.advance(25 * 60 * MINUTE);
      await authority.run();
      const failure = await failureOf(() => authority.verifyJwtSvid(token, "billing"));
      expect(failure).toMatchObject({ message: expect.stringContaining("none of trust domain") });
    }));

  test("holds a trust domain's keys to its own IDs: keys are never merged.", async () => {
    const [one, two] = await Promise.all([foreign(), foreign()]);
    const bundles = new Map([
      ["partner.example", [one.jwk]],
      ["second.example", [two.jwk]],
    ]);
    const bundleOf = (name: string) => ({ jwt: bundles.get(name) ?? [] });
    const options = { audience: "orders", now: NOW, bundleOf };
    expect((await verifyJwtSvid(await one.sign(GOOD), options)).spiffeId).toBe(FOREIGN);
    expect(await failureOf(async () => verifyJwtSvid(await two.sign(GOOD), options))).toMatchObject({ code: "unauthenticated" });
  });
});
