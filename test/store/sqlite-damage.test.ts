import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { idOf, refusal } from "./harness.ts";
import { edit, filled, open, overwrite } from "./sqlite-files.ts";
import { temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();
const newPath = () => join(temporary(), "weft.db");

describe("the file of the SQLite store", () => {
  test("is refused where it is not a database", async () => {
    const path = newPath();
    writeFileSync(path, "kind: VirtualService\n".repeat(100));
    const refused = await refusal(open(path));
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toContain(`store ${path}: it is not a database`);
    expect(refused.help).toContain("backup");
    expect(readFileSync(path, "utf8")).toStartWith("kind: VirtualService");
  });

  test("is refused where its header is garbage", async () => {
    const path = await filled(newPath());
    overwrite(path, 0, Buffer.alloc(100, 0xa5));
    expect((await refusal(open(path))).message).toContain("not a database");
  });

  test("is refused where pages in its middle were overwritten", async () => {
    const path = await filled(newPath());
    overwrite(path, Math.floor(statSync(path).size / 2 / 4096) * 4096, Buffer.alloc(8192, 0xa5));
    expect((await refusal(open(path))).message).toContain("it is damaged");
  });

  test("is refused where a page of its history is damaged, though nothing has asked for that page", async () => {
    const path = await filled(newPath());
    const database = new Database(path, { readonly: true });
    const sql = "SELECT pageno FROM dbstat WHERE name = 'history' AND pagetype = 'leaf' ORDER BY pageno DESC LIMIT 1";
    const { pageno } = database.query(sql).get() as { pageno: number };
    database.close();
    overwrite(path, (pageno - 1) * 4096, Buffer.alloc(64, 0xa5));
    expect((await refusal(open(path))).message).toContain("it is damaged");
  });

  test("is refused where its end is missing", async () => {
    const path = await filled(newPath());
    truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096);
    expect((await refusal(open(path))).message).toContain("it is damaged");
  });

  test("is refused where one letter of a document has changed, naming the resource", async () => {
    const path = await filled(newPath());
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
    const path = await filled(newPath(), 50_000);
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
    const path = await filled(newPath());
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
});
