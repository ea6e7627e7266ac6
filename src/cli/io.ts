/** What the command line touches of the world, passed in: tests run `runCli` with their own. */
import type { Clock } from "../lib/clock.ts";
import { errnoOf } from "../lib/errors.ts";
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
  /** @throws WeftError */
  joinNode(settings: JoinSettings): Promise<Joined>;
}

/** What `weft join` asks (control/join-node.ts). */
export interface JoinSettings {
  readonly data: string;
  readonly address: string;
  readonly token: string;
  readonly node?: string;
  readonly trustDomain?: string;
}

export interface Joined {
  readonly node: string;
  readonly trustDomain: string;
  readonly authority: boolean;
  /** The authority that let it in. */
  readonly by: string;
}

/** As a shell counts a process that SIGPIPE ended: what `| head` does to the tools that users know. */
const EXIT_SIGPIPE = 141;

/** The process's own. Call it once: it listens for the end of the pipes. */
export function processIo(parts: Pick<CliIo, "clock" | "version" | "startServer" | "joinNode">): CliIo {
  process.stdout.on("error", (reason) => {
    if (errnoOf(reason) === "EPIPE") process.exit(EXIT_SIGPIPE);
  });
  // Who stops reading the log does not stop weft.
  process.stderr.on("error", () => {});
  return {
    ...parts,
    stdout: process.stdout,
    stderr: process.stderr,
    readStdin: async () => new Uint8Array(await Bun.stdin.arrayBuffer()),
    env: process.env,
    uid: process.getuid?.(),
  };
}
