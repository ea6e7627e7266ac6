import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { errnoOf, WeftError } from "../../src/lib/errors.ts";
import { lockDirectory } from "../../src/lib/lock.ts";
import { openSqliteStore, type Store } from "../../src/store/index.ts";
import { codeOf, put, refusal } from "./harness.ts";

const base = mkdtempSync(join(tmpdir(), "weft-full-"));
const disk = join(base, "disk");
mkdirSync(disk);
const mount = (...args: string[]) => Bun.spawnSync(["mount", ...args], { stderr: "ignore" }).success;
const mounted = process.platform === "linux" && process.getuid?.() === 0 && mount("-t", "tmpfs", "-o", "size=2m", "weft-test", disk);
if (!mounted) console.warn("SKIPPED: the tests on a full and on a read-only disk need root and the right to mount a tmpfs");

afterAll(() => {
  if (mounted) Bun.spawnSync(["umount", disk]);
  rmSync(base, { recursive: true, force: true });
});

/** Applies documents of 8 kB until one fails. @returns how many were acknowledged, and the failure */
async function applyUntilFull(store: Store): Promise<{ acknowledged: number; full: WeftError }> {
  for (let acknowledged = 0; acknowledged < 10_000; acknowledged++) {
    try {
      await store.apply({ puts: [put(`vs-${acknowledged}`, "x".repeat(8_000))], deletes: [], who: "test" });
    } catch (reason) {
      if (reason instanceof WeftError) return { acknowledged, full: reason };
      throw reason;
    }
  }
  throw new Error("the disk was never full");
}

/** Takes all space that is left. */
function fill(): string {
  const file = join(disk, "filler");
  try {
    for (let part = 0; part < 10_000; part++) writeFileSync(file, Buffer.alloc(4096), { flag: "a" });
  } catch (reason) {
    if (errnoOf(reason) !== "ENOSPC") throw reason;
  }
  expect(statfsSync(disk).bavail).toBe(0);
  return file;
}

test("a database that may not grow takes no further write, says so, and keeps what was acknowledged", async () => {
  const path = join(base, "bounded.db");
  const store = await openSqliteStore({ path, clock: systemClock, maxPages: 100 });
  const { acknowledged, full } = await applyUntilFull(store);
  expect(acknowledged).toBeGreaterThan(5);
  expect(full.code).toBe("unavailable");
  expect(full.message).toContain(`store ${path}: the disk is full`);
  expect(full.help).toContain("free some space");
  expect(await codeOf(store.checkWritable())).toBe("unavailable");
  expect(await store.list()).toMatchObject({ revision: acknowledged, resources: { length: acknowledged } });
  await store.close();
  const again = await openSqliteStore({ path, clock: systemClock });
  expect((await again.list()).revision).toBe(acknowledged);
  await again.close();
});

describe.skipIf(!mounted)("on a disk that is full", () => {
  let store: Store;
  const path = join(disk, "weft.db");
  beforeAll(async () => {
    store = await openSqliteStore({ path, clock: systemClock });
  });
  afterAll(() => store.close());

  test("applies fail with what to do, nothing is lost, and the same open store goes on when there is space again", async () => {
    const { acknowledged, full } = await applyUntilFull(store);
    expect(acknowledged).toBeGreaterThan(5);
    expect(full.code).toBe("unavailable");
    expect(full.message).toContain(path);
    const filler = fill();
    expect(await store.list()).toMatchObject({ revision: acknowledged, resources: { length: acknowledged } });
    expect(await codeOf(store.apply({ puts: [put("more", "x".repeat(8_000))], deletes: [], who: "test" }))).toBe("unavailable");
    expect((await refusal(store.checkWritable())).message).toContain("the disk is full");

    rmSync(filler);
    Bun.spawnSync(["mount", "-o", "remount,size=16m", disk]);
    expect(await codeOf(store.checkWritable())).toBe("resolved");
    const more = await store.apply({ puts: [put("more", "x".repeat(8_000))], deletes: [], who: "test" });
    expect(more.revision).toBe(acknowledged + 1);
    expect((await store.history()).length).toBe(acknowledged + 1);
  });

  test("the health check fails at once, also where the write-ahead log still has room from before", async () => {
    // More than a checkpoint's worth of pages, so that the log has been given back and may be written over.
    for (let index = 0; index < 40; index++) {
      await store.apply({ puts: [put("large", `${index}${"y".repeat(100_000)}`)], deletes: [], who: "test" });
    }
    const filler = fill();
    expect(await codeOf(store.checkWritable())).toBe("unavailable");
    rmSync(filler);
    expect(await codeOf(store.checkWritable())).toBe("resolved");
  });

  test("opening is refused with what to do, as is the lock, and what was stored is there afterwards", async () => {
    const before = await store.list();
    await store.close();
    const filler = fill();
    const refused = await refusal(openSqliteStore({ path, clock: systemClock }));
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toContain(`store ${path}: the disk is full`);
    expect((await refusal(lockDirectory(disk))).help).toContain("free some space");
    rmSync(filler);
    (await lockDirectory(disk))();
    store = await openSqliteStore({ path, clock: systemClock });
    expect(await store.list()).toEqual(before);
  });

  test("a read-only file system is refused by name, and what is on it is there when it is writable again", async () => {
    await store.close();
    expect(mount("-o", "remount,ro", disk)).toBe(true);
    const refused = await refusal(openSqliteStore({ path, clock: systemClock }));
    expect(refused.message).toContain("read-only file system");
    expect(refused.help).toContain("writable");
    expect(mount("-o", "remount,rw", disk)).toBe(true);
    store = await openSqliteStore({ path, clock: systemClock });
    expect((await store.list()).resources.length).toBeGreaterThan(5);
  });
});
