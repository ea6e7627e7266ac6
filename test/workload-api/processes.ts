/** Processes that connect to a Unix socket and do what attackers do. Python, because it can fork and keep descriptors. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attestation, attest } from "../../src/workload-api/attest.ts";

export interface Door {
  readonly path: string;
  readonly directory: string;
  /** Of the next connection. */
  accepted(): Promise<Attestation>;
  close(): void;
}

/** A server that looks at each connection as it is accepted, and leaves it open. */
export async function openDoor(): Promise<Door> {
  const directory = mkdtempSync(join(tmpdir(), "weft-door-"));
  const path = join(directory, "x.sock");
  const sockets = new Set<Socket>();
  const waiting: ((attestation: Attestation) => void)[] = [];
  const come: Attestation[] = [];
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    const attestation = attest(socket);
    const next = waiting.shift();
    if (next) next(attestation);
    else come.push(attestation);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    directory,
    accepted: () => new Promise((resolve) => (come.length > 0 ? resolve(come.shift() as Attestation) : waiting.push(resolve))),
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface Child {
  readonly pid: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  /** Ends what it waits for. */
  say(text: string): void;
  end(): Promise<void>;
}

const PREFACE = `
import os, socket, sys, time
def dial():
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); os.set_inheritable(s.fileno(), True); return s
def say(text): print(text, flush=True)
def wait(): return sys.stdin.readline()
`;

/** The interpreter itself, and where its library is: the python3 of PATH may be a script that chooses one. */
export function pythonPlace(): { readonly executable: string; readonly home: string } {
  const { stdout } = Bun.spawnSync(["python3", "-c", "import os, sys; print(os.path.realpath(sys.executable)); print(sys.base_prefix)"]);
  const [executable = "", home = ""] = stdout.toString().trim().split("\n");
  return { executable, home };
}

/** Runs `script` with dial(), say(TEXT) and wait(). */
export function python(door: Pick<Door, "path">, script: string): Child {
  return run([pythonPlace().executable, "-c", PREFACE + script, door.path]);
}

export function run(command: readonly string[]): Child {
  const child = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const reader = child.stdout.getReader();
  let text = "";
  return {
    pid: child.pid,
    async line() {
      for (;;) {
        const end = text.indexOf("\n");
        if (end >= 0) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          return line;
        }
        const { value, done } = await reader.read();
        if (done) throw new Error(`the process ended after ${JSON.stringify(text)}`);
        text += new TextDecoder().decode(value);
      }
    },
    say(line) {
      child.stdin.write(`${line}\n`);
      child.stdin.flush();
    },
    async end() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
