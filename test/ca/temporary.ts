import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs `body` with a new directory that is gone afterwards. */
export async function inTemporaryDirectory(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  try {
    await body(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The WeftError, or whatever else, that `body` ends with; fails where it ends well. */
export async function failureOf(body: () => unknown): Promise<unknown> {
  try {
    await body();
  } catch (reason) {
    return reason;
  }
  throw new Error("it was expected to fail, and did not");
}
