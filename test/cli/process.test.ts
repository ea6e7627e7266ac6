import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startAdmin } from "../admin/harness.ts";
import { fakeProxy } from "../fakes/control-plane.ts";

const ENTRY = join(import.meta.dir, "entry.ts");

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 1000) throw new Error("the condition did not come true");
    await Bun.sleep(10);
  }
}

describe("The weft process", () => {
  test("ends quietly where the reader of its output goes away, as with head", async () => {
    await using admin = await startAdmin();
    admin.control.proxyList = Array.from({ length: 3000 }, (_, index) => fakeProxy(`default/w${index}`));
    const script = `"$@" | head -n 1; echo "status \${PIPESTATUS[0]}"`;
    const shell = Bun.spawn(["bash", "-c", script, "bash", process.execPath, ENTRY, "proxies", "-o", "json", "--data", admin.data], {
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await shell.stdout.text()).toBe("{\nstatus 141\n");
    expect(await shell.stderr.text()).toBe("");
  });

  test("gives all of a large output to a pipe", async () => {
    await using admin = await startAdmin();
    admin.control.proxyList = Array.from({ length: 3000 }, (_, index) => fakeProxy(`default/w${index}`));
    const child = Bun.spawn([process.execPath, ENTRY, "proxies", "-o", "json", "--data", admin.data], {
      stdout: "pipe",
      stderr: "inherit",
    });
    expect(JSON.parse(await child.stdout.text()).items).toHaveLength(3000);
    expect(await child.exited).toBe(0);
  });

  test("runs Envoy with the workload's bootstrap and the arguments after --, and ends it on SIGTERM", async () => {
    await using admin = await startAdmin();
    const seen = join(admin.data, "seen");
    const envoy = join(admin.data, "envoy");
    // Not an Envoy: it shows what it was started with, and waits. The real one is tested with the supervisor and with the compiled binary.
    writeFileSync(envoy, `#!/bin/sh\nfor word; do echo "$word"; done > ${seen}.new\nmv ${seen}.new ${seen}\nexec sleep 60\n`);
    chmodSync(envoy, 0o755);
    await using child = Bun.spawn([process.execPath, ENTRY, "proxy", "run", "orders", "--data", admin.data, "--", "--concurrency", "1"], {
      env: { ...process.env, WEFT_ENVOY: envoy },
      stdout: "inherit",
      stderr: "pipe",
    });
    await until(() => existsSync(seen));
    const words = readFileSync(seen, "utf8").trim().split("\n");
    expect(words.slice(-2)).toEqual(["--concurrency", "1"]);
    const bootstrap = words[words.indexOf("--config-path") + 1] ?? "";
    expect(JSON.parse(readFileSync(bootstrap, "utf8"))).toMatchObject({ node: { id: "default/orders" } });
    child.kill("SIGTERM");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(existsSync(bootstrap)).toBe(false);
  });
});
