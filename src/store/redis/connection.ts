/**
 * One connection to Redis: Bun's client, without its own reconnecting. That would send what was asked meanwhile to whichever server it finds next, and tells
 * nobody which answers were lost; here a connection that ended stays so, and each command says whether it may have been carried out.
 */
import { RedisClient } from "bun";
import type { Clock } from "../../lib/clock.ts";
import { ConnectionLost, Refused } from "./errors.ts";
import { reasonOf, silence } from "./reason.ts";
import { type Script, shaOf } from "./scripts.ts";
import type { Target } from "./target.ts";

const CONNECT_MS = 2_000;
/** Longer than any command takes of a server in order, also one that syncs to a slow disk; the answer of one that is frozen never comes. */
const COMMAND_MS = 3_000;

/** Bun's codes for what the server said; with any other the connection is of no use any more. */
const SAID = ["ERR_REDIS_SERVER_ERROR", "ERR_REDIS_INVALID_COMMAND", "ERR_REDIS_AUTHENTICATION_FAILED", "ERR_REDIS_INVALID_DATABASE"];

export class Connection {
  readonly #client: RedisClient;
  readonly #clock: Clock;
  readonly #where: string;
  #closed = false;
  readonly #onClose: (() => void)[] = [];

  private constructor(client: RedisClient, target: Target, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    this.#where = target.name;
    client.onclose = () => this.#ended();
  }

  /** @throws Refused, ConnectionLost: in any case with the reason, which Bun's client does not tell */
  static async open(target: Target, clock: Clock): Promise<Connection> {
    const { user, password, ca, cert, key } = target.credentials();
    const login = password === undefined ? "" : `${encodeURIComponent(user ?? "")}:${encodeURIComponent(password)}@`;
    const client = new RedisClient(`${target.tls ? "rediss" : "redis"}://${login}${target.host}:${target.port}`, {
      autoReconnect: false,
      enableOfflineQueue: false,
      maxRetries: 0,
      connectionTimeout: CONNECT_MS,
      ...(target.tls
        ? { tls: { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert, key }) } }
        : {}),
    });
    const connection = new Connection(client, target, clock);
    const began = clock.monotonic();
    try {
      await connection.#within(client.connect(), CONNECT_MS + 500);
    } catch {
      connection.close();
      // Who said nothing for so long would say nothing for longer.
      throw clock.monotonic() - began < CONNECT_MS ? await reasonOf(target, clock) : silence(target);
    }
    try {
      // Left to the client, it is sent together with the first command, which is then carried out wherever that leads.
      if (target.database !== 0) await connection.send("SELECT", [target.database]);
    } catch (reason) {
      connection.close();
      throw reason;
    }
    return connection;
  }

  /** One of the caller's own, for what takes long or blocks: closed when `signal` aborts, and not waited for after that. */
  static async openUntil(signal: AbortSignal, target: Target, clock: Clock): Promise<Connection> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const give = () => reject(new ConnectionLost(`${target.name}: nobody waits for it any more`, { sent: false }));
    if (signal.aborted) give();
    signal.addEventListener("abort", give, { once: true });
    const opening = Connection.open(target, clock);
    try {
      const connection = await Promise.race([aborted, opening]);
      const close = () => connection.close();
      signal.addEventListener("abort", close, { once: true });
      connection.#onClose.push(() => signal.removeEventListener("abort", close));
      return connection;
    } catch (reason) {
      opening.then(
        (connection) => connection.close(),
        () => {},
      );
      throw reason;
    } finally {
      signal.removeEventListener("abort", give);
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws Refused, ConnectionLost; after `limitMs` without an answer the connection is closed */
  send(command: string, args: readonly (string | number)[] = [], limitMs = COMMAND_MS): Promise<unknown> {
    return this.#ask(() => this.#client.send(command, args.map(String)), limitMs);
  }

  async run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<readonly unknown[]> {
    const rest = [keys.length, ...keys, ...args];
    let answer: unknown;
    try {
      answer = await this.send("EVALSHA", [shaOf(script), ...rest]);
    } catch (reason) {
      if (!(reason instanceof Refused) || reason.word !== "NOSCRIPT") throw reason;
      answer = await this.send("EVAL", [script.text, ...rest]);
    }
    return Array.isArray(answer) ? answer : [answer];
  }

  /** Bytes: what send() answers is text, in which bytes that are no UTF-8 are lost. */
  getBytes(key: string, limitMs = COMMAND_MS): Promise<Uint8Array | null> {
    return this.#ask(() => this.#client.getBuffer(key), limitMs);
  }

  async setBytes(key: string, bytes: Uint8Array, ttlMs: number, limitMs = COMMAND_MS): Promise<void> {
    await this.#ask(() => this.#client.set(key, bytes, "PX", ttlMs), limitMs);
  }

  /** What was asked and not answered yet fails as ConnectionLost. */
  close(): void {
    this.#client.close();
    this.#ended();
  }

  async #ask<T>(ask: () => Promise<T>, limitMs: number): Promise<T> {
    if (this.#closed) throw new ConnectionLost(`${this.#where}: the connection has ended`, { sent: false });
    try {
      return await this.#within(ask(), limitMs);
    } catch (reason) {
      const code = reason instanceof Error && "code" in reason ? String(reason.code) : "";
      if (reason instanceof Error && SAID.includes(code)) throw new Refused(this.#where, reason.message);
      const ended = reason instanceof ConnectionLost ? reason : undefined;
      this.close();
      throw ended ?? new ConnectionLost(`${this.#where}: the connection ended before the answer came`, { sent: true, cause: reason });
    }
  }

  async #within<T>(answer: Promise<T>, limitMs: number): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = this.#clock.after(limitMs, () => {
      reject(new ConnectionLost(`${this.#where}: no answer within ${limitMs / 1_000} s`, { sent: true }));
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      cancel();
      answer.catch(() => {});
    }
  }

  #ended(): void {
    this.#closed = true;
    for (const listener of this.#onClose.splice(0)) listener();
  }
}
