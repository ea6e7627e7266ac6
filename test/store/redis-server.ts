/** Real redis-servers of a test's own, on free ports of the loopback, with their data in a directory of their own. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient } from "bun";
import { systemClock } from "../../src/lib/clock.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import type { Client, Engine } from "./log-harness.ts";

export interface RedisPrograms {
  readonly current: string;
  /** The oldest version that weft supports; it has no TLS. */
  readonly oldest: string;
}

/** Undefined where Redis cannot be had here: with the reason on stderr. @throws Error with CI=true, where it is expected */
export function installRedis(): RedisPrograms | undefined {
  const { exitCode, stdout, stderr } = Bun.spawnSync([join(import.meta.dir, "../../scripts/lib/install-redis")]);
  if (exitCode !== 0 && process.env.CI === "true") throw new Error(stderr.toString());
  if (exitCode !== 0) return void console.error(`SKIPPED the tests with a real Redis: ${stderr.toString()}`);
  const [current = "", oldest = ""] = stdout.toString().trim().split("\n");
  return { current, oldest };
}

/** As weft would have it: every write is on the disk before it is acknowledged. */
export const DURABLE = { appendonly: "yes", appendfsync: "always", save: "" } as const;
const READY_WITHIN_MS = 15_000;

export type RedisConfig = Readonly<Record<string, string>>;

export class RedisServer {
  readonly port: number;
  readonly #program: string;
  readonly #directory: string;
  #config: RedisConfig;
  #process: Bun.Subprocess | undefined;

  private constructor(program: string, port: number, config: RedisConfig) {
    this.#program = program;
    this.port = port;
    this.#config = config;
    this.#directory = mkdtempSync(join(tmpdir(), "weft-redis-"));
  }

  /** @param config lines of redis.conf; "tls-port" in place of "port" where TLS is wanted */
  static async start(program: string, config: RedisConfig = DURABLE): Promise<RedisServer> {
    const server = new RedisServer(program, await freePort(), config);
    await server.start();
    return server;
  }

  get directory(): string {
    return this.#directory;
  }

  /** With the data that it had. */
  async start(config: RedisConfig = this.#config): Promise<void> {
    this.#config = config;
    const lines: Record<string, string> = { port: `${this.port}`, bind: "127.0.0.1", dir: this.#directory, daemonize: "no", ...config };
    if (config["tls-port"] !== undefined) Object.assign(lines, { port: "0", "tls-port": `${this.port}` });
    const args = Object.entries(lines).flatMap(([name, value]) => [`--${name}`, ...(value === "" ? [""] : value.split(" "))]);
    const child = Bun.spawn([this.#program, ...args], { stdout: "pipe", stderr: "pipe", stdin: "ignore" });
    this.#process = child;
    let said = "";
    const heard = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        said += decoder.decode(chunk, { stream: true });
        if (/Ready to accept connections/.test(said)) return;
      }
      throw new Error(`redis-server ended: ${said}`);
    })();
    await Promise.race([heard, Bun.sleep(READY_WITHIN_MS).then(() => Promise.reject(new Error(`redis-server is not ready: ${said}`)))]);
  }

  /** "redis://127.0.0.1:PORT/0?..." */
  url(parameters: Readonly<Record<string, string>> = {}, login = ""): string {
    const scheme = this.#config["tls-port"] === undefined ? "redis" : "rediss";
    return `${scheme}://${login === "" ? "" : `${login}@`}127.0.0.1:${this.port}/0?${new URLSearchParams(parameters)}`;
  }

  /** One command as the operator gives it, over a connection of its own. */
  async command(...[name = "", ...args]: readonly string[]): Promise<unknown> {
    const client = new RedisClient(`redis://127.0.0.1:${this.port}`, { autoReconnect: false });
    try {
      return await client.send(name, args);
    } finally {
      client.close();
    }
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#process?.kill(signal);
  }

  /** With no word of farewell. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
    this.#process = undefined;
  }

  /** What it had on its disk is gone. */
  async killAndForget(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
    await Bun.$`mkdir -p ${this.#directory}`.quiet();
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A log on `server`, of its own where no prefix is given. */
export async function openLogOn(server: RedisServer, { prefix = `test-${crypto.randomUUID()}` } = {}): Promise<Engine> {
  const url = server.url({ prefix });
  const clients: Client[] = [];
  const another = async () => {
    const client = await openRedis(url, { clock: systemClock });
    clients.push(client);
    return client;
  };
  const first = await another();
  return {
    ...first,
    another,
    async dispose() {
      for (const { log } of clients) await log.close();
    },
  };
}

export function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.on("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    server.close(() => resolve(port));
  });
  return promise;
}
