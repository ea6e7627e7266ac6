/** The one connection of a client for its short commands, opened when it is needed and again after it ended. */
import type { Clock } from "../../lib/clock.ts";
import { Connection } from "./connection.ts";
import { ConnectionLost } from "./errors.ts";
import type { Target } from "./target.ts";

export class SharedConnection {
  readonly #target: Target;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #connection: Promise<Connection> | undefined;

  constructor(target: Target, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  /** Aborts when the client is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** @throws Refused, ConnectionLost */
  async get(): Promise<Connection> {
    const current = this.#connection;
    const connection = await current?.catch(() => undefined);
    if (connection !== undefined && !connection.closed) return connection;
    // Whoever waited for the same one shares the next.
    const next = this.#connection === current || this.#connection === undefined ? this.#open() : this.#connection;
    this.#connection = next;
    return await next;
  }

  /** One of the caller's own, for what takes long or blocks; closed when `signal` aborts. @throws Refused, ConnectionLost */
  own(signal: AbortSignal): Promise<Connection> {
    return Connection.openUntil(AbortSignal.any([signal, this.closing]), this.#target, this.#clock);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const connection = await this.#connection?.catch(() => undefined);
    connection?.close();
  }

  async #open(): Promise<Connection> {
    if (this.closing.aborted) throw new ConnectionLost(`${this.#target.name}: it was closed`, { sent: false });
    return await Connection.open(this.#target, this.#clock);
  }
}
