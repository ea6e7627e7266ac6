import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openSqliteStore, openStore } from "../../src/store/index.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../src/store/sqlite/migrations/index.ts";
import { openConnection } from "../../src/store/sqlite/open.ts";
import { codeOf, idOf, put } from "./contract.ts";
import { startChild, temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();
const open = (path: string) => openSqliteStore({ path, clock: systemClock });

async function refusal(promise: Promise<unknown>): Promise<WeftError> {
  try {
    await promise;
  } catch (reason) {
    if (reason instanceof WeftError) return reason;
    throw reason;
  }
  throw new Error("it should have been refused");
}

/** A closed database of 100 resources. */
async function filled(letters = 1_000): Promise<string> {
  const path = join(temporary(), "weft.db");
  const store = await open(path);
  const puts = Array.from({ length: 100 }, (_, index) => put(`vs-${index}`, { marker: `marker-${index}-`, text: "x".repeat(letters) }));
  await store.apply({ puts, deletes: [], who: "test" });
  await store.close();
  return path;
}

function edit(path: string, sql: string): void {
  const database = new Database(path);
  database.run(sql);
  database.close();
}

describe("the file of the SQLite store", () => {
  test("keeps everything from one run to the next, and leaves one file when it is closed", async () => {
    const path = await filled();
    expect(existsSync(`${path}-wal`)).toBe(false);
    const store = await open(path);
    expect(await store.list()).toMatchObject({ revision: 1, resources: { length: 100 } });
    expect((await store.apply({ puts: [put("vs-0", "new")], deletes: [], who: "test" })).revision).toBe(2);
    await store.close();
  });

  test("is readable for its user only, as are the files beside it, also when it was not so before", async () => {
    const path = join(temporary(), "made", "weft.db");
    const modes = () => [path, `${path}-wal`, `${path}-shm`].map((file) => statSync(file).mode & 0o777);
    const store = await open(path);
    expect(modes()).toEqual([0o600, 0o600, 0o600]);
    expect(statSync(join(path, "..")).mode & 0o777).toBe(0o700);
    await store.close();
    chmodSync(path, 0o644);
    const again = await open(path);
    expect(modes()).toEqual([0o600, 0o600, 0o600]);
    await again.close();
  });

  test("is written through a synced write-ahead log", async () => {
    const connection = openConnection(join(temporary(), "weft.db"));
    const settings = ["journal_mode", "synchronous", "foreign_keys", "application_id", "user_version"];
    const values = settings.map((name) => connection.get<Record<string, unknown>>(`PRAGMA ${name}`)?.[name]);
    connection.close();
    // synchronous 2 is FULL.
    expect(values).toEqual(["wal", 2, 1, APPLICATION_ID, MIGRATIONS.length]);
  });

  for (let version = 1; version < MIGRATIONS.length; version++) {
    test(`is brought from schema version ${version} to the newest with all that it holds`, async () => {
      const path = join(temporary(), "weft.db");
      const old = new Database(path);
      for (const step of MIGRATIONS.slice(0, version)) old.run(step);
      old.run(`PRAGMA application_id = ${APPLICATION_ID}`);
      old.run(`PRAGMA user_version = ${version}`);
      const source = await filled();
      old.run(`ATTACH '${source}' AS source`);
      for (const table of ["resources", "history"]) old.run(`INSERT INTO main.${table} SELECT * FROM source.${table}`);
      old.run("REPLACE INTO main.meta SELECT * FROM source.meta");
      old.close();

      const store = await open(path);
      expect(await store.list()).toMatchObject({ revision: 1, resources: { length: 100 } });
      expect(await store.history({ name: "vs-7" })).toHaveLength(1);
      await store.apply({ puts: [put("vs-7", "new")], deletes: [], who: "test" });
      expect(await store.history({ name: "vs-7" })).toHaveLength(2);
      await store.close();
      const now = new Database(path, { readonly: true });
      expect(now.query("PRAGMA user_version").get()).toEqual({ user_version: MIGRATIONS.length });
      now.close();
    });
  }

  test("is refused, unchanged, where a newer weft wrote it", async () => {
    const path = await filled();
    edit(path, `PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    const before = readFileSync(path);
    const refused = await refusal(open(path));
    expect(refused.message).toContain(path);
    expect(refused.message).toContain(`schema version ${MIGRATIONS.length + 1}, written by a newer weft`);
    expect(refused.help).toContain("newer weft");
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("is refused, unchanged, where it is another program's database", async () => {
    const path = join(temporary(), "weft.db");
    edit(path, "CREATE TABLE theirs (a)");
    const before = readFileSync(path);
    expect((await refusal(open(path))).message).toContain("another program's database");
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("is refused where it is not a database", async () => {
    const path = join(temporary(), "weft.db");
    writeFileSync(path, "kind: VirtualService\n".repeat(100));
    const refused = await refusal(open(path));
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toContain(`store ${path}: it is not a database`);
    expect(refused.help).toContain("backup");
    expect(readFileSync(path, "utf8")).toStartWith("kind: VirtualService");
  });

  test("is refused where its header is garbage", async () => {
    const path = await filled();
    overwrite(path, 0, Buffer.alloc(100, 0xa5));
    expect((await refusal(open(path))).message).toContain("not a database");
  });

  test("is refused where pages in its middle were overwritten", async () => {
    const path = await filled();
    overwrite(path, Math.floor(statSync(path).size / 2 / 4096) * 4096, Buffer.alloc(8192, 0xa5));
    expect((await refusal(open(path))).message).toContain("it is damaged");
  });

  test("is refused where a page of its history is damaged, though nothing has asked for that page", async () => {
    const path = await filled();
    const database = new Database(path, { readonly: true });
    const sql = "SELECT pageno FROM dbstat WHERE name = 'history' AND pagetype = 'leaf' ORDER BY pageno DESC LIMIT 1";
    const { pageno } = database.query(sql).get() as { pageno: number };
    database.close();
    overwrite(path, (pageno - 1) * 4096, Buffer.alloc(64, 0xa5));
    expect((await refusal(open(path))).message).toContain("it is damaged");
  });

  test("is refused where its end is missing", async () => {
    const path = await filled();
    truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096);
    expect((await refusal(open(path))).message).toContain("it is damaged");
  });

  test("is refused where one letter of a document has changed, naming the resource", async () => {
    const path = await filled();
    const bytes = readFileSync(path);
    let place = bytes.indexOf("marker-42-");
    expect(place).toBeGreaterThan(0);
    while (place >= 0) {
      overwrite(path, place, Buffer.from("M"));
      place = bytes.indexOf("marker-42-", place + 1);
    }
    const refused = await refusal(open(path));
    expect(refused.message).toContain("it is damaged: VirtualService/default/vs-42 is not what was stored");
  });

  test("that is damaged while it is open gives an error that says so", async () => {
    // Larger than SQLite's cache of 2 MB, so that not all of it is answered from there.
    const path = await filled(50_000);
    const store = await open(path);
    const { size } = statSync(path);
    overwrite(path, 4096, Buffer.alloc(size - 4096, 0xa5));
    const refused = await refusal(store.history());
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toContain(path);
    expect(refused.message).toContain("damaged");
    await store.close();
  });

  test("in which a document is no JSON any more gives an error that says so, whoever reads it", async () => {
    const path = await filled();
    const store = await open(path);
    edit(path, "UPDATE resources SET document = '{' WHERE name = 'vs-5'; UPDATE history SET document = '{' WHERE name = 'vs-5'");
    const watched = async () => {
      for await (const _ of store.watch(0, new AbortController().signal)) break;
    };
    const readers = [
      store.get(idOf("vs-5")),
      store.list(),
      store.history(),
      watched(),
      store.apply({ puts: [], deletes: [idOf("vs-5")], who: "" }),
    ];
    for (const reader of readers) expect((await refusal(reader)).message).toContain(`store ${path}: it is damaged`);
    expect((await store.get(idOf("vs-6")))?.name).toBe("vs-6");
    await store.close();
  });

  test("is refused where it is a directory, or a part of its path is a file", async () => {
    const directory = temporary();
    mkdirSync(join(directory, "weft.db"));
    expect((await refusal(open(join(directory, "weft.db")))).message).toContain("it is a directory");
    writeFileSync(join(directory, "file"), "");
    const refused = await refusal(open(join(directory, "file", "weft.db")));
    expect(refused.message).toContain("is a file, not a directory");
    expect(refused.help).toContain("--data");
  });

  test("is refused while another process writes to it, and opens after that", async () => {
    const path = await filled();
    const other = new Database(path);
    other.run("BEGIN EXCLUSIVE");
    expect((await refusal(open(path))).message).toContain("another process holds it locked");
    other.run("ROLLBACK");
    other.close();
    await (await open(path)).close();
  }, 15_000);

  test("takes no write while another process holds it locked, and goes on after that", async () => {
    const path = await filled();
    const store = await open(path);
    const other = new Database(path);
    other.run("BEGIN IMMEDIATE");
    const write = () => codeOf(store.apply({ puts: [put("new", 1)], deletes: [], who: "test" }));
    expect(await write()).toBe("unavailable");
    expect(await codeOf(store.checkWritable())).toBe("unavailable");
    expect((await store.list()).resources).toHaveLength(100);
    other.run("ROLLBACK");
    other.close();
    expect(await write()).toBe("resolved");
    expect(await codeOf(store.checkWritable())).toBe("resolved");
    await store.close();
  }, 15_000);

  test("is refused where its user may not write the file or the directory", async () => {
    const asRoot = process.getuid?.() === 0;
    const attempt = async (path: string) => {
      if (!asRoot) return refusal(open(path)).then((refused) => `${refused.code}: ${refused.message}`);
      const { child, lines } = startChild("open-as-nobody", path);
      const line = String((await lines.next()).value);
      await child.exited;
      return line;
    };
    const path = await filled();
    const directory = join(path, "..");
    chmodSync(path, 0o444);
    chmodSync(directory, 0o777);
    expect(await attempt(path)).toContain(`unavailable: store ${path}: permission denied`);
    chmodSync(directory, 0o555);
    expect(await attempt(join(directory, "new.db"))).toContain(`unavailable: store ${join(directory, "new.db")}: permission denied`);
    chmodSync(directory, 0o700);
    expect(readFileSync(path).length).toBeGreaterThan(0);
  });
});

describe("openStore", () => {
  test("takes sqlite for a file in the data directory, sqlite:PATH for another, and memory:", async () => {
    const dataDir = temporary();
    const names: string[] = [];
    for (const url of ["sqlite", "sqlite:", `sqlite:${dataDir}/other.db`, "memory:", "memory"]) {
      const store = await openStore(url, { dataDir, clock: systemClock });
      await store.apply({ puts: [put("a", 1)], deletes: [], who: "test" });
      expect((await store.get(idOf("a")))?.document.spec).toBe(1);
      names.push(store.name);
      await store.close();
    }
    expect(names).toEqual([`sqlite:${dataDir}/weft.db`, `sqlite:${dataDir}/weft.db`, `sqlite:${dataDir}/other.db`, "memory", "memory"]);
  });

  test("refuses what it does not know with what it does, and does not repeat a password", async () => {
    const refused = await refusal(openStore("redis://user:hunter2@host/0", { dataDir: temporary(), clock: systemClock }));
    expect(refused.code).toBe("invalid");
    expect(refused.message).toContain("redis");
    expect(`${refused.message} ${refused.help}`).not.toContain("hunter2");
    expect(refused.help).toContain('"sqlite"');
  });
});

function overwrite(path: string, position: number, bytes: Buffer): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
}
