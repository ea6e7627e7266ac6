/** That scripts/faults says what it leaves out, and counts a slow link only where something waited for it. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { heldUpOf } from "../../scripts/lib/faults/hosts.ts";

const MAIN = join(import.meta.dir, "../../scripts/lib/faults/main.ts");

test("Where the kernel allows no namespaces each cell that needs them is named with the reason, and with CI=true nothing is run without them.", async () => {
  // It leaves its logs behind where it fails.
  const directory = mkdtempSync(join(tmpdir(), "weft-skipped-"));
  const env = {
    ...process.env,
    TMPDIR: directory,
    FAULTS_CONFINED: "it allows none",
    FAULTS_FAKETIME: "/nowhere/libfaketime.so",
    CI: "true",
  };
  const child = Bun.spawn([process.execPath, MAIN, "--quick", "--store", "etcd"], { env, stdout: "pipe", stderr: "pipe" });
  const [out, said, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  rmSync(directory, { recursive: true, force: true });
  expect(out).toBe("");
  expect(said).toContain("SKIPPED etcd partition/leader: it allows none\n");
  expect(said).toContain("SKIPPED etcd slow/node: it allows none\n");
  expect(said).toContain("SKIPPED etcd disk/node: it allows none\n");
  expect(said).toContain("faults: Error: with CI=true none may be skipped");
  expect(code).toBe(2);
});

test("A slow link has held packets up where tbf had some wait, or netem passed any.", () => {
  const tbf = (overlimits: number) =>
    `qdisc tbf 8001: root refcnt 2 rate 128Kbit burst 2Kb lat 2s\n Sent 5120 bytes 40 pkt (dropped 0, overlimits ${overlimits} requeues 0)\n backlog 0b 0p requeues 0\n`;
  expect(heldUpOf(tbf(17))).toBe(17);
  expect(heldUpOf(tbf(0))).toBe(0);
  const netem =
    "qdisc netem 8001: root refcnt 2 limit 1000 delay 150ms  20ms\n Sent 5120 bytes 40 pkt (dropped 0, overlimits 0 requeues 0)\n";
  expect(heldUpOf(netem)).toBe(40);
  expect(heldUpOf("qdisc noqueue 0: root refcnt 2\n Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0)\n")).toBe(0);
  expect(heldUpOf("")).toBe(0);
});
