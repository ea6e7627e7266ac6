/** The programs that referee the Workload API, run as any program of the machine is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pythonPlace } from "../workload-api/processes.ts";

const ROOT = join(import.meta.dir, "../..");

export interface RefereeClient {
  readonly name: string;
  /** What the kernel will say that runs. */
  readonly executable: string;
  start(socket: string, ...args: readonly string[]): Running;
}

export type Line = Readonly<Record<string, unknown>>;

export interface Running {
  /** All lines until now. */
  readonly lines: readonly Line[];
  /** The first line, of those there are and those to come, that `is` takes. @throws Error after a minute, with what there was */
  find(what: string, is: (line: Line) => boolean): Promise<Line>;
  /** Ends its input, and waits for its end. @throws Error where it fails */
  end(): Promise<readonly Line[]>;
  kill(): Promise<void>;
}

/** Undefined where they cannot be built here: with the reason on stderr. @throws Error with CI=true, where they can */
export function installClients(): { readonly go: RefereeClient; readonly python: RefereeClient } | undefined {
  const { exitCode, stdout, stderr } = Bun.spawnSync([join(ROOT, "scripts/lib/install-spiffe-clients")]);
  if (exitCode !== 0 && process.env.CI === "true") throw new Error(stderr.toString());
  if (exitCode !== 0) return void console.error(stderr.toString());
  const [program = "", packages = ""] = stdout.toString().trim().split("\n");
  const { executable } = pythonPlace();
  const referee = join(ROOT, "test/spiffe-python/referee.py");
  return {
    go: { name: "go-spiffe", executable: program, start: (socket, ...args) => run([program, ...args], socket) },
    python: {
      name: "spiffe for Python",
      executable,
      start: (socket, ...args) => run([executable, referee, ...args], socket, { PYTHONPATH: packages }),
    },
  };
}

const PATIENCE_MS = 60_000;

function run(command: readonly string[], socket: string, env: Readonly<Record<string, string>> = {}): Running {
  const child = Bun.spawn([...command], {
    env: { ...process.env, ...env, SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines: Line[] = [];
  let news = Promise.withResolvers<void>();
  const read = (async () => {
    let text = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += part;
      const whole = text.split("\n");
      text = whole.pop() ?? "";
      for (const line of whole) lines.push(JSON.parse(line) as Line);
      news.resolve();
      news = Promise.withResolvers();
    }
  })();
  const errors = new Response(child.stderr).text();
  return {
    lines,
    async find(what, is) {
      const end = performance.now() + PATIENCE_MS;
      for (;;) {
        const found = lines.find(is);
        if (found) return found;
        if (performance.now() > end || child.exitCode !== null) {
          throw new Error(`${what} did not come; there was: ${JSON.stringify(lines)} ${child.exitCode === null ? "" : await errors}`);
        }
        await Promise.race([news.promise, Bun.sleep(1_000)]);
      }
    },
    async end() {
      child.stdin.end();
      const [code] = await Promise.all([child.exited, read]);
      if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${await errors}`);
      return lines;
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** A folder for the files of a client; `[Symbol.dispose]` removes it. */
export function folder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "weft-spiffe-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
