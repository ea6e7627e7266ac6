import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CaObserver } from "../../src/ca/lifecycle-options.ts";
import { DEFAULT_LIFETIMES, type Lifetimes, PUBLISHED_AT_LEAST_MS, RECONNECT_GRACE_MS } from "../../src/ca/lifetimes.ts";
import { type AuthorityOptions, type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import type { SvidType, TrustBundle } from "../../src/ca/types.ts";
import { FakeClock } from "../fakes/clock.ts";
import { dyingDisk } from "./dying-disk.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const [MINUTE, HOUR] = [60_000, 3_600_000];
/** A hundred starts, each with its own files. */
setDefaultTimeout(60_000);

type More = Partial<AuthorityOptions>;
const open = (dir: string, clock: FakeClock, more: More = {}) => openAuthority({ dir, trustDomain: "mesh.local", clock, ...more });
const states = (authority: OpenedAuthority, type: SvidType = "x509"): string[] =>
  authority
    .report()
    [type].map(({ state }) => state)
    .sort();
const idOf = (authority: OpenedAuthority, state: string, type: SvidType = "x509") =>
  authority.report()[type].find((one) => one.state === state)?.id;

/** Whether a peer with this bundle accepts the leaf of the chain now. */
function trusts(bundle: Pick<TrustBundle, "x509">, chainPem: string): boolean {
  const leaf = new X509Certificate(chainPem);
  return bundle.x509.some((pem) => leaf.verify(new X509Certificate(pem).publicKey));
}

/** A world of proxies: each has acknowledged a bundle, or not. */
function proxies(names: readonly string[]) {
  const acked = new Map<string, number>();
  const away = new Set<string>();
  return {
    acknowledge: (bundle: TrustBundle, ...who: readonly string[]) => {
      for (const name of who.length > 0 ? who : names) acked.set(name, bundle.sequence);
    },
    away,
    propagation: {
      missing: ({ sequence }: TrustBundle) => ({
        connected: names.filter((name) => !away.has(name) && acked.get(name) !== sequence),
        away: [...away],
      }),
    },
  };
}

async function at(clock: FakeClock, authority: OpenedAuthority, milliseconds: number): Promise<void> {
  await clock.advance(milliseconds);
  await authority.run();
}

describe("An authority of 24 hours", () => {
  test.each(["x509", "jwt"] as const)(
    "(%s) is succeeded: the next is made and published at 12 h, signs at 20 h, and the old one leaves the bundle when its last SVID has expired.",
    (type) =>
      inTemporaryDirectory(async (dir) => {
        const clock = new FakeClock();
        const authority = await open(dir, clock);
        const first = idOf(authority, "active", type);
        const issue = async () => (type === "x509" ? await authority.issueX509(ORDERS) : await authority.issueJwtSvid(ORDERS, ["billing"]));
        const published = () => (type === "x509" ? authority.bundle().x509.length : authority.bundle().jwt.length);
        expect([states(authority, type), published()]).toEqual([["active"], 1]);
        await at(clock, authority, 12 * HOUR - 1_000);
        expect(states(authority, type)).toEqual(["active"]);
        await at(clock, authority, 1_000);
        expect([states(authority, type), published()]).toEqual([["active", "prepared"], 2]);
        expect((await issue()).authorityId).toBe(first ?? "");
        await at(clock, authority, 8 * HOUR - 1_000);
        expect(idOf(authority, "active", type)).toBe(first);
        const last = await issue();
        const lastEnds = "notAfter" in last ? last.notAfter : last.expiresAt;
        await at(clock, authority, 1_000);
        expect([states(authority, type), published()]).toEqual([["active", "retiring"], 2]);
        expect((await issue()).authorityId).not.toBe(first ?? "");
        await at(clock, authority, lastEnds - clock.now());
        expect(idOf(authority, "retiring", type)).toBe(first);
        await at(clock, authority, 1_000);
        expect([states(authority, type), published()]).toEqual([["active"], 1]);
      }),
  );

  test("tells of each step, deletes the old key as soon as it signs no more, and keeps one file a key.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const seen: string[] = [];
      const observer: CaObserver = {
        prepared: ({ type, reason }) => seen.push(`${type} prepared ${reason}`),
        activated: ({ type, reason }) => seen.push(`${type} activated ${reason}`),
        retired: ({ type }) => seen.push(`${type} retired`),
      };
      const authority = await open(dir, clock, { observer });
      seen.length = 0;
      const keys = async () => (await readdir(join(dir, "ca"))).filter((name) => name.endsWith(".key")).length;
      await at(clock, authority, 12 * HOUR);
      expect(await keys()).toBe(4);
      await at(clock, authority, 8 * HOUR);
      expect(await keys()).toBe(2);
      await at(clock, authority, HOUR + 1_000);
      const steps = ["prepared scheduled", "activated scheduled", "retired"];
      expect(seen.sort()).toEqual(["jwt", "x509"].flatMap((type) => steps.map((step) => `${type} ${step}`)).sort());
    }));

  test("does all that by itself once started, also after a machine slept through the moment.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      let prepared = () => {};
      const done = new Promise<void>((resolve) => {
        prepared = resolve;
      });
      const authority = await open(dir, clock, { observer: { looked: () => states(authority).length === 2 && prepared() } });
      authority.start();
      clock.setWallClock(clock.now() + 13 * HOUR);
      await clock.advance(30_000);
      await done;
      expect(states(authority)).toEqual(["active", "prepared"]);
      authority.close();
      expect(clock.pending).toBe(0);
    }));
});

describe("An authority that has expired at the start", () => {
  test("does not stop weft: a new one is made at once and signs.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const first = idOf(await open(dir, clock), "active");
      await clock.advance(30 * 24 * HOUR);
      const authority = await open(dir, clock);
      await authority.check();
      expect(authority.warnings()).toEqual([]);
      expect((await authority.issueX509(ORDERS)).authorityId).not.toBe(first ?? "");
      expect((await authority.issueJwtSvid(ORDERS, ["billing"])).expiresAt).toBe(clock.now() + 5 * MINUTE);
      expect(authority.bundle().x509.length).toBe(1);
    }));

  test.each([-1, 1])(
    "or has not begun, because a clock was wrong by %p days, is replaced too, and again when the clock is mended.",
    (days) =>
      inTemporaryDirectory(async (dir) => {
        const clock = new FakeClock();
        const authority = await open(dir, clock);
        for (const jump of [days, -days]) {
          clock.setWallClock(clock.now() + jump * 24 * HOUR);
          await authority.run();
          const svid = await authority.issueX509(ORDERS);
          const ca = new X509Certificate(authority.bundle().x509[0] ?? "");
          expect(trusts(authority.bundle(), svid.chainPem)).toBe(true);
          expect(svid.notBefore <= clock.now() && clock.now() < svid.notAfter).toBe(true);
          expect(Date.parse(ca.validFrom) <= clock.now() && svid.notAfter <= Date.parse(ca.validTo)).toBe(true);
          await authority.check();
        }
      }),
  );
});

/** Moments at which something is to be done, and what is there when it is done: by a start, so that opening and running are one. */
const MOMENTS: readonly [what: string, hours: readonly number[], after: readonly string[]][] = [
  ["prepares the next", [0, 12], ["active", "prepared"]],
  ["activates it", [0, 12, 20], ["active", "retiring"]],
  ["retires the old one", [0, 12, 20, 21.1], ["active"]],
  ["finds that it slept through all of it", [0, 40], ["active"]],
];

describe("A process that dies at any step while it", () => {
  test.each(MOMENTS)("%s leaves a CA that goes on from there, with every key of the bundle that an SVID needs.", (_, hours, after) =>
    inTemporaryDirectory(async (root) => {
      const start = new FakeClock().now();
      const base = join(root, "base");
      const [last = 0, ...before] = [...hours].reverse();
      let svid: { readonly chainPem: string; readonly notAfter: number } = { chainPem: "", notAfter: 0 };
      for (const hour of before.reverse()) svid = await (await open(base, new FakeClock(start + hour * HOUR))).issueX509(ORDERS);
      let tried = 0;
      for (const torn of [true, false]) {
        for (let step = 0; ; step++, tried++) {
          const dir = join(root, `${torn}-${step}`);
          await cp(base, dir, { recursive: true });
          const now = start + last * HOUR;
          const disk = dyingDisk(step, torn);
          const dying = await open(dir, new FakeClock(now), { disk }).catch(() => undefined);
          // What it signed before it died must be trusted after.
          const signed = await dying?.issueX509(ORDERS).catch(() => undefined);
          const clock = new FakeClock(now + 1_000);
          const authority = await open(dir, clock);
          await authority.check();
          expect(states(authority)).toEqual([...after]);
          if (signed) expect(trusts(authority.bundle(), signed.chainPem)).toBe(true);
          if (svid.notAfter > clock.now()) expect(trusts(authority.bundle(), svid.chainPem)).toBe(true);
          const names = (await readdir(join(dir, "ca"))).filter((name) => name.endsWith(".key"));
          const keys = [...authority.report().x509, ...authority.report().jwt].filter(({ state }) => state !== "retiring");
          expect(names.length).toBe(keys.length);
          await rm(dir, { recursive: true });
          if (!disk.dead()) break;
        }
      }
      expect(tried).toBeGreaterThan(8);
    }),
  );
});

describe("A forced rotation", () => {
  test("publishes a new authority, waits until every connected proxy has acknowledged it, and only then signs with it.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const mesh = proxies(["web", "orders"]);
      const waits: (readonly string[])[] = [];
      const observer: CaObserver = { waiting: ({ names }) => waits.push(names) };
      const authority = await open(dir, clock, { propagation: mesh.propagation, observer });
      mesh.acknowledge(authority.bundle());
      const first = idOf(authority, "active");
      await authority.rotate(["x509"]);
      expect(states(authority)).toEqual(["active", "prepared"]);
      expect(authority.report().rotations).toMatchObject([{ type: "x509", reason: "forced", waitingFor: ["web", "orders"] }]);
      await at(clock, authority, 5_000);
      mesh.acknowledge(authority.bundle(), "web");
      await at(clock, authority, 1_000);
      expect((await authority.issueX509(ORDERS)).authorityId).toBe(first ?? "");
      mesh.acknowledge(authority.bundle(), "orders");
      await at(clock, authority, 1_000);
      expect((await authority.issueX509(ORDERS)).authorityId).not.toBe(first ?? "");
      expect(authority.report().rotations).toEqual([]);
      expect(waits).toEqual([["web", "orders"], ["orders"]]);
    }));

  test("waits for a proxy that is away until its SVID must have expired, and no longer.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const mesh = proxies(["web"]);
      mesh.away.add("web");
      const left: (readonly string[])[] = [];
      const observer: CaObserver = { activated: ({ leftBehind }) => left.push(leftBehind) };
      const authority = await open(dir, clock, { propagation: mesh.propagation, observer });
      await authority.rotate(["x509"]);
      await at(clock, authority, HOUR - 1_000);
      expect(states(authority)).toEqual(["active", "prepared"]);
      await at(clock, authority, 1_000);
      expect(states(authority)).toEqual(["active", "retiring"]);
      expect(left.at(-1)).toEqual(["web (away)"]);
    }));

  test("is held up by a connected proxy that does not answer for half the new one's life, and no longer.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const mesh = proxies(["stuck"]);
      const authority = await open(dir, clock, { propagation: mesh.propagation });
      await authority.rotate(["x509"]);
      const [old, next] = [idOf(authority, "active"), idOf(authority, "prepared")];
      await at(clock, authority, 12 * HOUR - 1_000);
      expect(idOf(authority, "active")).toBe(old);
      await at(clock, authority, 1_000);
      expect(idOf(authority, "active")).toBe(next);
    }));

  test("of a lost key does not wait for acknowledgements, which need an SVID first, but a minute for proxies to come back.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const mesh = proxies(["web"]);
      const before = await open(dir, clock);
      const svid = await before.issueX509(ORDERS);
      await rm(join(dir, "ca", `x509-${idOf(before, "active")}.key`));
      const after = await open(dir, clock, { propagation: mesh.propagation });
      await at(clock, after, RECONNECT_GRACE_MS - 1_000);
      expect(await failureOf(() => after.issueX509(ORDERS))).toMatchObject({ message: expect.stringContaining("its key is lost") });
      await at(clock, after, 1_000);
      await after.check();
      for (const { chainPem } of [svid, await after.issueX509(ORDERS)]) expect(trusts(after.bundle(), chainPem)).toBe(true);
    }));

  test("outlives a restart, after which proxies get a minute to come back.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const mesh = proxies(["web"]);
      const before = await open(dir, clock, { propagation: mesh.propagation });
      await before.rotate(["x509"]);
      const prepared = idOf(before, "prepared");
      // Nobody is connected to the new process yet.
      const after = await open(dir, clock);
      await at(clock, after, RECONNECT_GRACE_MS - 1_000);
      expect(idOf(after, "prepared")).toBe(prepared);
      await at(clock, after, 1_000);
      expect(idOf(after, "active")).toBe(prepared);
    }));

  test("that is asked for again while it is under way goes on: nothing begins anew, also after a restart.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const start = clock.now();
      const before = await open(dir, clock);
      await before.rotate(["jwt"]);
      const { notBefore = "" } = before.report().rotations[0] ?? {};
      expect(Date.parse(notBefore) - start).toBe(PUBLISHED_AT_LEAST_MS.jwt);
      const next = before.report().jwt.find(({ state }) => state === "prepared")?.id;
      await at(clock, before, 100_000);
      await before.rotate(["x509", "jwt"]);
      const sinces = before.report().rotations.map(({ type, since }) => [type, Date.parse(since) - start]);
      expect(sinces).toEqual(
        expect.arrayContaining([
          ["jwt", 0],
          ["x509", 100_000],
        ]),
      );
      before.close();
      const after = await open(dir, clock);
      await after.rotate(["jwt"]);
      await at(clock, after, 199_000);
      expect(after.report().jwt.find(({ state }) => state === "prepared")?.id).toBe(next);
      await at(clock, after, 2_000);
      expect(after.report().jwt.find(({ state }) => state === "active")?.id).toBe(next);
      // Once it is done, the next call is a rotation of its own.
      await after.rotate(["jwt"]);
      expect(after.report().rotations).toMatchObject([{ type: "jwt", reason: "forced" }]);
    }));

  test("does not use a next one that was made before: its key may be known too.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const authority = await open(dir, clock);
      await at(clock, authority, 13 * HOUR);
      const [first, next] = [idOf(authority, "active"), idOf(authority, "prepared")];
      await clock.advance(1_000);
      await authority.rotate(["x509"]);
      await at(clock, authority, 2_000);
      expect([first, next]).not.toContain(idOf(authority, "active"));
      expect(authority.bundle().x509.length).toBe(2);
    }));

  test("of the JWT authority waits for the bundle's refresh hint, because who verifies tokens acknowledges nothing.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const authority = await open(dir, clock);
      const before = await authority.issueJwtSvid(ORDERS, ["billing"]);
      await authority.rotate(["jwt"]);
      await at(clock, authority, 299_000);
      expect(states(authority, "jwt")).toEqual(["active", "prepared"]);
      const late = await authority.issueJwtSvid(ORDERS, ["billing"]);
      await at(clock, authority, 1_000);
      const after = await authority.issueJwtSvid(ORDERS, ["billing"]);
      expect(after.authorityId).not.toBe(before.authorityId);
      for (const { token } of [late, after]) expect((await authority.verifyJwtSvid(token, "billing")).spiffeId).toBe(ORDERS);
      expect(states(authority, "x509")).toEqual(["active"]);
    }));

  test("that cannot be written is not begun, and says so.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const first = await open(dir, clock);
      const { sequence } = first.bundle();
      const broken = await open(dir, clock, { disk: dyingDisk(0, false) });
      expect(await failureOf(() => broken.rotate(["x509"]))).toMatchObject({ code: "unavailable" });
      expect(broken.bundle().sequence).toBe(sequence);
      expect((await broken.issueX509(ORDERS)).spiffeId).toBe(ORDERS);
    }));
});

describe("Settings that change between two starts:", () => {
  const week: Lifetimes = { ...DEFAULT_LIFETIMES, authorityMs: 7 * 24 * HOUR };

  test("an authority that was made for longer is replaced as if it had been made for as long as it should.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      await open(dir, clock, { lifetimes: week });
      await clock.advance(11 * HOUR);
      expect(states(await open(dir, clock))).toEqual(["active"]);
      await clock.advance(HOUR);
      expect(states(await open(dir, clock))).toEqual(["active", "prepared"]);
    }));

  test("SVIDs that live longer than before are waited for before their authority is retired.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      await open(dir, clock);
      const authority = await open(dir, clock, { lifetimes: { ...DEFAULT_LIFETIMES, x509SvidMs: 4 * HOUR } });
      await at(clock, authority, 12 * HOUR);
      await at(clock, authority, 7.9 * HOUR);
      const svid = await authority.issueX509(ORDERS);
      await at(clock, authority, 0.1 * HOUR);
      // And back to the default: what was signed is signed.
      const shorter = await open(dir, clock);
      await at(clock, shorter, 3.8 * HOUR);
      expect(svid.notAfter).toBeGreaterThan(clock.now());
      expect(trusts(shorter.bundle(), svid.chainPem)).toBe(true);
    }));

  test.each([
    [{ x509SvidMs: 4 * MINUTE }, "svidLifetime"],
    [{ x509SvidMs: 25 * HOUR, authorityMs: 1000 * HOUR }, "svidLifetime"],
    [{ jwtSvidMs: 2 * HOUR }, "jwtSvidLifetime"],
    [{ authorityMs: 30 * MINUTE }, "caLifetime"],
    [{ x509SvidMs: 5 * HOUR }, "six times"],
  ] as const)("%p is refused.", (wrong, says) =>
    inTemporaryDirectory(async (dir) => {
      const failure = await failureOf(() => open(dir, new FakeClock(), { lifetimes: { ...DEFAULT_LIFETIMES, ...wrong } }));
      expect(failure).toMatchObject({ code: "invalid", message: expect.stringContaining(says) });
    }),
  );
});
