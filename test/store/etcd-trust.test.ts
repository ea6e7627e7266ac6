/** How weft and an etcd prove to each other who they are: TLS, client certificates, users with their tokens. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEtcd } from "../../src/store/etcd/index.ts";
import { type SharedLog, START } from "../../src/store/shared/log.ts";
import { issue } from "../fakes/certificates.ts";
import { type Cluster, type ClusterOptions, installEtcd, type Member, OPTIONS, startEtcd } from "./etcd-cluster.ts";
import { codeOf, refusal } from "./harness.ts";
import { append, appendAll, bytesOf, headOf, Reader, text, within } from "./log-harness.ts";
import { temporaryDirectories } from "./temporary.ts";

const binary = installEtcd();
const PREFIX = "/weft";
const PASSWORD = "p@ss/w:rd?";
const PATIENCE_MS = 800;

if (binary === undefined) describe.skip("who is who, with etcd", () => {});
else {
  const clusters: Cluster[] = [];
  afterAll(async () => {
    for (const cluster of clusters) await cluster.stop();
  });
  const start = async (options: Partial<ClusterOptions>) => {
    const cluster = await startEtcd({ binary, ...options });
    clusters.push(cluster);
    return { cluster, member: cluster.members[0] as Member };
  };

  const disposals: (() => unknown)[] = [];
  const directory = temporaryDirectories();
  afterEach(async () => {
    for (const dispose of disposals.splice(0)) await dispose();
  });

  async function open(url: string, environment: Readonly<Record<string, string>> = {}): Promise<SharedLog> {
    const { log } = await openEtcd(url, { ...OPTIONS, environment, patienceMs: PATIENCE_MS });
    disposals.push(() => log.close());
    return log;
  }

  function read(log: SharedLog): Reader {
    const abort = new AbortController();
    disposals.push(() => abort.abort());
    return new Reader(log, START, abort);
  }

  const { cluster: secure } = await start({ tls: "server" });
  const { cluster: mutual, member: mutualMember } = await start({ tls: "mutual" });
  const { member: guarded } = await start({ arguments: ["--auth-token-ttl", "1"] });
  const rootToken = await guardedBy(guarded);

  describe("an etcd that speaks TLS", () => {
    test("is spoken to over one connection with hundreds of calls at once, large entries, and followers", async () => {
      const log = await open(`${secure.url("/tls")}?ca=${secure.files?.ca}`);
      expect(log.name).toBe(secure.url("/tls"));
      const reader = read(log);
      await reader.until("current");
      await Promise.all(Array.from({ length: 300 }, () => log.checkWritable()));
      const places = await appendAll(log, START, ["one", bytesOf(5_000_000), "three"]);
      const [entries] = await Promise.all([
        reader.upTo(places[3] ?? START),
        ...Array.from({ length: 8 }, (_, index) => log.putSnapshot({ place: places[1] ?? START, bytes: bytesOf(700_000, index) }, 0)),
      ]);
      expect(entries.map((entry) => entry.bytes.length)).toEqual([3, 5_000_000, 5]);
      expect(Buffer.compare(entries[1]?.bytes ?? new Uint8Array(0), bytesOf(5_000_000))).toBe(0);
    });

    test("is not believed where another authority vouches for it, or none that is known, or for another name", async () => {
      const other = join(directory(), "other.pem");
      writeFileSync(other, (await issue("another authority")).certificate);
      const port = secure.members[0]?.address.split(":")[1];
      const cases = [
        { url: `${secure.url(PREFIX)}?ca=${other}`, says: "verify" },
        { url: secure.url(PREFIX), says: "verify" },
        { url: `etcds://127.0.0.1:${port}${PREFIX}?ca=${secure.files?.ca}`, says: "Hostname/IP does not match" },
      ];
      await Promise.all(
        cases.map(async ({ url, says }) => {
          const failure = await refusal((await open(url)).checkWritable());
          expect(failure).toMatchObject({ code: "unavailable", message: expect.stringContaining(says) });
        }),
      );
    });

    test("gets no plaintext, and says so to who speaks it", async () => {
      const failure = await refusal((await open(secure.url(PREFIX).replace("etcds:", "etcd:"))).checkWritable());
      expect(failure.code).toBe("unavailable");
    });

    test("that asks for a client certificate is shown one; without it, it refuses", async () => {
      const { ca, certificate, key } = mutual.files ?? { ca: "", certificate: "", key: "" };
      const log = await open(`${mutual.url(PREFIX)}?ca=${ca}&cert=${certificate}&key=${key}`);
      expect((await append(log, START, "one")).outcome).toBe("appended");
      expect((await refusal((await open(`${mutual.url(PREFIX)}?ca=${ca}`)).checkWritable())).code).toBe("unavailable");
    });

    test("knows the user by the name in the certificate: no password is needed", async () => {
      await mutualMember.api("/v3/auth/user/add", { name: "root", options: { no_password: true } });
      await mutualMember.api("/v3/auth/role/add", { name: "root" });
      await mutualMember.api("/v3/auth/user/grant", { user: "root", role: "root" });
      await mutualMember.api("/v3/auth/role/add", { name: "weft" });
      await mutualMember.api("/v3/auth/role/grant", { name: "weft", perm: permission(PREFIX) });
      await mutualMember.api("/v3/auth/user/add", { name: "localhost", options: { no_password: true } });
      await mutualMember.api("/v3/auth/user/grant", { user: "localhost", role: "weft" });
      await mutualMember.api("/v3/auth/enable", {});
      const { ca, certificate, key } = mutual.files ?? { ca: "", certificate: "", key: "" };
      const query = `?ca=${ca}&cert=${certificate}&key=${key}`;
      const log = await open(`${mutual.url(PREFIX)}${query}`);
      expect((await append(log, await headOf(log), "two")).outcome).toBe("appended");
      expect((await refusal((await open(`${mutual.url("/other")}${query}`)).checkWritable())).message).toContain("docs/stores.md");
    });

    test("a file that is not there is named at once", async () => {
      const failure = await refusal(open(`${secure.url(PREFIX)}?ca=/nowhere/ca.pem`));
      expect(failure).toMatchObject({ code: "unavailable", message: expect.stringContaining("/nowhere/ca.pem") });
    });
  });

  describe("an etcd with users", () => {
    const at = (user: string, query = "", prefix = PREFIX) => `etcd://${user}@${guarded.address}${prefix}${query}`;
    const quoted = encodeURIComponent(PASSWORD);

    test("takes the password from the URL, a file, or the environment", async () => {
      const file = join(directory(), "password");
      writeFileSync(file, `${PASSWORD}\n`);
      const logs = [
        await open(at(`weft:${quoted}`)),
        await open(at("weft", `?password-file=${file}`)),
        await open(at("weft"), { WEFT_STORE_PASSWORD: PASSWORD }),
      ];
      for (const log of logs) {
        expect((await append(log, await headOf(log), "entry")).outcome).toBe("appended");
        expect(log.name).toBe(`etcd://${guarded.address}${PREFIX}`);
      }
    });

    test("needs of weft's user no more than to read and write under the prefix: for the log, its snapshot, its trimming, and the board", async () => {
      const { log, board } = await openEtcd(at(`weft:${quoted}`), OPTIONS);
      disposals.push(() => log.close());
      const { place } = await append(log, await headOf(log), bytesOf(700_000));
      await log.putSnapshot({ place, bytes: bytesOf(700_000) }, place.sequence);
      await board.post("a", "{}", 5_000);
      await board.post("a", "{}", 5_000);
      await board.withdraw("a");
      expect(await log.warnings()).toEqual([]);
    });

    test("refuses a wrong password, a user without rights, and nobody, each with what is to be done and without the password", async () => {
      const cases = [
        { url: at("weft:wr0ng"), says: "does not know that user and password" },
        { url: at(`guest:${quoted}`), says: "grant its role readwrite" },
        { url: at(`weft:${quoted}`, "", "/elsewhere"), says: "grant its role readwrite" },
        { url: `etcd://${guarded.address}${PREFIX}`, says: "name a user" },
      ];
      for (const { url, says } of cases) {
        const log = await open(url);
        const failures = await Promise.all([
          refusal(append(log, START, "no")),
          refusal(read(log).until("current")),
          refusal(log.checkWritable()),
        ]);
        for (const failure of failures) {
          expect(failure.code).toBe("unavailable");
          expect(failure.message).toContain(says);
          expect(Bun.inspect(failure)).not.toContain("wr0ng");
          expect(Bun.inspect(failure)).not.toContain(PASSWORD);
        }
      }
    });

    test("forgets its tokens when it restarts, and when they expire: weft gets new ones, and its follower goes on", async () => {
      const log = await open(at(`weft:${quoted}`));
      let head = await headOf(log);
      const reader = new Reader(log, head, new AbortController());
      await reader.until("current");
      await guarded.kill();
      guarded.start();
      await guarded.ready();
      head = (await append(log, head, "after the restart")).place;
      expect(text((await reader.upTo(head)).at(-1)?.bytes ?? new Uint8Array(0))).toBe("after the restart");
      // With --auth-token-ttl 1 a token lasts a second from its last use; one of the test's own shows when that is over.
      const { token } = (await guarded.api("/v3/auth/authenticate", { name: "weft", password: PASSWORD })) as { token: string };
      const idle = await open(at(`weft:${quoted}`));
      await idle.checkWritable();
      await within(
        (async () => {
          // Each look is a use, so looks are further apart than it lasts.
          do await Bun.sleep(2_100);
          while ((await codeOf(guarded.api("/v3/kv/range", { key: btoa(`${PREFIX}/head`) }, token))) === "resolved");
        })(),
        "the token's end",
      );
      await idle.checkWritable();
      head = (await append(idle, head, "after the token's end")).place;
      await reader.upTo(head);
    });

    test("a user whose rights are taken is told so, also while he follows; given back, he goes on", async () => {
      const log = await open(at(`weft:${quoted}`));
      const head = await headOf(log);
      const reader = new Reader(log, head, new AbortController());
      await reader.until("current");
      await guarded.api("/v3/auth/user/revoke", { name: "weft", role: "weft" }, await rootToken());
      expect((await refusal(reader.until("lost"))).message).toContain("grant its role readwrite");
      await guarded.api("/v3/auth/user/grant", { user: "weft", role: "weft" }, await rootToken());
      expect((await append(log, head, "again")).outcome).toBe("appended");
    });
  });
}

/** All keys that begin with `prefix` and a slash, in the form of etcd's JSON. */
function permission(prefix: string) {
  return { permType: "READWRITE", key: btoa(`${prefix}/`), range_end: btoa(`${prefix}0`) };
}

/** Users: root, weft (may read and write under PREFIX), guest (may do nothing). @returns how to get root's token */
async function guardedBy(member: Member): Promise<() => Promise<string>> {
  await member.api("/v3/auth/user/add", { name: "root", password: PASSWORD });
  await member.api("/v3/auth/role/add", { name: "root" });
  await member.api("/v3/auth/user/grant", { user: "root", role: "root" });
  await member.api("/v3/auth/role/add", { name: "weft" });
  await member.api("/v3/auth/role/grant", { name: "weft", perm: permission(PREFIX) });
  await member.api("/v3/auth/user/add", { name: "weft", password: PASSWORD });
  await member.api("/v3/auth/user/grant", { user: "weft", role: "weft" });
  await member.api("/v3/auth/user/add", { name: "guest", password: PASSWORD });
  await member.api("/v3/auth/enable", {});
  return async () => ((await member.api("/v3/auth/authenticate", { name: "root", password: PASSWORD })) as { token: string }).token;
}
