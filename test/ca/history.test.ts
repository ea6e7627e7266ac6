/** Days of a mesh, step by step: whatever the CA does, every SVID that has not expired is accepted by every proxy that could be called with it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import type { CaObserver } from "../../src/ca/lifecycle-options.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import type { TrustBundle, X509Svid } from "../../src/ca/types.ts";
import { FakeClock } from "../fakes/clock.ts";
import { inTemporaryDirectory } from "./temporary.ts";

setDefaultTimeout(60_000);

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
const STEP = 10 * MINUTE;
const DAYS = 4;

interface Proxy {
  readonly name: string;
  /** How many steps later it acknowledges a bundle. */
  readonly lag: number;
  bundle: TrustBundle;
  svid: X509Svid;
  token: string;
  pending: { readonly bundle: TrustBundle; readonly at: number }[];
}

/** Pseudo-random, so that a failure comes back. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

test.each([1, 2])("Four days with scheduled and forced rotations, restarts, and proxies that are slow to trust (seed %p).", (seed) =>
  inTemporaryDirectory(async (dir) => {
    const random = generator(seed);
    const clock = new FakeClock();
    const roots = new Set<string>();
    const log: string[] = [];
    const observer: CaObserver = { activated: ({ type, reason }) => log.push(`${type} ${reason}`) };
    let proxies: Proxy[] = [];
    const propagation = {
      missing: ({ sequence }: TrustBundle) => ({
        connected: proxies.filter(({ bundle }) => bundle.sequence !== sequence).map(({ name }) => name),
        away: [],
      }),
    };
    let stop = () => {};
    const open = async (): Promise<OpenedAuthority> => {
      const opened = await openAuthority({ dir, trustDomain: "mesh.local", clock, propagation, observer });
      stop = opened.onBundle((bundle) => {
        for (const proxy of proxies) proxy.pending.push({ bundle, at: clock.now() + proxy.lag * STEP });
      });
      return opened;
    };
    let authority = await open();
    const spiffeId = (name: string) => `spiffe://mesh.local/ns/default/sa/${name}`;
    const give = async (name: string) => ({
      svid: await authority.issueX509(spiffeId(name)),
      token: (await authority.issueJwtSvid(spiffeId(name), ["all"])).token,
    });
    proxies = await Promise.all(
      [0, 0, 1, 4].map(async (lag, index): Promise<Proxy> => {
        const name = `w${index}`;
        return { name, lag, bundle: authority.bundle(), pending: [], ...(await give(name)) };
      }),
    );

    const parsed = new Map<string, X509Certificate>();
    const parse = (pem: string) => {
      const certificate = parsed.get(pem) ?? new X509Certificate(pem);
      parsed.set(pem, certificate);
      return certificate;
    };
    const accepted = new Map<string, boolean>();
    const accepts = (bundle: TrustBundle, { chainPem }: X509Svid) =>
      bundle.x509.some((pem) => {
        const key = pem + chainPem;
        const known = accepted.get(key) ?? parse(chainPem).verify(parse(pem).publicKey);
        accepted.set(key, known);
        return known && Date.parse(parse(pem).validTo) > clock.now();
      });

    let checks = 0;
    for (let step = 0; step < (DAYS * DAY) / STEP; step++) {
      await clock.advance(STEP);
      if (random() < 0.01) {
        stop();
        authority.close();
        authority = await open();
        // Whoever comes back gets what there is now, as ADS gives it.
        for (const proxy of proxies) if (proxy.pending.length === 0) proxy.bundle = authority.bundle();
      }
      if (random() < 0.004) await authority.rotate(random() < 0.7 ? ["x509"] : ["x509", "jwt"]);
      await authority.run();
      for (const proxy of proxies) {
        while (proxy.pending[0] && proxy.pending[0].at <= clock.now()) proxy.bundle = proxy.pending.shift()?.bundle ?? proxy.bundle;
        if (clock.now() >= proxy.svid.notAfter - HOUR / 2) Object.assign(proxy, await give(proxy.name));
      }
      for (const pem of authority.bundle().x509) roots.add(pem);
      for (const server of proxies) {
        for (const client of proxies) {
          checks++;
          if (!accepts(server.bundle, client.svid)) throw new Error(`step ${step}: ${server.name} does not accept ${client.name}`);
        }
      }
      expect(authority.warnings()).toEqual([]);
      if (step % 12 === 0) {
        await authority.check();
        const { token } = await authority.issueJwtSvid(spiffeId("w0"), ["all"]);
        expect((await authority.verifyJwtSvid(token, "all")).spiffeId).toBe(spiffeId("w0"));
      }
    }
    // One every half day by schedule, and the forced ones between.
    expect(roots.size).toBeGreaterThanOrEqual(DAYS * 2 - 1);
    expect(log).toContain("x509 scheduled");
    expect(log).toContain("x509 forced");
    expect(checks).toBe(16 * ((DAYS * DAY) / STEP));
  }),
);
