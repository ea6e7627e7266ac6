/** One bash for the whole page, as its reader has: directories, variables and background jobs stay from command to command. */
import { randomUUID } from "node:crypto";
import { descendantsOf } from "../../scripts/lib/lab/processes.ts";

export interface Shell extends AsyncDisposable {
  /** What a command prints on stdout and stderr, without the last line ends. @throws Error where it does not end in time */
  run(command: string): Promise<string>;
}

const COMMAND_LIMIT_MS = 30_000;
/** Envoy drains before it ends, for longer than anybody has to wait here. */
const END_LIMIT_MS = 2_000;

export function startShell(options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> }): Shell {
  const bash = Bun.spawn(["bash", "--noprofile", "--norc"], { ...options, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  const reader = bash.stdout.getReader();
  const decoder = new TextDecoder();
  let pending = "";

  const readTo = async (mark: string, command: string): Promise<string> => {
    const late = setTimeout(() => void reader.cancel(), COMMAND_LIMIT_MS);
    try {
      while (!pending.includes(mark)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`no end of: ${command}\n${pending}`);
        pending += decoder.decode(value, { stream: true });
      }
    } finally {
      clearTimeout(late);
    }
    const at = pending.indexOf(mark);
    const output = pending.slice(0, at);
    pending = pending.slice(at + mark.length).replace(/^\n/, "");
    return output.replace(/\n+$/, "");
  };

  const run = (command: string) => {
    const mark = `end-${randomUUID()}`;
    bash.stdin.write(`{\n${command}\n} </dev/null 2>&1\nprintf '%s\\n' ${mark}\n`);
    bash.stdin.flush();
    return readTo(mark, command);
  };

  return {
    run,
    async [Symbol.asyncDispose]() {
      // Whatever the page left behind, by its id: in time, then by force. The ids are taken now: orphans are nobody's descendants.
      const left = descendantsOf(bash.pid);
      for (const pid of left) signal(pid, "SIGTERM");
      bash.stdin.write("wait\n");
      bash.stdin.end();
      const killed = setTimeout(() => {
        for (const pid of [bash.pid, ...left]) signal(pid, "SIGKILL");
      }, END_LIMIT_MS);
      await bash.exited;
      clearTimeout(killed);
    },
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended
  }
}
