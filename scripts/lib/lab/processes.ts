/** Starts processes with a log file each, and ends them by their ids: these and their children, nothing else. */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, systemClock } from "../../../src/lib/clock.ts";

export interface StartedProcess {
  readonly name: string;
  readonly pid: number;
  /** Path of the file that takes its stdout and stderr. */
  readonly log: string;
  /** Its exit code; 128 + N where signal N ended it. */
  readonly exited: Promise<number>;
  running(): boolean;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM; after `limitMs` SIGKILL for it and all its descendants. Resolves when it is gone. */
  stop(limitMs?: number): Promise<void>;
  /** SIGKILL for it and all its descendants. */
  kill(): Promise<void>;
  /** The last lines of its log. */
  tail(lines?: number): string;
}

export interface Processes {
  readonly logDirectory: string;
  start(name: string, command: readonly string[], options?: { readonly env?: Readonly<Record<string, string>> }): StartedProcess;
  /** Those that still run. */
  running(): readonly StartedProcess[];
  /** Ends all that still run; `limitMs` 0 means SIGKILL at once. Never rejects. */
  stopAll(limitMs: number): Promise<void>;
}

const DEFAULT_STOP_LIMIT_MS = 10_000;

/**
 * Also when this process exits without stopAll (a crash, process.exit), what it started is killed; but not under `bun test`, which runs no
 * exit hooks: tests call stopAll in afterAll or afterEach. Their temporary files go to a folder beside the logs: a process that is killed
 * cannot remove its own.
 */
export function openProcesses(logDirectory: string): Processes {
  const temporary = join(logDirectory, "tmp");
  mkdirSync(temporary, { recursive: true, mode: 0o700 });
  const all = new Set<StartedProcess>();
  const killAllNow = () => {
    for (const one of all) if (one.running()) killTree(one.pid);
  };
  process.on("exit", killAllNow);
  return {
    logDirectory,
    start(name, command, { env = {} } = {}) {
      const started = startProcess(name, command, join(logDirectory, `${name}.log`), { TMPDIR: temporary, ...env });
      all.add(started);
      return started;
    },
    running: () => [...all].filter((one) => one.running()),
    async stopAll(limitMs) {
      await Promise.all([...all].filter((one) => one.running()).map((one) => (limitMs > 0 ? one.stop(limitMs) : one.kill())));
      process.off("exit", killAllNow);
    },
  };
}

function startProcess(name: string, command: readonly string[], log: string, env: Readonly<Record<string, string>>): StartedProcess {
  const fd = openSync(log, "a", 0o600);
  const child = Bun.spawn([...command], { env: { ...cleanEnvironment(), ...env }, stdin: "ignore", stdout: fd, stderr: fd });
  closeSync(fd);
  const running = () => child.exitCode === null && child.signalCode === null;
  const kill = async () => {
    if (running()) killTree(child.pid);
    await child.exited;
  };
  return {
    name,
    pid: child.pid,
    log,
    exited: child.exited,
    running,
    signal: (signal) => child.kill(signal),
    async stop(limitMs = DEFAULT_STOP_LIMIT_MS) {
      if (!running()) return;
      child.kill("SIGTERM");
      await Promise.race([child.exited, sleep(systemClock, limitMs)]);
      await kill();
    },
    kill,
    tail: (lines = 20) => tailOf(log, lines),
  };
}

/** This process's environment without WEFT_* and OTEL_*: a run depends on its flags only. */
export function cleanEnvironment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(WEFT|OTEL)_/.test(key)) env[key] = value;
  }
  return env;
}

export function tailOf(file: string, lines: number): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "(no log)";
  }
}

/** The process ids of all descendants of `pid`, parents first. Empty where there is no /proc. */
export function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readProc()) {
    const parent = parentOf(entry);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), entry]);
  }
  const found: number[] = [];
  const queue = [...(children.get(pid) ?? [])];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    found.push(next);
    queue.push(...(children.get(next) ?? []));
  }
  return found;
}

function readProc(): number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

/** Field 4 of /proc/PID/stat; the name in field 2 may hold spaces and brackets. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // it has just ended
  }
}

function killTree(pid: number): void {
  for (const one of [pid, ...descendantsOf(pid)]) {
    try {
      process.kill(one, "SIGKILL");
    } catch {
      // it has just ended
    }
  }
}
