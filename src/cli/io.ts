/** What the command line touches of the world, passed in: tests run `runCli` with their own. */
import type { Clock } from "../lib/clock.ts";
import type { RunSettings } from "./config.ts";

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface CliIo {
  readonly stdout: Output;
  readonly stderr: Output;
  readStdin(): Promise<Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** undefined on systems without user ids. */
  readonly uid: number | undefined;
  readonly clock: Clock;
  readonly version: string;
  /**
   * Runs the control plane until it is told to end; resolves to the exit code. `reload` reads the configuration file again (SIGHUP) and
   * throws WeftError where it has become wrong.
   */
  startServer(settings: RunSettings, reload: () => Promise<RunSettings>): Promise<number>;
}

/** The process's own. */
export function processIo(parts: Pick<CliIo, "clock" | "version" | "startServer">): CliIo {
  return {
    ...parts,
    stdout: process.stdout,
    stderr: process.stderr,
    readStdin: async () => new Uint8Array(await Bun.stdin.arrayBuffer()),
    env: process.env,
    uid: process.getuid?.(),
  };
}
