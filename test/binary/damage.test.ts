import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { caKeyFile } from "../ca/key-file.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { describeWhere } from "../skip.ts";
import { canMount, MOUNT_NEEDS, openDisk } from "./disk.ts";
import {
  documents,
  expectRefusal,
  MTLS,
  newDirectory,
  type RunOptions,
  run,
  SERVICE,
  startWeft,
  untilStatus,
  useBinary,
  WORKLOAD,
} from "./harness.ts";
import { adsOf, CLUSTER, tokenOf } from "./proxy.ts";

useBinary();

const NOBODY = 65_534;
const MESH = documents(SERVICE("orders"), WORKLOAD("orders-1", "orders"));
const start = (data: string, options: RunOptions = {}) =>
  run(["run", "--data", data, "--ads", "127.0.0.1:0", "--admin", "127.0.0.1:0"], options);

/** A data directory that a weft has used: three resources at revision 2. */
async function used(data = join(newDirectory(), "data"), options: RunOptions = {}): Promise<string> {
  const weft = await startWeft({ data, ...options });
  await weft.apply(MESH);
  await weft.apply(MTLS("STRICT"));
  expect(await weft.stop()).toBe(0);
  return data;
}

/** The refusal left everything in place: once mended, all is there. */
async function expectWhole(data: string, options: RunOptions = {}): Promise<void> {
  await using weft = await startWeft({ data, ...options });
  expect((await weft.ask("GET", "/v1/resources")).json).toMatchObject({ revision: 2, items: { length: 3 } });
}

describe("weft run on a damaged store ends with exit 2, names the file and the mend, and loses nothing:", () => {
  test("a database of a newer weft", async () => {
    const data = await used();
    const path = join(data, "weft.db");
    const version = setVersion(path, 999);
    const before = readFileSync(path);
    expectRefusal(await start(data), path, "newer weft", "schema version 999", "help: ");
    expect(readFileSync(path).equals(before)).toBe(true);
    setVersion(path, version);
    await expectWhole(data);
  });

  test("a corrupt database", async () => {
    const data = await used();
    const path = join(data, "weft.db");
    const whole = `${path}.whole`;
    copyFileSync(path, whole);
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 4096 + 100, bytes.length - 100);
    writeFileSync(path, bytes);
    expectRefusal(await start(data), path, "damaged", "restore the file from a backup");
    expect(readFileSync(path).equals(bytes)).toBe(true);
    renameSync(whole, path);
    await expectWhole(data);
  });

  test("a database that was cut short", async () => {
    const data = await used();
    const path = join(data, "weft.db");
    truncateSync(path, 4096);
    expectRefusal(await start(data), path, "damaged", "restore the file from a backup");
  });

  test("a file that is no database", async () => {
    const data = await used();
    const path = join(data, "weft.db");
    renameSync(path, `${path}.whole`);
    writeFileSync(path, "# my notes\n".repeat(500));
    expectRefusal(await start(data), path, "not a database", "restore the file from a backup");
    expect(readFileSync(path, "utf8")).toStartWith("# my notes");
    renameSync(`${path}.whole`, path);
    await expectWhole(data);
  });

  test("another program's database", async () => {
    const data = join(newDirectory(), "data");
    mkdirSync(data);
    const path = join(data, "weft.db");
    const other = new Database(path);
    other.run("CREATE TABLE songs (name TEXT)");
    other.close();
    const before = readFileSync(path);
    expectRefusal(await start(data), path, "another program's database", "--data");
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a directory in the database's place", async () => {
    const data = await used();
    const path = join(data, "weft.db");
    renameSync(path, `${path}.whole`);
    mkdirSync(path);
    expectRefusal(await start(data), path, "directory", "help: ");
    rmSync(path, { recursive: true });
    renameSync(`${path}.whole`, path);
    await expectWhole(data);
  });

  test("a key of the CA that is damaged, or readable by others", async () => {
    const data = await used();
    const key = caKeyFile(data);
    chmodSync(key, 0o640);
    expectRefusal(await start(data), key, "0640", `chmod 600 ${key}`);
    chmodSync(key, 0o600);
    const pem = readFileSync(key);
    writeFileSync(key, "nonsense\n");
    expectRefusal(await start(data), key, "help: ");
    writeFileSync(key, pem);
    await expectWhole(data);
  });
});

describeWhere(process.getuid?.() === 0 && Bun.which("setpriv") !== null, "root and setpriv", "on files that it may not write", () => {
  test("weft says so, names the file and the user, and ends with exit 2", async () => {
    const home = newDirectory();
    chmodSync(home, 0o755);
    const data = await used(join(home, "data"));
    const prefix = ["setpriv", `--reuid=${NOBODY}`, "--clear-groups"];
    const path = join(data, "weft.db");
    // The directory is the user's, the database is not.
    chownSync(data, NOBODY, NOBODY);
    for (const name of [
      "lock.db",
      "admin.token",
      "node.json",
      "secrets.key",
      "ca",
      ...readdirSync(join(data, "ca")).map((one) => `ca/${one}`),
    ])
      chownSync(join(data, name), NOBODY, NOBODY);
    chmodSync(path, 0o444);
    expectRefusal(await start(data, { prefix }), path, `uid ${NOBODY}`, "writable");
    chownSync(path, NOBODY, NOBODY);
    expectRefusal(await start(data, { prefix }), path, `uid ${NOBODY}`, "writable");
    chmodSync(path, 0o600);
    await expectWhole(data, { prefix });
  });
});

describeWhere(canMount, MOUNT_NEEDS, "on a disk that is full", () => {
  test("weft run ends with exit 2, and finds everything when there is space again", async () => {
    using disk = await openDisk(16);
    const options = { prefix: disk.inside };
    const data = join(disk.path, "data");
    const seen = join(disk.seen, "data");
    const first = await startWeft({ data, seen, ...options });
    await first.apply(MESH);
    expect(await first.stop()).toBe(0);
    disk.fill();
    expectRefusal(await start(data, options), data, "space");
    expectRefusal(await start(join(disk.path, "other"), options), join(disk.path, "other"), "space");
    disk.empty();
    await using again = await startWeft({ data, seen, ...options });
    expect((await again.ask("GET", "/v1/resources")).json).toMatchObject({ revision: 1, items: { length: 2 } });
  });

  test("a running weft refuses changes with 503, names the store in /healthz, goes on serving reads and proxies, and recovers by itself", async () => {
    using disk = await openDisk(16);
    await using weft = await startWeft({ data: join(disk.path, "data"), seen: join(disk.seen, "data"), prefix: disk.inside });
    await weft.apply(MESH);
    const token = await tokenOf(weft, "orders-1");
    disk.fill();

    const refused = await weft.ask("POST", "/v1/apply", MTLS("STRICT"));
    expect(refused).toMatchObject({ status: 503, json: { code: "unavailable", help: expect.stringContaining("free some space") } });
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(refused.json.detail).toContain("weft.db");
    expect(refused.json.detail).toContain("full");
    const health = await untilStatus(weft, "/healthz", 503);
    expect(health.text).toContain("[-]store failed: ");
    expect(health.text).toContain("[+]xds ok");
    expect(health.text).toContain("[+]ca ok");
    expect((await weft.ask("GET", "/livez")).status).toBe(200);
    expect((await weft.ask("GET", "/metrics")).text).toContain('weft_healthy{part="store"} 0');
    const result = await weft.cli(["apply", "-f", "-"], { input: MTLS("STRICT"), prefix: disk.inside });
    expect(result).toMatchObject({ code: 2, out: "", err: expect.stringContaining("free some space") });

    expect((await weft.ask("GET", "/v1/resources")).json).toMatchObject({ revision: 1, items: { length: 2 } });
    expect((await weft.ask("GET", "/v1/services/orders/mtls")).json).toMatchObject({ mtls_mode: "PERMISSIVE" });
    const proxy = new DeltaClient(adsOf(weft), { token });
    proxy.subscribe(CLUSTER);
    expect((await proxy.take(CLUSTER)).resources.size).toBeGreaterThan(0);

    disk.empty();
    await untilStatus(weft, "/healthz", 200);
    expect(await weft.apply(MTLS("STRICT"))).toMatchObject({ revision: 2 });
    expect((await weft.ask("GET", "/v1/services/orders/mtls")).json).toMatchObject({ mtls_mode: "STRICT" });
    proxy.close();
  });
});

function setVersion(path: string, version: number): number {
  const database = new Database(path);
  const before = (database.query("PRAGMA user_version").get() as { user_version: number }).user_version;
  database.run(`PRAGMA user_version = ${version}`);
  database.close();
  return before;
}
