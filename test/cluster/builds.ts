/** Executables of weft that run from sources: this checkout's, and the previous commit's in a directory of its own. */
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
/** What weft is made from. */
const SOURCES = ["src", "proto", "buf.gen.yaml", "buf.yaml", "package.json", "bun.lock", "tsconfig.json", "bunfig.toml"];
/** A node of a commit without it can join no mesh. */
const NEEDED = "src/cli/join.ts";
/** Commits back are looked at, newest first. */
const MOST_COMMITS = 100;

/**
 * The commit before HEAD; the newest before it that knows nodes, or HEAD itself, where that one does not.
 * @returns undefined where the checkout has no history to look into: why is on stderr
 */
export function previousCommit(what: string): string | undefined {
  const head = git(["rev-parse", "HEAD"]);
  if (head === undefined) return void console.error(`SKIPPED ${what}: ${ROOT} is no git checkout`);
  if (git(["rev-parse", "--verify", "--quiet", "HEAD~1^{commit}"]) === undefined) {
    return void console.error(`SKIPPED ${what}: the clone has no commit before HEAD (git fetch --unshallow)`);
  }
  const before = (git(["rev-list", `--max-count=${MOST_COMMITS}`, "HEAD"]) ?? "").split("\n").slice(1);
  const candidates = [git(["rev-parse", "HEAD~1"]) ?? "", ...before, head];
  const found = candidates.find((commit) => git(["cat-file", "-e", `${commit}:${NEEDED}`]) !== undefined);
  if (found === undefined) throw new Error(`no commit has ${NEEDED}`);
  return found;
}

/** An executable in `directory`, which exists, that runs this checkout. */
export function presentWeft(directory: string): string {
  return executable(directory, "present", ROOT);
}

/**
 * The same of `commit`, from its own sources, with its own dependencies and generated code where they differ from this checkout's.
 * @throws Error where it cannot be made
 */
export function weftOf(commit: string, directory: string): string {
  const sources = join(directory, commit);
  mkdirSync(sources);
  const archive = `${sources}.tar`;
  run(["git", "-C", ROOT, "archive", "--format=tar", `--output=${archive}`, commit, "--", ...SOURCES], ROOT);
  run(["tar", "-xf", archive, "-C", sources], ROOT);
  const same = (...files: readonly string[]) =>
    Bun.spawnSync(["git", "-C", ROOT, "diff", "--quiet", commit, "--", ...files]).exitCode === 0;
  if (same("bun.lock")) symlinkSync(join(ROOT, "node_modules"), join(sources, "node_modules"));
  else run([process.execPath, "install", "--frozen-lockfile", "--ignore-scripts"], sources);
  if (same("bun.lock", "proto", "buf.gen.yaml", "buf.yaml")) symlinkSync(join(ROOT, "src/gen"), join(sources, "src/gen"));
  else run([join(sources, "node_modules/.bin/buf"), "generate"], sources);
  return executable(directory, commit, sources);
}

function executable(directory: string, name: string, sources: string): string {
  const main = join(sources, "src/main.ts");
  if (!existsSync(main)) throw new Error(`${main} does not exist`);
  const path = join(directory, `weft-${name}`);
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

function git(args: readonly string[]): string | undefined {
  const { exitCode, stdout } = Bun.spawnSync(["git", "-C", ROOT, ...args], { stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim() : undefined;
}

function run(command: readonly string[], cwd: string): void {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} said (exit ${exitCode}): ${stdout}${stderr}`);
}
