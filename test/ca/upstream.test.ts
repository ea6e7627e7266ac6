/** An operator's own intermediate CA above weft's authorities. Each chain is judged by openssl. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmod, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import type { UpstreamFiles } from "../../src/ca/upstream.ts";
import { FakeClock } from "../fakes/clock.ts";
import { describeWhere } from "../skip.ts";
import { makePki, openssl, type Pki, type PkiOptions, verifyWithOpenssl } from "./pki.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

setDefaultTimeout(60_000);

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const [HOUR, DAY] = [3_600_000, 86_400_000];
const LIFE = 400 * DAY;

interface World {
  readonly dir: string;
  readonly clock: FakeClock;
  readonly pki: Pki;
  open(upstream?: UpstreamFiles): Promise<OpenedAuthority>;
  /** Another PKI in a folder of its own. */
  make(name: string, more?: Partial<PkiOptions>): Pki;
}

function withPki(body: (world: World) => Promise<void>, more: Partial<PkiOptions> = {}): Promise<void> {
  return inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    const make: World["make"] = (name, other) =>
      makePki({ dir: join(dir, name), notBefore: clock.now() - DAY, notAfter: clock.now() + LIFE, ...other });
    const pki = make("pki", more);
    const open: World["open"] = (upstream = pki) => openAuthority({ dir: join(dir, "data"), trustDomain: "mesh.local", clock, upstream });
    await mkdir(join(dir, "data"));
    await body({ dir, clock, pki, open, make });
  });
}

async function expectAccepted({ dir, clock }: World, authority: OpenedAuthority): Promise<void> {
  const { chainPem } = await authority.issueX509(ORDERS);
  expect(verifyWithOpenssl(dir, chainPem, authority.bundle().x509Pem, clock.now())).toBe("");
}

function otherRoot(): string {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/null"];
  return Bun.spawnSync([openssl ?? "", "req", "-x509", ...key, "-subj", "/CN=x"]).stdout.toString();
}

const count = (pem: string) => pem.split("BEGIN CERTIFICATE").length - 1;

describeWhere(openssl !== null, "openssl", "An upstream authority", () => {
  test.each(["ec:prime256v1", "ec:secp384r1", "rsa:2048"])(
    "(%s) signs weft's authorities: peers get the chain, and trust the operator's root alone.",
    (key) =>
      withPki(
        async (world) => {
          const authority = await world.open();
          expect(authority.bundle().x509Pem).toBe(`${new X509Certificate(await readFile(world.pki.roots)).toString().trimEnd()}\n`);
          expect(count((await authority.issueX509(ORDERS)).chainPem)).toBe(3);
          await expectAccepted(world, authority);
          await authority.check();
          expect(authority.report().x509[0]?.issuers?.map(({ subject }) => subject)).toEqual([
            "O=corp, CN=corp mesh CA",
            "O=corp, CN=corp root",
          ]);
        },
        { key },
      ),
  );

  test("may have its root in the same file.", () =>
    withPki(
      async (world) => {
        const { certificate, key } = world.pki;
        await expectAccepted(world, await world.open({ certificate, key }));
      },
      { rootInChain: true },
    ));

  test("stays over a rotation, which changes no peer's bundle; and is asked for one certificate a half day.", () =>
    withPki(async (world) => {
      const authority = await world.open();
      const { x509Pem } = authority.bundle();
      const seen = new Set<string | undefined>();
      for (let hour = 0; hour < 48; hour += 4) {
        await world.clock.advance(4 * HOUR);
        await authority.run();
        seen.add(authority.report().x509.find(({ state }) => state === "active")?.id);
        expect(authority.bundle().x509Pem).toBe(x509Pem);
        await expectAccepted(world, authority);
      }
      expect(seen.size).toBe(4);
    }));

  test("whose files are replaced is read again, and takes over as in any rotation: its root is trusted before it signs.", () =>
    withPki(async (world) => {
      const authority = await world.open();
      const [before] = authority.bundle().x509;
      const other = world.make("other");
      for (const part of ["certificate", "roots", "key"] as const) await cp(other[part], world.pki[part]);
      await world.clock.advance(30_000);
      await authority.run();
      expect(authority.report().rotations).toMatchObject([{ reason: "upstream" }]);
      expect(authority.bundle().x509.length).toBe(2);
      expect(authority.bundle().x509[0]).toBe(before ?? "");
      await expectAccepted(world, authority);
      await world.clock.advance(2_000);
      await authority.run();
      expect(authority.bundle().x509.length).toBe(2);
      expect(authority.bundle().x509[1]).toBe(before ?? "");
      await expectAccepted(world, authority);
      await world.clock.advance(HOUR + 1_000);
      await authority.run();
      expect(authority.bundle().x509).not.toContain(before ?? "");
    }));

  test("takes over from weft's own root, and hands back to it.", () =>
    withPki(async (world) => {
      const { dir, clock } = world;
      const own = () => openAuthority({ dir: join(dir, "data"), trustDomain: "mesh.local", clock });
      const [root] = (await own()).bundle().x509;
      const upstream = await world.open();
      expect(upstream.bundle().x509).toContain(root ?? "");
      expect(upstream.bundle().x509.length).toBe(2);
      await clock.advance(60_000);
      await upstream.run();
      await expectAccepted(world, upstream);
      expect(count((await upstream.issueX509(ORDERS)).chainPem)).toBe(3);
      await clock.advance(2 * HOUR);
      const back = await own();
      await clock.advance(60_000);
      await back.run();
      expect(count((await back.issueX509(ORDERS)).chainPem)).toBe(1);
      await expectAccepted(world, back);
    }));

  test("is warned of a month before its end; weft's authorities and SVIDs end within it, and are not made for ever shorter times.", () =>
    withPki(async (world) => {
      const { clock } = world;
      const authority = await world.open();
      const end = clock.now() + LIFE;
      clock.setWallClock(end - 31 * DAY);
      await authority.run();
      expect(authority.warnings()).toEqual([]);
      clock.setWallClock(end - 30 * DAY + 1_000);
      await authority.run();
      expect(authority.warnings()).toMatchObject([{ code: "upstream-expires" }]);
      clock.setWallClock(end - 20 * HOUR);
      await authority.run();
      const ids = new Set<string>();
      for (let left = 20 * HOUR; left > 0; left -= HOUR / 2) {
        clock.setWallClock(end - left);
        await authority.run();
        const { notAfter, authorityId } = await authority.issueX509(ORDERS);
        ids.add(authorityId);
        expect(notAfter).toBeLessThanOrEqual(end);
        for (const one of authority.report().x509) expect(Date.parse(one.notAfter)).toBeLessThanOrEqual(end);
        await expectAccepted(world, authority);
      }
      expect(ids.size).toBeLessThanOrEqual(2);
    }));

  test("that has expired does not stop weft: it starts, says so, and signs as soon as new files are there.", () =>
    withPki(async (world) => {
      const { clock, pki } = world;
      await world.open();
      await clock.advance(LIFE);
      const authority = await world.open();
      expect(authority.warnings().map(({ code }) => code)).toContain("upstream-expired");
      const failure = await failureOf(() => authority.check());
      expect(failure).toMatchObject({ code: "unavailable", message: expect.stringContaining("of the upstream authority, expired at") });
      expect(await failureOf(() => authority.issueX509(ORDERS))).toMatchObject({ code: "unavailable" });
      expect((await authority.issueJwtSvid(ORDERS, ["billing"])).spiffeId).toBe(ORDERS);
      const fresh = world.make("fresh", { notAfter: clock.now() + LIFE });
      for (const part of ["certificate", "roots", "key"] as const) await cp(fresh[part], pki[part]);
      await authority.run();
      await authority.check();
      await expectAccepted(world, authority);
    }));

  test("whose files are damaged while weft runs stays in use as it was, with a warning that names the file.", () =>
    withPki(async (world) => {
      const authority = await world.open();
      const good = await readFile(world.pki.certificate, "utf8");
      await writeFile(world.pki.certificate, "nonsense");
      await authority.run();
      expect(authority.warnings()).toMatchObject([{ code: "upstream-unusable", message: expect.stringContaining(world.pki.certificate) }]);
      await expectAccepted(world, authority);
      await writeFile(world.pki.certificate, good);
      await authority.run();
      expect(authority.warnings()).toEqual([]);
    }));

  const refusals: readonly [what: string, says: string, more: Partial<PkiOptions>, harm: (pki: Pki) => Promise<unknown>][] = [
    [
      "may sign no CA below it",
      "path length 0",
      { intermediate: ["basicConstraints=critical,CA:TRUE,pathlen:0", "subjectKeyIdentifier=hash"] },
      async () => {},
    ],
    [
      "is no CA",
      "may not sign certificates",
      { intermediate: ["basicConstraints=critical,CA:FALSE", "subjectKeyIdentifier=hash"] },
      async () => {},
    ],
    [
      "is another trust domain's",
      "spiffe://other.example",
      { intermediate: ["basicConstraints=critical,CA:TRUE", "subjectKeyIdentifier=hash", "subjectAltName=URI:spiffe://other.example"] },
      async () => {},
    ],
    ["is a root", "is a root", {}, ({ roots, certificate }) => cp(roots, certificate)],
    ["has another key", "does not belong to", {}, ({ key }) => cp(key.replace("ca.key", "root.key"), key)],
    ["has a key that others can read", "mode 0644", {}, ({ key }) => chmod(key, 0o644)],
    ["has no key", "is not there", {}, ({ key }) => rm(key)],
    [
      "has a key with a pass phrase",
      "a private key that weft can read",
      {},
      async ({ key }) => Bun.spawnSync([openssl ?? "", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", key]),
    ],
    ["is not the root's", "signed by none of the roots", {}, ({ roots }) => writeFile(roots, otherRoot())],
  ];
  test.each(refusals)("that %s is refused, with the mend.", (_, says, more, harm) =>
    withPki(async (world) => {
      await harm(world.pki);
      const failure = await failureOf(() => world.open());
      expect(failure).toMatchObject({ message: expect.stringContaining(says), help: expect.stringMatching(/\w/) });
    }, more),
  );
});
