/** SVIDs through outages: what is given again, what is asked for anew, and until when an old one does. Real certificates, with time in hand. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalAuthority, openAuthority, SvidManager, type X509Svid } from "../../src/ca/index.ts";
import { openKeptSvids } from "../../src/cluster/kept-svids.ts";
import { LastingIssuer } from "../../src/cluster/lasting-issuer.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { FakeClock } from "../fakes/clock.ts";
import { eventually } from "./mesh.ts";

const WEB = "spiffe://mesh.local/ns/default/sa/web";
const MINUTE = 60_000;
let clock: FakeClock;
let ca: LocalAuthority;
let directory: string;
let away: boolean;
let revokedAt: number;
let asked: number;

beforeEach(async () => {
  clock = new FakeClock();
  directory = mkdtempSync(join(tmpdir(), "weft-lasting-"));
  ca = await openAuthority({ dir: directory, trustDomain: "mesh.local", clock });
  [away, revokedAt, asked] = [false, 0, 0];
});
afterEach(() => {
  ca.close();
  rmSync(directory, { recursive: true, force: true });
});

/** As after a start of the node. */
async function start(encryption?: string): Promise<LastingIssuer> {
  const answering = async <T>(issue: () => Promise<T>): Promise<T> => {
    asked += 1;
    if (away) throw new WeftError("unavailable", "no authority could be asked");
    return await issue();
  };
  return new LastingIssuer({
    remote: {
      issueX509: (id) => answering(() => ca.issueX509(id)),
      issueJwtSvid: (id, audience) => answering(() => ca.issueJwtSvid(id, audience)),
    },
    kept: await openKeptSvids(directory, encryption === undefined ? undefined : { path: encryption, credential: false }, clock.now()),
    bundle: () => ca.bundle(),
    notFrom: () => revokedAt,
    clock,
    random: () => 0,
    onTrouble: (message) => {
      throw new Error(message);
    },
  });
}

test("A young SVID is given again after a restart without asking anybody; one that has lived half its life is replaced", async () => {
  const first = await (await start()).issueX509(WEB);
  await clock.advance(20 * MINUTE);
  expect(await (await start()).issueX509(WEB)).toEqual(first);
  expect(asked).toBe(1);
  await clock.advance(10 * MINUTE);
  expect((await (await start()).issueX509(WEB)).serial).not.toBe(first.serial);
});

test("With all authorities away an old one does until it ends, and is asked for again each minute; then there is none", async () => {
  const first = await (await start()).issueX509(WEB);
  away = true;
  await clock.advance(59 * MINUTE);
  const given = await (await start()).issueX509(WEB);
  expect(given).toMatchObject({ serial: first.serial, renewAt: clock.now() + MINUTE });
  await clock.advance(MINUTE);
  await expect((await start()).issueX509(WEB)).rejects.toThrow("no authority could be asked");
});

test("An outage shorter than half an SVID's life is noticed by no subscriber, across a restart", async () => {
  const seen: X509Svid[] = [];
  const subscribe = async () => {
    const issuer = await start();
    const svids = new SvidManager({ authority: issuer, clock, random: () => 0.5, remote: true });
    svids.subscribe(WEB, (svid) => seen.push(svid));
    return svids;
  };
  const run = async (minutes: number) => {
    for (let minute = 0; minute < minutes; minute++) await clock.advance(MINUTE);
  };
  const first = () => eventually(() => expect(seen).not.toEqual([]));
  const before = await subscribe();
  await first();
  await run(27);
  away = true;
  before.close();
  const after = await subscribe();
  seen.splice(0);
  await first();
  await run(30);
  for (const { notAfter } of seen) expect(notAfter).toBeGreaterThan(clock.now());
  away = false;
  await eventually(async () => {
    await clock.advance(1_000);
    expect(seen.at(-1)?.serial).not.toBe(seen[0]?.serial);
  });
  // Before the old one had ended.
  expect(seen[0]?.notAfter).toBeGreaterThan(clock.now());
  after.close();
});

test("One from before a revocation is not given again, also where nothing else can be had", async () => {
  await (await start()).issueX509(WEB);
  revokedAt = clock.now();
  away = true;
  await expect((await start()).issueX509(WEB)).rejects.toThrow("no authority could be asked");
});

test("Tokens are kept as certificates are, by audience", async () => {
  const first = await (await start()).issueJwtSvid(WEB, ["a"]);
  await clock.advance(MINUTE);
  expect(await (await start()).issueJwtSvid(WEB, ["a"])).toEqual(first);
  expect((await (await start()).issueJwtSvid(WEB, ["b"])).audience).toEqual(["b"]);
  away = true;
  await clock.advance(3 * MINUTE);
  expect((await (await start()).issueJwtSvid(WEB, ["a"])).token).toBe(first.token);
});

test("What is kept is encrypted where the operator gives a key, deleted when it has ended, and worth nothing when it was altered", async () => {
  const key = join(directory, "operator.key");
  writeFileSync(key, "k".repeat(44), { mode: 0o600 });
  await (await start(key)).issueX509(WEB);
  const folder = join(directory, "svids");
  const [file = ""] = readdirSync(folder);
  const text = readFileSync(join(folder, file), "utf8");
  expect(text).not.toContain("PRIVATE KEY");
  away = true;
  expect((await (await start(key)).issueX509(WEB)).spiffeId).toBe(WEB);
  writeFileSync(join(folder, file), `${text.slice(0, -10)}xxxx`, { mode: 0o600 });
  await expect((await start(key)).issueX509(WEB)).rejects.toThrow("no authority could be asked");
  away = false;
  await (await start(key)).issueX509(WEB);
  expect(readdirSync(folder)).toHaveLength(1);
  await clock.advance(61 * MINUTE);
  await start(key);
  expect(readdirSync(folder)).toEqual([]);
});
