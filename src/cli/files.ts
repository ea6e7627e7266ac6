/** -f FILE|DIR|-: what the user names, read; files are named in problems as the user named them. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { CliIo } from "./io.ts";
import { UsageError } from "./verb.ts";

export interface FileBytes {
  /** As the user named it; "<stdin>" for "-". */
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface FileFlags {
  readonly file: readonly string[];
}

/** The flag -f, which may be given several times. */
export const fileFlag = {
  kind: "parsed",
  parse: (input: string) => input,
  variadic: true,
  brief:
    "File, directory (its .yaml, .yml and .json; with subdirectories, but for hidden ones and weft's data) or - for stdin; may be repeated",
  placeholder: "FILE|DIR|-",
} as const;

/** What each data directory of weft's has, from its first start on (lib/lock.ts). */
const LOCK_FILE = "lock.db";
const RESOURCE_FILE = /\.(ya?ml|json)$/i;
/** Policy tests, which lie beside the resources that they test. */
export const TEST_FILE = /\.test\.(ya?ml|json)$/i;
const isResourceFile = (name: string) => RESOURCE_FILE.test(name) && !TEST_FILE.test(name);

/** In the order of the names given; a directory's files sorted by path. @throws UsageError where one is missing or empty. */
export async function readInputs(io: CliIo, names: readonly string[]): Promise<readonly FileBytes[]> {
  const files: FileBytes[] = [];
  let stdin = false;
  for (const name of names) {
    if (name === "-") {
      if (stdin) throw new UsageError("-f - is given twice, but there is one stdin");
      stdin = true;
      files.push({ file: "<stdin>", bytes: await io.readStdin() });
      continue;
    }
    for (const file of await pathsOf(name)) files.push({ file, bytes: await read(file, () => readFile(file)) });
  }
  return files;
}

/** The file, or those of the directory that are wanted (resources, but no tests), sorted. @throws UsageError */
export async function pathsOf(name: string, isWanted: (name: string) => boolean = isResourceFile): Promise<readonly string[]> {
  const kind = await read(name, () => stat(name));
  if (!kind.isDirectory()) return [name];
  const paths = await filesIn(name, isWanted);
  if (paths.length === 0)
    throw new UsageError(`${name} holds no ${isWanted === isResourceFile ? ".yaml, .yml or .json file" : "*.test.yaml"}`);
  return paths.sort();
}

/** Without what is no user's YAML: hidden directories (.git, .venv), and weft's data directories. */
async function filesIn(directory: string, isWanted: (name: string) => boolean): Promise<string[]> {
  const entries = await read(directory, () => readdir(directory, { withFileTypes: true }));
  if (entries.some((entry) => entry.name === LOCK_FILE)) return [];
  const inner = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith("."));
  const own = entries.filter((entry) => !entry.isDirectory() && isWanted(entry.name));
  const deeper = await Promise.all(inner.map((entry) => filesIn(join(directory, entry.name), isWanted)));
  return [...own.map((entry) => join(directory, entry.name)), ...deeper.flat()];
}

/** @throws UsageError in place of the file system's own error */
export async function read<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (reason) {
    const code = errnoOf(reason);
    if (code === "ENOENT") throw new UsageError(`There is no file ${name}`);
    if (code === "EACCES") throw new UsageError(`${name} may not be read by this user`);
    throw new UsageError(`${name} cannot be read: ${WeftError.from(reason).message}`);
  }
}
