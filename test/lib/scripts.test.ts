import { expect, test } from "bun:test";
import { join } from "node:path";
import { ATTACKS } from "../../scripts/lib/abuse/attacks/index.ts";

const COMMON = join(import.meta.dir, "../../scripts/lib/common.sh");

function said(words: string[], env: Record<string, string> = {}): string {
  const shell = Bun.spawnSync([...words, "bash", "-c", `. ${COMMON}; say done`], { env: { PATH: process.env.PATH ?? "", ...env } });
  return shell.stderr.toString() + shell.stdout.toString();
}

test("The scripts' messages have no colour codes where stderr is no terminal.", () => {
  expect(said([])).toBe("==> done\n");
});

/** Python's pty gives a program a terminal of its own. */
const TERMINAL = ["python3", "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"];

test("On a terminal the scripts' messages are coloured, unless NO_COLOR is set.", () => {
  expect(said(TERMINAL)).toContain("\u001b[2m==>\u001b[0m done");
  expect(said(TERMINAL, { NO_COLOR: "1" }).trim()).toBe("==> done");
});

test("scripts/abuse --list names the attacks without building anything.", () => {
  const root = join(import.meta.dir, "../..");
  const env = { ...process.env, WEFT_BINARY: "", WEFT_ENVOY: "" };
  const shell = Bun.spawnSync([join(root, "scripts/abuse"), "--list"], { env });
  const listed = shell.stdout.toString().trimEnd().split("\n");
  expect(listed.map((line) => line.slice(10))).toEqual(ATTACKS.map(({ name }) => name));
  expect(shell.stderr.toString()).not.toContain("build");
});
