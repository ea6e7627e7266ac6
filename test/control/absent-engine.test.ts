/** What a weft costs that waits for an engine which is not there: the process as it is, since it is Bun's event loop that is looked at. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../cluster/mesh.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const WATCHED_MS = 3_000;

/** Used by the process until now, ms: utime and stime of proc(5), in hundredths of a second. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

test("A node that has nothing yet waits for an absent engine without keeping a processor busy", async () => {
  const data = mkdtempSync(join(tmpdir(), "weft-absent-"));
  const anywhere = "127.0.0.1:0";
  const args = ["run", "--data", data, "--store", "etcd://127.0.0.1:1", "--ads", anywhere, "--admin", anywhere, "--node", "a"];
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    env: { ...process.env, WEFT_CONFIG: "/dev/null" },
    stdout: "ignore",
    stderr: "pipe",
  });
  try {
    await eventually(() => expect(existsSync(join(data, "weft.db"))).toBe(true));
    const before = cpuMs(child.pid);
    // Not waited for anything: it is what is measured over.
    await Bun.sleep(WATCHED_MS);
    expect(child.exitCode).toBeNull();
    expect(cpuMs(child.pid) - before).toBeLessThan(WATCHED_MS / 5);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(data, { recursive: true, force: true });
  }
});
