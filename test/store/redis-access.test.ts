/** How weft proves itself to Redis: users, passwords, TLS; and what it says where that fails. Each message is the real server's. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import { START } from "../../src/store/shared/log.ts";
import { type Issued, issue } from "../fakes/certificates.ts";
import { describeWhere } from "../skip.ts";
import { append, bytesOf, engines, headOf, text, utf8 } from "./log-harness.ts";
import { installRedis, type RedisConfig, RedisServer } from "./redis-server.ts";

const programs = installRedis();
const PASSWORD = "p@ss:w/rd% #?";
/** What docs/stores.md lists. */
const RIGHTS =
  "~{weft}:* -@all +@connection +eval +evalsha +get +set +exists +persist +pexpire +unlink +hget +hmget +hset +hdel +hkeys +hincrby +time " +
  "+xadd +xrange +xrevrange +xread +xtrim +zadd +zrem +zrangebyscore +info +wait +config|get";

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "the way to Redis", () => {
  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });
  const { read, look } = engines(() => Promise.reject(new Error("each test opens its own")));

  async function startServer(config: RedisConfig, version: "current" | "oldest" = "current"): Promise<RedisServer> {
    const server = await RedisServer.start(programs?.[version] ?? "", { save: "", ...config });
    disposals.push(() => server.dispose());
    return server;
  }

  async function open(url: string, environment: Readonly<Record<string, string>> = {}) {
    const client = await openRedis(url, { clock: systemClock, environment });
    disposals.push(() => client.log.close());
    return client;
  }

  function directory(): string {
    const made = mkdtempSync(join(tmpdir(), "weft-redis-access-"));
    disposals.push(() => rmSync(made, { recursive: true, force: true }));
    return made;
  }

  function file(content: string): string {
    const path = join(directory(), "file");
    writeFileSync(path, content);
    return path;
  }

  const works = async (url: string, environment?: Readonly<Record<string, string>>) => {
    const { log } = await open(url, environment);
    await log.checkWritable();
  };

  /** What an append is refused with; it never holds the password. */
  async function refusal(url: string, environment?: Readonly<Record<string, string>>): Promise<{ message: string; help?: string }> {
    const { log } = await open(url, environment);
    const reason = await append(log, START, "one").then(
      () => ({ message: "it did not fail" }),
      (error: { code: string; message: string; help?: string }) => error,
    );
    expect(reason).toMatchObject({ code: "unavailable" });
    expect(`${JSON.stringify(reason)}${log.name}`).not.toContain(PASSWORD);
    return reason;
  }

  describe("with a password", () => {
    test("it stands in the URL, in a file, or in the environment", async () => {
      const server = await startServer({});
      await server.command("CONFIG", "SET", "requirepass", PASSWORD);
      const encoded = encodeURIComponent(PASSWORD);
      await works(server.url({}, `:${encoded}`));
      await works(server.url({}, `default:${encoded}`));
      await works(server.url({ "password-file": file(`${PASSWORD}\n`) }));
      await works(server.url(), { WEFT_STORE_PASSWORD: PASSWORD });
    });

    test("that is missing or wrong, the message says so, and no message or name holds it", async () => {
      const server = await startServer({});
      await server.command("CONFIG", "SET", "requirepass", "another");
      expect((await refusal(server.url())).message).toContain("it asks for a password, and none was given");
      const wrong = await refusal(server.url({}, `:${encodeURIComponent(PASSWORD)}`));
      expect(wrong.message).toContain("user or password is wrong");
      expect(wrong.help).toContain("ACL LIST");
    });

    test("a file whose password was changed is read again", async () => {
      const server = await startServer({});
      await server.command("CONFIG", "SET", "requirepass", "new");
      const path = file("old");
      const { log } = await open(server.url({ "password-file": path }));
      await expect(log.checkWritable()).rejects.toThrow("user or password is wrong");
      writeFileSync(path, "new");
      await log.checkWritable();
    });
  });

  for (const version of ["current", "oldest"] as const) {
    test(`an ACL user does all that weft does with no rights but those in the manual (${version} version)`, async () => {
      const server = await startServer({ "repl-diskless-sync-delay": "0" }, version);
      await server.command("ACL", "SETUSER", "weft", "on", `>${PASSWORD}`, ...RIGHTS.split(" "));
      await server.command("ACL", "SETUSER", "default", "off");
      const { log, board } = await open(server.url({}, `weft:${encodeURIComponent(PASSWORD)}`));
      const { place } = await append(log, START, bytesOf(100_000));
      const second = await append(log, place, "two");
      await log.putSnapshot({ place, bytes: utf8("state") }, 1);
      await log.putSnapshot({ place: second.place, bytes: utf8("state") }, 1);
      expect((await log.snapshot(new AbortController().signal))?.place).toEqual(second.place);
      expect(await headOf(log)).toEqual(second.place);
      expect(await read(log).next()).toMatchObject({ type: "lost" });
      const entries = await read(log, place).upTo(second.place);
      expect(entries.map(({ bytes }) => text(bytes))).toEqual(["two"]);
      expect((await append(log, place, "behind")).outcome).toBe("behind");
      await log.checkWritable();
      await board.post("node", "{}", 60_000);
      expect(await look(board).next()).toEqual(new Map([["node", "{}"]]));
      await board.withdraw("node");
      expect((await log.warnings()).join()).not.toContain("may not ask");
    });
  }

  test("an ACL user without the rights is told which command he may not give", async () => {
    const server = await startServer({});
    await server.command("ACL", "SETUSER", "weft", "on", ">pw", ...RIGHTS.replace("+evalsha", "").split(" "));
    const reason = await refusal(server.url({}, "weft:pw"));
    expect(reason.message).toContain("its ACL does not let this user do that");
    expect(reason.message).toContain("evalsha");
    expect(reason.help).toContain("docs/stores.md");
    await server.command("ACL", "SETUSER", "weft", "-config|get");
    const { log } = await open(server.url({}, "weft:pw"));
    expect((await log.warnings()).join()).toContain("its user may not ask for its settings");
  });

  describe("over TLS", () => {
    interface Files {
      readonly ca: string;
      readonly cert: string;
      readonly key: string;
    }

    async function startTls(): Promise<{ server: RedisServer; files: Files; ca: Issued }> {
      const ca = await issue("Redis's CA");
      const [serving, client] = [await issue("localhost", ca), await issue("weft", ca)];
      const files = { ca: file(ca.certificate), cert: file(client.certificate), key: file(client.key) };
      const server = await startServer({
        "tls-port": "chosen",
        "tls-ca-cert-file": files.ca,
        "tls-cert-file": file(serving.certificate),
        "tls-key-file": file(serving.key),
      });
      return { server, files, ca };
    }

    const at = (server: RedisServer, parameters: Readonly<Record<string, string>>) =>
      server.url(parameters).replace("127.0.0.1", "localhost");

    test("Redis's certificate is verified by ca, and weft shows its own", async () => {
      const { server, files } = await startTls();
      const { log } = await open(at(server, { ...files }));
      const { place } = await append(log, START, bytesOf(200_000));
      await read(log).upTo(place);
    });

    test("where a certificate does not do, the message says which and why", async () => {
      const { server, files, ca } = await startTls();
      const { cert, key } = files;
      const stranger = file((await issue("another CA")).certificate);
      expect((await refusal(at(server, { cert, key }))).message).toMatch(/TLS: .*(self.signed|unable to)/i);
      expect((await refusal(at(server, { cert, key, ca: stranger }))).message).toMatch(/TLS: .*(self.signed|unable to|signature)/i);
      expect((await refusal(server.url({ ...files }))).message).toMatch(/TLS: .*(127\.0\.0\.1|altname)/i);
      expect((await refusal(at(server, { ca: files.ca }))).message).toMatch(/TLS: |without a word/i);
      const expired = await issue("weft", ca, [-30, -1]);
      const old = { ca: files.ca, cert: file(expired.certificate), key: file(expired.key) };
      expect((await refusal(at(server, old))).message).toMatch(/TLS: |without a word/i);
      const plain = await refusal(at(server, {}).replace("rediss:", "redis:"));
      expect(plain.help).toContain("write rediss://");
    });
  });

  test("a URL that cannot be meant is refused at start, without being repeated", async () => {
    for (const url of [
      "redis://",
      "redis:///0",
      "etcd://:hush@host",
      "redis://:hush@host/zero",
      "redis://:hush@host/0/1",
      "redis://:hush@host?prefx=a",
      "redis://:hush@host?prefix=",
      "redis://:hush@host?prefix=a&prefix=b",
      "redis://:hush@host?prefix={a}",
      "redis://:hush@host#x",
      "redis://:hush%@host",
      "redis://:hush@host:99999",
      "redis://:hush@host?ca=/ca.pem",
      "rediss://:hush@host?cert=/cert.pem",
      `redis://:hush@host?password-file=${file("pw")}`,
    ]) {
      const reason = await openRedis(url, { clock: systemClock }).then(
        () => "it was taken",
        (error: unknown) => error,
      );
      expect([url, reason]).toMatchObject([url, { code: "invalid" }]);
      expect(JSON.stringify(reason)).not.toContain("hush");
    }
    await expect(openRedis("rediss://host?ca=/nowhere/ca.pem", { clock: systemClock })).rejects.toThrow("/nowhere/ca.pem");
  });

  test("the database is the one that the URL names; where Redis has none of that number, nothing is written anywhere", async () => {
    const server = await startServer({});
    const at = (database: string) => server.url().replace("/0?", `/${database}?`);
    await works(at("3"));
    expect(`${await server.command("INFO", "keyspace")}`).toContain("db3:keys=1");
    const { log } = await open(at("99"));
    await expect(log.checkWritable()).rejects.toThrow("DB index is out of range");
    expect(await server.command("DBSIZE")).toBe(0);
  });

  test("its name says where, never as whom", async () => {
    const { log } = await open("redis://weft:hush@[::1]/3?prefix=site-a");
    expect(log.name).toBe("redis://[::1]:6379/3?prefix=site-a");
  });
});
