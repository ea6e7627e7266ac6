import { expect, test } from "bun:test";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "../../src/lib/errors.ts";
import { lockDirectory } from "../../src/lib/lock.ts";
import { startChild, temporaryDirectories } from "../store/temporary.ts";

const temporary = temporaryDirectories();

async function refusal(directory: string): Promise<WeftError> {
  try {
    (await lockDirectory(directory))();
  } catch (reason) {
    if (reason instanceof WeftError) return reason;
    throw reason;
  }
  throw new Error(`${directory} was locked, but should not have been`);
}

test("a directory that another process holds is refused, naming the directory and the process, until that process is killed", async () => {
  const directory = temporary();
  const { child, lines } = startChild("hold-lock", directory);
  expect((await lines.next()).value).toBe("locked");
  const refused = await refusal(directory);
  expect(refused.code).toBe("conflict");
  expect(refused.message).toContain(directory);
  expect(refused.message).toContain(`process ${child.pid}`);
  child.kill("SIGKILL");
  await child.exited;
  // weft.pid is left behind; the lock is not.
  expect(existsSync(join(directory, "weft.pid"))).toBe(true);
  (await lockDirectory(directory))();
});

test("a lock that is held keeps others out, also after a failed try in the same process, until it is released", async () => {
  const directory = join(temporary(), "made", "here");
  const release = await lockDirectory(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, "lock.db")).mode & 0o777).toBe(0o600);
  expect((await refusal(directory)).message).toContain(`process ${process.pid}`);
  Bun.gc(true);
  const other = startChild("hold-lock", directory);
  expect((await other.lines.next()).value).toContain("conflict: another weft runs on");
  await other.child.exited;
  release();
  release();
  expect(existsSync(join(directory, "weft.pid"))).toBe(false);
  (await lockDirectory(directory))();
});

test("a child that outlives its parent does not keep the parent's lock", async () => {
  const directory = temporary();
  const release = await lockDirectory(directory);
  const sleeper = Bun.spawn(["sleep", "60"]);
  release();
  const other = startChild("hold-lock", directory);
  expect((await other.lines.next()).value).toBe("locked");
  for (const child of [sleeper, other.child]) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test("a path that is no directory is refused, with what to do", async () => {
  const file = join(temporary(), "file");
  writeFileSync(file, "");
  const refused = await refusal(file);
  expect(refused.code).toBe("unavailable");
  expect(refused.message).toContain(file);
  expect(refused.help).toContain("--data");
});
