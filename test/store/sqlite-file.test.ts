import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { APPLICATION_ID, MIGRATIONS } from "../../src/store/sqlite/migrations/index.ts";
import { openConnection } from "../../src/store/sqlite/open.ts";
import { codeOf, put, refusal } from "./harness.ts";
import { edit, filled, open } from "./sqlite-files.ts";
import { startChild, temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();
const newPath = () => join(temporary(), "weft.db");

describe("the file of the SQLite store", () => {
  test("keeps everything from one run to the next, and leaves one file when it is closed", async () => {
    const path = await filled(newPath());
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
    const { connection } = openConnection(newPath());
    const settings = ["journal_mode", "synchronous", "foreign_keys", "application_id", "user_version"];
    const values = settings.map((name) => connection.get<Record<string, unknown>>(`PRAGMA ${name}`)?.[name]);
    connection.close();
    // synchronous 2 is FULL.
    expect(values).toEqual(["wal", 2, 1, APPLICATION_ID, MIGRATIONS.length]);
  });

  for (let version = 1; version < MIGRATIONS.length; version++) {
    test(`is brought from schema version ${version} to the newest with all that it holds`, async () => {
      const path = newPath();
      const old = new Database(path);
      for (const step of MIGRATIONS.slice(0, version)) old.run(step);
      old.run(`PRAGMA application_id = ${APPLICATION_ID}`);
      old.run(`PRAGMA user_version = ${version}`);
      const source = await filled(newPath());
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
    const path = await filled(newPath());
    edit(path, `PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    const before = readFileSync(path);
    const refused = await refusal(open(path));
    expect(refused.message).toContain(path);
    expect(refused.message).toContain(`schema version ${MIGRATIONS.length + 1}, written by a newer weft`);
    expect(refused.help).toContain("newer weft");
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("is refused, unchanged, where it is another program's database", async () => {
    const path = newPath();
    edit(path, "CREATE TABLE theirs (a)");
    const before = readFileSync(path);
    expect((await refusal(open(path))).message).toContain("another program's database");
    expect(readFileSync(path).equals(before)).toBe(true);
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
    const path = await filled(newPath());
    const other = new Database(path);
    other.run("BEGIN EXCLUSIVE");
    expect((await refusal(open(path))).message).toContain("another process holds it locked");
    other.run("ROLLBACK");
    other.close();
    await (await open(path)).close();
  }, 15_000);

  test("takes no write while another process holds it locked, and goes on after that", async () => {
    const path = await filled(newPath());
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
    const path = await filled(newPath());
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
