/** A node whose own disk is full. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../../src/lib/errors.ts";
import { apply, codeOf, idOf, put } from "./harness.ts";
import { MemoryEngine } from "./memory-log.ts";
import { Node, nodesOf, until, untilEqual } from "./replica-harness.ts";

const newNode = nodesOf();
const base = mkdtempSync(join(tmpdir(), "weft-replica-disk-"));
const disk = join(base, "disk");
mkdirSync(disk);
const mount = (...args: string[]) => Bun.spawnSync(["mount", ...args], { stderr: "ignore" }).success;
const mounted = process.platform === "linux" && process.getuid?.() === 0 && mount("-t", "tmpfs", "-o", "size=3m", "weft-test", disk);
if (!mounted) {
  if (process.env.CI === "true") throw new Error("the tests on a full disk need root and the right to mount a tmpfs");
  console.warn("SKIPPED: the test of a node on a full disk needs root and the right to mount a tmpfs");
}
afterAll(() => {
  if (mounted) Bun.spawnSync(["umount", disk]);
  rmSync(base, { recursive: true, force: true });
});

function fill(): void {
  try {
    for (let part = 0; part < 10_000; part++) writeFileSync(join(disk, "filler"), Buffer.alloc(4096), { flag: "a" });
  } catch (reason) {
    if (errnoOf(reason) !== "ENOSPC") throw reason;
  }
}

const standing = (node: Node) => node.store.standing?.();

describe("a node whose disk is full", () => {
  test("stops following and says so, serves on, and what it could not write down is there when it has room", async () => {
    const engine = new MemoryEngine();
    const [a, b] = [newNode(() => engine.connect()), newNode(() => engine.connect())];
    await a.start();
    await b.start({ maxPages: 60 });
    await apply(a.store, put("small", 1));
    await untilEqual([a, b]);
    for (let round = 0; round < 6; round++)
      await apply(a.store, put(`large-${round}`, crypto.getRandomValues(Buffer.alloc(40_000)).toString("hex")));
    await until("the node says that its disk is full", () => standing(b)?.reason?.includes("the disk is full") === true);
    expect((await b.store.get(idOf("small")))?.revision).toBe(1);
    expect(await codeOf(apply(b.store, put("c", 1)))).toBe("unavailable");
    await b.stop();
    await b.start();
    await untilEqual([a, b]);
    expect((await b.store.history()).length).toBe(7);
  });

  test.skipIf(!mounted)(
    "goes on by itself, and of a write that others have it says that they have it",
    async () => {
      const engine = new MemoryEngine();
      const a = newNode(() => engine.connect());
      const b = new Node(disk, () => engine.connect());
      await a.start();
      await b.start();
      await apply(b.store, put("small", 1));
      fill();
      const text = crypto.getRandomValues(Buffer.alloc(100_000)).toString("hex");
      const outcome = await apply(b.store, put("large", text)).then(
        () => "resolved",
        (reason) => String(reason.message),
      );
      expect(outcome).toContain("the change is made, and other nodes have it, but this one cannot write it down yet");
      await until("the other node has it", async () => (await a.store.get(idOf("large"))) !== undefined);
      await until("the node says that its disk is full", () => standing(b)?.reason?.includes("the disk is full") === true);
      rmSync(join(disk, "filler"));
      await untilEqual([a, b]);
      expect((await apply(b.store, put("more", 1))).revision).toBe(3);
      await b.stop();
    },
    60_000,
  );
});
