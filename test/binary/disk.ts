/** A small disk of a test's own: a tmpfs in a mount namespace that nobody else sees, and that is gone when its holder ends. */
import { statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../src/lib/errors.ts";
import { newDirectory, waitFor } from "./harness.ts";

export interface Disk extends Disposable {
  /** Where it is mounted, for processes started with `inside`. */
  readonly path: string;
  /** The same, as the test's process sees it. */
  readonly seen: string;
  /** Words before a command that make it see the disk. */
  readonly inside: readonly string[];
  /** Takes all space that is left. */
  fill(): void;
  /** Gives back what fill() took. */
  empty(): void;
}

/** Whether this process may make one. */
export const canMount =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  Bun.which("nsenter") !== null &&
  Bun.spawnSync(["unshare", "-m", "mount", "-t", "tmpfs", "weft-test", "/mnt"], { stderr: "ignore" }).success;

/** The words for a mount that is not there. */
export const MOUNT_NEEDS = "Linux, root, and the right to mount a tmpfs in a namespace of its own";

export async function openDisk(megabytes: number): Promise<Disk> {
  const path = newDirectory();
  const script = `mount -t tmpfs -o size=${megabytes}m,mode=755 weft-test "$0" && touch "$0/mounted" && exec sleep 600`;
  const holder = Bun.spawn(["unshare", "-m", "sh", "-c", script, path], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  const seen = `/proc/${holder.pid}/root${path}`;
  await waitFor("the disk", () => Bun.file(join(seen, "mounted")).exists());
  const filler = join(seen, "filler");
  return {
    path,
    seen,
    inside: ["nsenter", `--target=${holder.pid}`, "--mount", "--"],
    fill() {
      for (const size of [1 << 20, 1 << 16, 1 << 12]) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: "a" });
        } catch (reason) {
          if (errnoOf(reason) !== "ENOSPC") throw reason;
        }
      }
      if (statfsSync(seen).bavail !== 0) throw new Error("the disk is not full");
    },
    empty: () => unlinkSync(filler),
    [Symbol.dispose]() {
      holder.kill("SIGKILL");
    },
  };
}
