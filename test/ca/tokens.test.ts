import { describe, expect, test } from "bun:test";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { chmod, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { openAdminToken } from "../../src/ca/admin-token.ts";
import { TOKEN_CLOCK_SKEW_MS, TOKEN_LIFETIME_MS } from "../../src/ca/constants.ts";
import type { TokenHolder } from "../../src/ca/types.ts";
import { WorkloadTokens } from "../../src/ca/workload-token.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = { namespace: "default", name: "orders" };

async function withTokens(body: (tokens: WorkloadTokens, clock: FakeClock, dir: string) => Promise<void>): Promise<void> {
  await inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    await body(await WorkloadTokens.open({ dir, trustDomain: "mesh.local", clock }), clock, dir);
  });
}

/** A token signed with this weft's own key, but of claims and a header that it would not write. */
async function forge(dir: string, clock: FakeClock, claims: Record<string, unknown>, typ = "weft-workload+jwt"): Promise<string> {
  const key: KeyObject = createPrivateKey(await readFile(join(dir, "ca", "token-key.pem")));
  const now = Math.floor(clock.now() / 1_000);
  const good = { iss: "spiffe://mesh.local", aud: "weft-ads", sub: "default/orders", iat: now, exp: now + 60, jti: "1" };
  return await new SignJWT({ ...good, ...claims }).setProtectedHeader({ alg: "ES256", typ }).sign(key);
}

function unsigned(token: string): string {
  const [, payload] = token.split(".");
  return `${Buffer.from('{"alg":"none","typ":"weft-workload+jwt"}').toString("base64url")}.${payload}.`;
}

describe("A workload token", () => {
  test("says for 90 days which workload its bearer is, to ADS of one trust domain only.", () =>
    withTokens(async (tokens, clock) => {
      const { token, expiresAt } = await tokens.issue(ORDERS);
      const until = { expiresAt: expiresAt + TOKEN_CLOCK_SKEW_MS };
      expect(await tokens.verify(token)).toEqual({ ...ORDERS, ...until });
      expect(await tokens.verifyHeader(`Bearer ${token}`)).toEqual({ ...ORDERS, ...until });
      const now = clock.now() / 1_000;
      const { jti, ...claims } = decodeJwt(token);
      const exp = now + TOKEN_LIFETIME_MS / 1_000;
      expect(claims).toEqual({ iss: "spiffe://mesh.local", aud: "weft-ads", sub: "default/orders", iat: now, exp, epoch: 0 });
      expect(jti).toBeString();
      expect(expiresAt).toBe(exp * 1_000);
      expect(decodeProtectedHeader(token)).toMatchObject({ alg: "ES256", typ: "weft-workload+jwt" });
    }));

  test("of an instance carries what was registered, and a group's token is of one group and service account: neither passes for the other.", () =>
    withTokens(async (tokens) => {
      const registered = { group: "orders", serviceAccount: "orders", instance: "1", address: "10.0.0.5", labels: { a: "b" } };
      const { token } = await tokens.issue(ORDERS, 60_000, registered);
      expect(await tokens.verify(token)).toMatchObject({ ...ORDERS, registered });
      const group = { ...ORDERS, serviceAccount: "sa" };
      const ofGroup = await tokens.issueForGroup(group);
      expect(await tokens.verifyGroupHeader(`Bearer ${ofGroup.token}`)).toEqual(group);
      expect(String(await failureOf(() => tokens.verify(ofGroup.token)))).toContain('for audience "weft-registration", not "weft-ads"');
      const posing = String(await failureOf(() => tokens.verifyGroupHeader(`Bearer ${token}`)));
      expect(posing).toContain('for audience "weft-ads", not "weft-registration"');
      expect(posing).toContain("weft token --workload-group default/orders");
    }));

  test("that carries a registration which cannot be read is refused.", () =>
    withTokens(async (tokens, clock, dir) => {
      const token = await forge(dir, clock, { registered: { group: "orders", address: 1 } });
      expect(String(await failureOf(() => tokens.verify(token)))).toContain("what it registered cannot be read");
    }));

  test("still holds after a restart of weft.", () =>
    withTokens(async (tokens, clock, dir) => {
      const { token } = await tokens.issue(ORDERS);
      const restarted = await WorkloadTokens.open({ dir, trustDomain: "mesh.local", clock });
      expect(await restarted.verify(token)).toMatchObject(ORDERS);
    }));

  test("that was revoked is refused at once, whatever the clock says, and one made afterwards is good.", () =>
    withTokens(async (_, clock, dir) => {
      const epochs = new Map<string, number>();
      const epochOf = ({ kind, namespace, name }: TokenHolder) => epochs.get(`${kind} ${namespace}/${name}`) ?? 0;
      const tokens = await WorkloadTokens.open({ dir, trustDomain: "mesh.local", clock, epochOf });
      const old = await tokens.issue(ORDERS);
      const other = await tokens.issue({ namespace: "default", name: "other" });
      epochs.set("workload default/orders", 1);
      expect(String(await failureOf(() => tokens.verify(old.token)))).toContain("the workload token of default/orders was revoked");
      expect(await tokens.verify((await tokens.issue(ORDERS)).token)).toMatchObject(ORDERS);
      expect(await tokens.verify(other.token)).toMatchObject({ name: "other" });
      expect(decodeJwt((await tokens.issue(ORDERS)).token).epoch).toBe(1);
    }));

  test("of a WorkloadGroup takes those of its instances with it when it is revoked.", () =>
    withTokens(async (_, clock, dir) => {
      let epoch = 0;
      const epochOf = ({ kind, name }: TokenHolder) => (kind === "WorkloadGroup" && name === "web" ? epoch : 0);
      const tokens = await WorkloadTokens.open({ dir, trustDomain: "mesh.local", clock, epochOf });
      const group = await tokens.issueForGroup({ namespace: "default", name: "web", serviceAccount: "web" });
      const registered = { group: "web", serviceAccount: "web", instance: "1", address: "10.0.0.5", labels: {} };
      const instance = await tokens.issue(ORDERS, 60_000, registered);
      epoch = 1;
      expect(String(await failureOf(() => tokens.verifyGroupHeader(`Bearer ${group.token}`)))).toContain("was revoked");
      expect(String(await failureOf(() => tokens.verify(instance.token)))).toContain("was revoked");
      expect(await tokens.verify((await tokens.issue(ORDERS, 60_000, registered)).token)).toMatchObject(ORDERS);
    }));

  test("ends, a minute of clock skew later, and the refusal names its workload and the command.", () =>
    withTokens(async (tokens, clock) => {
      const { token, expiresAt } = await tokens.issue(ORDERS, 10_000);
      clock.setWallClock(expiresAt + TOKEN_CLOCK_SKEW_MS - 1_000);
      expect(await tokens.verify(token)).toMatchObject(ORDERS);
      clock.setWallClock(expiresAt + TOKEN_CLOCK_SKEW_MS);
      const failure = String(await failureOf(() => tokens.verify(token)));
      expect(failure).toContain("of default/orders expired at 2026-01-01T00:00:10.000Z");
      expect(failure).toContain("weft proxy bootstrap default/orders");
    }));

  test("is never issued for more than a year.", () =>
    withTokens(async (tokens) => {
      expect(String(await failureOf(() => tokens.issue(ORDERS, 367 * 86_400_000)))).toContain("366 days");
    }));

  test("of another installation is refused.", () =>
    withTokens(async (tokens, clock, dir) => {
      const other = await WorkloadTokens.open({ dir: join(dir, "other"), trustDomain: "mesh.local", clock });
      const { token } = await other.issue(ORDERS);
      expect(await failureOf(() => tokens.verify(token))).toMatchObject({ message: expect.stringContaining("not signed by this weft") });
    }));

  type Refusal = [what: string, says: string, make: (good: string, dir: string, clock: FakeClock) => Promise<string> | string | undefined];
  const refusals: Refusal[] = [
    ["no header", "no workload token was sent", () => undefined],
    ["an empty header", "no workload token was sent", () => ""],
    ["another scheme", "header is malformed", (good) => `Basic ${good}`],
    ["a bare token", "header is malformed", (good) => good],
    ["a scheme without a token", "header is malformed", () => "Bearer "],
    ["two tokens", "header is malformed", (good) => `Bearer ${good} ${good}`],
    ["garbage", "no signed JWT", () => "Bearer garbage"],
    ["five megabytes", "longer than 4096", () => `Bearer ${"a".repeat(5_000_000)}`],
    [
      "a changed subject",
      "not signed by this weft",
      (good) => {
        const [header, , signature] = good.split(".");
        const payload = Buffer.from(JSON.stringify({ ...decodeJwt(good), sub: "default/billing" })).toString("base64url");
        return `Bearer ${header}.${payload}.${signature}`;
      },
    ],
    ["algorithm none", "not signed with ES256", (good) => `Bearer ${unsigned(good)}`],
    [
      "the public key as HMAC secret",
      "not signed with ES256",
      async () => {
        const token = await new SignJWT({ sub: "default/orders" }).setProtectedHeader({ alg: "HS256" }).sign(new Uint8Array(32));
        return `Bearer ${token}`;
      },
    ],
    ["another audience", 'for audience "elsewhere"', async (_, dir, clock) => `Bearer ${await forge(dir, clock, { aud: "elsewhere" })}`],
    ["another trust domain", "of spiffe://other", async (_, dir, clock) => `Bearer ${await forge(dir, clock, { iss: "spiffe://other" })}`],
    ["another type of JWT", 'claim "typ"', async (_, dir, clock) => `Bearer ${await forge(dir, clock, {}, "JWT")}`],
    ["no expiry", 'claim "exp"', async (_, dir, clock) => `Bearer ${await forge(dir, clock, { exp: undefined })}`],
    ["a time to come", 'claim "nbf"', async (_, dir, clock) => `Bearer ${await forge(dir, clock, { nbf: clock.now() / 1_000 + 120 })}`],
    ["no workload", "its subject is not", async (_, dir, clock) => `Bearer ${await forge(dir, clock, { sub: "orders" })}`],
    ["a workload of three parts", "its subject is not", async (_, dir, clock) => `Bearer ${await forge(dir, clock, { sub: "a/b/c" })}`],
  ];
  test.each(refusals)("is refused, naming the command to run, with %s.", (_, says, make) =>
    withTokens(async (tokens, clock, dir) => {
      const { token } = await tokens.issue(ORDERS);
      const header = await make(token, dir, clock);
      const failure = await failureOf(() => tokens.verifyHeader(header));
      expect(String(failure)).toContain(says);
      expect(String(failure)).toContain("weft token --workload ");
      expect(String(failure)).toContain("weft proxy bootstrap ");
      expect(String(failure)).not.toContain(token);
      expect(failure).toMatchObject({ code: "unauthenticated" });
    }),
  );

  test.each([
    { namespace: "", name: "orders" },
    { namespace: "default", name: "a/b" },
    { namespace: "default", name: "a b" },
  ])("is not issued for %p.", (workload) =>
    withTokens(async (tokens) => {
      expect(await failureOf(() => tokens.issue(workload))).toMatchObject({ code: "invalid" });
    }),
  );
});

test("The token key is 0600, and weft refuses to start with one that others can read or that is none.", () =>
  withTokens(async (_, clock, dir) => {
    const path = join(dir, "ca", "token-key.pem");
    const open = () => WorkloadTokens.open({ dir, trustDomain: "mesh.local", clock });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await chmod(path, 0o644);
    expect(await failureOf(open)).toMatchObject({ help: expect.stringContaining(`chmod 600 ${path}`) });
    await chmod(path, 0o600);
    await writeFile(path, "garbage");
    expect(await failureOf(open)).toMatchObject({ help: expect.stringContaining(`rm ${path}`) });
  }));

describe("The admin token", () => {
  test("is made once, recognisable, 0600, and matches only itself.", () =>
    inTemporaryDirectory(async (dir) => {
      const first = await openAdminToken({ dir });
      expect(first.token).toMatch(/^weft_admin_[A-Za-z0-9_-]{43}$/);
      expect((await stat(join(dir, "admin.token"))).mode & 0o777).toBe(0o600);
      const second = await openAdminToken({ dir });
      expect(second.token).toBe(first.token);
      expect(second.matches(first.token)).toBe(true);
      for (const wrong of ["", "weft_admin_", `${first.token}x`, first.token.slice(0, -1), first.token.toLowerCase(), ` ${first.token}`]) {
        expect([wrong, second.matches(wrong)]).toEqual([wrong, wrong === first.token]);
      }
    }));

  test("differs between installations, and a new one is made when it is removed.", () =>
    inTemporaryDirectory(async (dir) => {
      const first = await openAdminToken({ dir });
      await rm(join(dir, "admin.token"));
      expect((await openAdminToken({ dir })).matches(first.token)).toBe(false);
    }));

  test.each([
    ["", 0o600, "does not hold an admin token"],
    ["weft_admin_short\n", 0o600, "does not hold an admin token"],
    [`weft_admin_${"a".repeat(43)}\n`, 0o640, "mode 0640"],
  ])("%j in a file of mode %p is refused.", (text, mode, says) =>
    inTemporaryDirectory(async (dir) => {
      const path = join(dir, "admin.token");
      await writeFile(path, text);
      await chmod(path, mode);
      expect(String(await failureOf(() => openAdminToken({ dir })))).toContain(says);
    }),
  );
});
