import { describe, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import { openStore } from "../../src/store/index.ts";
import { idOf, put, refusal } from "./harness.ts";
import { temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();

describe("openStore", () => {
  test("takes sqlite for a file in the data directory, sqlite:PATH for another, and memory:", async () => {
    const dataDir = temporary();
    const names: string[] = [];
    for (const url of ["sqlite", "sqlite:", `sqlite:${dataDir}/other.db`, "memory:", "memory"]) {
      const { store } = await openStore(url, { dataDir, clock: systemClock });
      await store.apply({ puts: [put("a", 1)], deletes: [], who: "test" });
      expect((await store.get(idOf("a")))?.document.spec).toBe(1);
      names.push(store.name);
      await store.close();
    }
    expect(names).toEqual([`sqlite:${dataDir}/weft.db`, `sqlite:${dataDir}/weft.db`, `sqlite:${dataDir}/other.db`, "memory", "memory"]);
  });

  test("refuses what it does not know with what it does, and does not repeat a password", async () => {
    const refused = await refusal(openStore("rediz://user:hunter2@host/0", { dataDir: temporary(), clock: systemClock }));
    expect(refused.code).toBe("invalid");
    expect(refused.message).toContain("rediz");
    expect(`${refused.message} ${refused.help}`).not.toContain("hunter2");
    expect(refused.help).toContain('"sqlite"');
  });
});
