/** A weft of our own, from the compiled binary: started, asked, killed and started again on the same data directory. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { formatAddress, type SocketAddress } from "./network.ts";
import { cleanEnvironment, type Processes, type StartedProcess } from "./processes.ts";
import { waitFor } from "./wait.ts";

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ApiAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** Undefined where the body is not JSON. */
  readonly json: unknown;
}

export interface Weft {
  readonly binary: string;
  readonly data: string;
  /** The one that runs now. */
  process(): StartedProcess;
  /** Starts it again, after it ended; waits until it is ready. */
  start(): Promise<void>;
  /** `weft ARGS --data DATA`. Never rejects: the code tells. */
  cli(args: readonly string[], options?: { readonly input?: string; readonly env?: Readonly<Record<string, string>> }): Promise<CliResult>;
  /** The admin API over DATA/admin.sock. Rejects where there is no answer. */
  api(
    method: string,
    path: string,
    body?: { readonly text: string; readonly type: "application/yaml" | "application/json" },
    limitMs?: number,
  ): Promise<ApiAnswer>;
  /** Applies YAML, named `file` in problems and provenance, and waits until every proxy has answered. @throws Error with weft's words */
  apply(yaml: string, file?: string): Promise<void>;
  /** The value of a Prometheus counter or gauge, summed over its label sets that hold all of `labels`. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

const READY_LIMIT_MS = 20_000;
const CALL_LIMIT_MS = 15_000;

export interface WeftOptions {
  readonly binary: string;
  readonly data: string;
  readonly processes: Processes;
  readonly env?: Readonly<Record<string, string>>;
  /** What starts it, before --data, --ads and --admin; default `binary run`. */
  readonly runCommand?: readonly string[];
  /** Where it serves ADS, default a port that the system chooses; a weft that is to be started again needs one that stays. */
  readonly ads?: SocketAddress;
  /** What its process and its log are called, where there are several: default "weft". */
  readonly name?: string;
  /** Further flags of weft run. */
  readonly flags?: readonly string[];
}

export async function startWeft({
  binary,
  data,
  processes,
  env = {},
  runCommand = [binary, "run"],
  ads = { address: "127.0.0.1", port: 0 },
  name = "weft",
  flags: more = [],
}: WeftOptions): Promise<Weft> {
  let current: StartedProcess;
  const start = async () => {
    rmSync(join(data, "listening.json"), { force: true });
    const flags = ["--data", data, "--ads", formatAddress(ads), "--admin", "127.0.0.1:0", ...more];
    current = processes.start(name, [...runCommand, ...flags], { env });
    await waitFor(
      "weft to be ready",
      async () => (current.running() ? (await api("GET", "/readyz")).status : -1),
      (status) => status === 200 || status === -1,
      { limitMs: READY_LIMIT_MS },
    ).catch((reason) => {
      throw new Error(`${reason}\n${current.tail()}\n(log: ${current.log})`);
    });
    if (!current.running()) throw new Error(`weft ended at once, code ${await current.exited}:\n${current.tail()}\n(log: ${current.log})`);
  };

  const api: Weft["api"] = async (method, path, body, limitMs = CALL_LIMIT_MS) => {
    const response = await fetch(`http://weft${path}`, {
      method,
      unix: join(data, "admin.sock"),
      body: body?.text,
      headers: body ? { "content-type": body.type } : {},
      signal: AbortSignal.timeout(limitMs),
    });
    const text = await response.text();
    return { status: response.status, headers: Object.fromEntries(response.headers), text, json: parseJson(text) };
  };

  const cli: Weft["cli"] = async (args, options = {}) => {
    const [verb = "", ...rest] = args;
    const child = Bun.spawn([binary, verb, ...rest, "--data", data], {
      env: { ...cleanEnvironment(), ...options.env },
      stdin: options.input === undefined ? "ignore" : new Blob([options.input]),
      stdout: "pipe",
      stderr: "pipe",
      timeout: 60_000,
    });
    const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { code, stdout, stderr };
  };

  await start();
  return {
    binary,
    data,
    process: () => current,
    start,
    cli,
    api,
    async apply(yaml, file = "-") {
      const result = await cli(["apply", "-f", file, "--wait", "20s"], file === "-" ? { input: yaml } : {});
      if (result.code !== 0) throw new Error(`weft apply said (exit ${result.code}):\n${result.stdout}${result.stderr}\n--- of\n${yaml}`);
    },
    async metric(name, labels = {}) {
      const { text } = await api("GET", "/metrics");
      const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      return text
        .split("\n")
        .filter((line) => new RegExp(`^${name}(\\{| )`).test(line) && wanted.every((label) => line.includes(label)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
