import { expect, test } from "bun:test";
import { constants, copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { isEnvoy } from "../../src/lib/envoy-process.ts";
import { describeWhere, envoyFor } from "../skip.ts";

const envoy = envoyFor('"whether a process is an Envoy"');

describeWhere(process.platform === "linux" && envoy !== undefined, "Linux, and an Envoy", "Whether a process is an Envoy", () => {
  test("is known by what it runs, also where its program has another name and is gone", async () => {
    const directory = mkdtempSync(join(tmpdir(), "weft-envoy-"));
    const program = join(directory, "sidecar");
    copyFileSync(envoy ?? "", program, constants.COPYFILE_FICLONE);
    const child = Bun.spawn([program, "--config-yaml", "admin: {}", "--log-level", "off", "--disable-hot-restart"], { stderr: "ignore" });
    try {
      await waitFor(
        "it to run",
        () => readFileSync(`/proc/${child.pid}/comm`, "utf8"),
        (name) => name.startsWith("sidecar"),
      );
      rmSync(directory, { recursive: true });
      expect(await isEnvoy(child.pid)).toBe(true);
    } finally {
      child.kill();
      await child.exited;
    }
    expect(await isEnvoy(child.pid)).toBe(false);
  });

  test("is not said of others: this one, one that only speaks of Envoy, and init", async () => {
    const child = Bun.spawn(["sh", "-c", "exec sleep 60", "envoy"]);
    try {
      for (const pid of [process.pid, child.pid, 1]) expect([pid, await isEnvoy(pid)]).toEqual([pid, false]);
    } finally {
      child.kill();
      await child.exited;
    }
  });
});
