import { afterAll } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type CliIo, type RunSettings, runCli } from "../../src/cli/index.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly clock?: Clock;
  readonly startServer?: (settings: RunSettings, reload: () => Promise<RunSettings>) => Promise<number>;
  readonly joinNode?: CliIo["joinNode"];
}

/** Runs one command line as a shell would, with its own output and environment. */
export async function weft(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  let out = "";
  let err = "";
  const io: CliIo = {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    readStdin: async () => new TextEncoder().encode(options.stdin ?? ""),
    // Never the machine's own configuration file.
    env: { WEFT_CONFIG: "/dev/null", ...options.env },
    uid: options.uid ?? 1000,
    clock: options.clock ?? systemClock,
    version: "1.2.3",
    startServer: options.startServer ?? (() => Promise.reject(new Error("this test starts no server"))),
    joinNode: options.joinNode ?? (() => Promise.reject(new Error("this test joins no mesh"))),
  };
  return { code: await runCli(argv, io), out, err };
}

const directories: string[] = [];

/** To be called once in each test file that makes files: a hook of this module's would hold for the first file only that imports it. */
export function useFiles(): void {
  afterAll(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  });
}

/** Writes files below a new directory, gone after the file's tests, and returns its path. */
export function files(contents: Readonly<Record<string, string | Uint8Array>>): string {
  const directory = mkdtempSync(join(tmpdir(), "weft-cli-"));
  directories.push(directory);
  for (const [name, content] of Object.entries(contents)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  return directory;
}
