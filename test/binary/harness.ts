/** The compiled weft as its user has it: a process with a data directory of its own, asked over its sockets and by its own command line. */
import { afterAll, expect, setDefaultTimeout } from "bun:test";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";

export { waitFor };

/** The executable under test; a path relative to the checkout would not survive a change of directory. */
export const WEFT = process.env.WEFT_BINARY ?? join(import.meta.dir, "../../dist/weft");
if (!existsSync(WEFT)) throw new Error(`${WEFT} is missing: run scripts/build`);

/** A busy machine takes its time. */
const TEST_LIMIT_MS = 30_000;

/** To be called once in each test file: hooks and limits hold for one file only. Ends what the file started, and removes its directories. */
export function useBinary(): void {
  setDefaultTimeout(TEST_LIMIT_MS);
  afterAll(async () => {
    for (const child of started) child.kill("SIGTERM");
    await Promise.all([...started].map((child) => child.exited));
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
  });
}

/** Long enough for a busy machine; a test that passes never waits for it. */
const START_LIMIT_MS = 20_000;
const CALL_LIMIT_MS = 15_000;

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  /** The body, where it is JSON; else undefined. */
  // biome-ignore lint/suspicious/noExplicitAny: the tests name what they expect, and fail where it is not there
  readonly json: any;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** The whole environment; default: this process's without WEFT_* and OTEL_*. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly binary?: string;
  /** Words before the executable: setpriv, nsenter, ... */
  readonly prefix?: readonly string[];
}

/** Runs one command line to its end. Never rejects: the code tells (128 + N where signal N ended it). */
export async function run(args: readonly string[], { input, env, cwd, binary = WEFT, prefix = [] }: RunOptions = {}): Promise<Outcome> {
  const child = Bun.spawn([...prefix, binary, ...args], {
    env: env ?? ownEnvironment(),
    cwd,
    stdin: input === undefined ? "ignore" : new Blob([new Uint8Array(Buffer.from(input))]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 25_000,
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

/** Never the machine's own configuration file. */
const ownEnvironment = () => ({ ...cleanEnvironment(), WEFT_CONFIG: "/dev/null" });

export interface Weft extends AsyncDisposable {
  readonly data: string;
  readonly pid: number;
  readonly exited: Promise<number>;
  /** DATA/listening.json */
  readonly listening: {
    readonly pid: number;
    readonly ads: string;
    readonly ads_socket: string;
    readonly admin: string;
    readonly admin_socket: string;
  };
  /** What it printed, until now. */
  stdout(): string;
  stderr(): string;
  /** The admin API over its Unix socket. */
  ask(method: string, path: string, body?: string | Uint8Array, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** The admin API over TCP, without a token unless `headers` has one. */
  askTcp(method: string, path: string, body?: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** `weft ARGS --data DATA` */
  cli(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** POST /v1/apply, which must succeed. */
  // biome-ignore lint/suspicious/noExplicitAny: as Answer.json
  apply(yaml: string): Promise<any>;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, then its exit code. */
  stop(): Promise<number>;
}

export interface StartOptions extends RunOptions {
  /** Default: a new directory, gone after the file's tests. */
  readonly data?: string;
  /** The data directory as this process sees it, where that differs. */
  readonly seen?: string;
  readonly args?: readonly string[];
  /** Default: 127.0.0.1, at a port that the system chooses. */
  readonly ads?: string;
  readonly admin?: string;
}

const ANYWHERE = "127.0.0.1:0";
const started = new Set<{ kill(signal: NodeJS.Signals): void; readonly exited: Promise<number> }>();
const directories: string[] = [];

/** Starts `weft run`, and waits until it is ready. @throws Error with its words where it ends instead */
export async function startWeft(options: StartOptions = {}): Promise<Weft> {
  const {
    data = join(newDirectory(), "data"),
    seen = data,
    env,
    cwd,
    binary = WEFT,
    prefix = [],
    args = [],
    ads = ANYWHERE,
    admin = ANYWHERE,
  } = options;
  const logs = newDirectory();
  const [outFile, errFile] = [join(logs, "out"), join(logs, "err")];
  const [out, err] = [openSync(outFile, "a"), openSync(errFile, "a")];
  const child = Bun.spawn([...prefix, binary, "run", "--data", data, "--ads", ads, "--admin", admin, ...args], {
    env: env ?? ownEnvironment(),
    cwd,
    stdin: "ignore",
    stdout: out,
    stderr: err,
  });
  started.add(child);
  void child.exited.then(() => started.delete(child));
  closeSync(out);
  closeSync(err);
  const running = () => child.exitCode === null && child.signalCode === null;
  const ask: Weft["ask"] = (method, path, body, headers = {}) =>
    call(`http://weft${path}`, { method, headers, unix: join(seen, "admin.sock"), ...(body === undefined ? {} : { body }) });
  await waitFor(
    "weft to be ready",
    async () => (running() ? (await ask("GET", "/readyz")).status : -1),
    (status) => status === 200 || status === -1,
    { limitMs: START_LIMIT_MS, everyMs: 10 },
  );
  if (!running()) throw new Error(`weft ended, code ${await child.exited}:\n${readFileSync(errFile, "utf8")}`);
  const stop = async () => {
    if (running()) child.kill("SIGTERM");
    return await child.exited;
  };
  const weft: Weft = {
    data,
    pid: child.pid,
    exited: child.exited,
    listening: JSON.parse(readFileSync(join(seen, "listening.json"), "utf8")),
    stdout: () => readFileSync(outFile, "utf8"),
    stderr: () => readFileSync(errFile, "utf8"),
    ask,
    askTcp: (method, path, body, headers = {}) =>
      call(`http://${weft.listening.admin}${path}`, { method, headers, ...(body === undefined ? {} : { body }) }),
    cli: (words, more) => {
      // What follows -- is not weft's.
      const at = words.indexOf("--");
      const [own, rest] = at < 0 ? [words, []] : [words.slice(0, at), words.slice(at)];
      return run([...own, "--data", data, ...rest], more);
    },
    async apply(yaml) {
      const answer = await ask("POST", "/v1/apply", yaml);
      if (answer.status !== 200) throw new Error(`apply: ${answer.status} ${answer.text}`);
      return answer.json;
    },
    signal: (signal) => child.kill(signal),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
  return weft;
}

async function call(url: string, init: BunFetchRequestInit & { unix?: string }): Promise<Answer> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(CALL_LIMIT_MS) });
  const text = await response.text();
  const isJson = /^application\/(.+\+)?json/.test(response.headers.get("content-type") ?? "");
  return { status: response.status, text, headers: response.headers, json: isJson ? JSON.parse(text) : undefined };
}

/** Health is found out at most four times a second: a new state shows a moment later. */
export function untilStatus(weft: Weft, path: string, status: number): Promise<Answer> {
  return waitFor(
    `${path} to answer ${status}`,
    () => weft.ask("GET", path),
    (answer) => answer.status === status,
    { limitMs: 8_000 },
  );
}

/** A new directory, gone after the file's tests. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "weft-bin-"));
  directories.push(directory);
  return directory;
}

/** Refused with exit 2: the words on stderr, which must name `parts`. */
export function expectRefusal(outcome: Outcome, ...parts: (string | RegExp)[]): void {
  for (const part of parts) expect(outcome.err).toMatch(part instanceof RegExp ? part : new RegExp(escapeRegExp(part)));
  expect(outcome).toMatchObject({ code: 2, out: "" });
}

const escapeRegExp = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

export const SERVICE = (name: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: ${name}}}
`;

export const WORKLOAD = (name: string, app = name) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, labels: {app: ${app}}}
spec: {address: 127.10.0.1, labels: {app: ${app}}, serviceAccount: ${app}, ports: {http: 8080}}
`;

export const MTLS = (mode: string, name = "default") => `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ${name}}
spec:
  mtls: {mode: ${mode}}
`;

export const documents = (...texts: string[]) => texts.join("---\n");
