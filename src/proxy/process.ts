/** One run of Envoy, and the watcher that ends it should weft be killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { errnoOf, WeftError } from "../lib/errors.ts";

/** How a run ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface EnvoyProcess {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Does nothing once it has ended. */
  kill(signal: NodeJS.Signals): void;
}

export interface Output {
  /** File descriptors, or weft's own. */
  readonly stdout: number | "inherit";
  readonly stderr: number | "inherit";
}

/**
 * Waits until its standard input ends. A line on it says that Envoy ended first; an end without one, that weft is dead, by whatever cause: the
 * kernel closes a dead process's pipes, so this needs no luck and works after kill -9. prctl(PR_SET_PDEATHSIG) would do on Linux alone, and can
 * only be called between fork and exec, where a Bun program has no code. It also removes the files, because the bootstrap holds a token.
 */
const WATCHER = 'if read -r _; then exit 0; fi; kill -TERM "$1"; rm -f "$2"/bootstrap.json "$2"/token.json "$2"/admin-address; rmdir "$2"';

/**
 * Starts Envoy with `args`. Its output goes straight to `output`, not through a pipe of ours: Envoy cannot open /dev/stdout for its access
 * log where that is a socket, as Bun's and Node's pipes are, and its last words must not be lost with weft. `directory` holds its files, which go when weft is killed.
 * `environment` is added to weft's own.
 * @throws WeftError "unavailable" where it cannot be started.
 */
export async function startEnvoy(
  path: string,
  args: readonly string[],
  output: Output,
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<EnvoyProcess> {
  // A session of its own: Ctrl-C in a terminal reaches weft only, which drains; else Envoy would end at once, with its requests.
  const child = spawn(path, args, {
    detached: true,
    stdio: ["ignore", output.stdout, output.stderr],
    env: { ...process.env, ...environment },
  });
  let running = true;
  const ended = new Promise<Ended>((resolve) => {
    child.once("exit", (code, signal) => {
      running = false;
      resolve({ code, signal });
    });
  });
  const pid = await started(child, path);
  const watcher = spawn("/bin/sh", ["-c", WATCHER, "weft-watch", String(pid), directory], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // No shell, no watcher: Envoy runs all the same.
  watcher.on("error", () => {});
  watcher.stdin?.on("error", () => {});
  watcher.unref();
  void ended.then(() => watcher.stdin?.end("ended\n"));
  return {
    pid,
    ended,
    kill(signal) {
      if (running) child.kill(signal);
    },
  };
}

function started(child: ChildProcess, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (reason) => {
      const why = errnoOf(reason) ?? reason.message;
      reject(
        new WeftError("unavailable", `Envoy cannot be started: ${path}: ${why}`, {
          help: "set WEFT_ENVOY to an Envoy binary for this machine (try: $WEFT_ENVOY --version)",
          cause: reason,
        }),
      );
    });
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
}
