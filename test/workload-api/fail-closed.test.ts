import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWhere } from "../skip.ts";

const ROOT = join(import.meta.dir, "../..");

describeWhere(process.getuid?.() === 0, "root, who may hide /proc from a process", "Where the kernel does not say who connects", () => {
  test("no socket is opened, and the reason is told", async () => {
    const directory = mkdtempSync(join(tmpdir(), "weft-closed-"));
    const path = join(directory, "workload.sock");
    const script = join(directory, "serve.ts");
    await Bun.write(
      script,
      `import { existsSync } from "node:fs";
import { serveWorkloadApi } from ${JSON.stringify(join(ROOT, "src/workload-api/index.ts"))};
import { systemClock } from ${JSON.stringify(join(ROOT, "src/lib/clock.ts"))};
const serve = () => serveWorkloadApi({ path: ${JSON.stringify(path)}, clock: systemClock, bundles: { onChange: () => () => {} } } as never);
const open = await serve();
const before = [open.closedBecause ?? "", existsSync(${JSON.stringify(path)})];
await open.close(0);
Bun.spawnSync(["mount", "-t", "tmpfs", "none", "/proc"]);
const { closedBecause } = await serve();
console.log(JSON.stringify({ before, closedBecause, there: existsSync(${JSON.stringify(path)}) }));
process.exit(0);
`,
    );
    try {
      const { stdout, stderr } = Bun.spawnSync(["unshare", "--mount", process.execPath, script], { cwd: ROOT });
      const { before, closedBecause, there } = JSON.parse(stdout.toString() || JSON.stringify({ closedBecause: stderr.toString() }));
      expect(before).toEqual(["", true]);
      expect(closedBecause).toContain("weft may not look at it");
      expect(there).toBe(false);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
