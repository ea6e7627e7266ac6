/** What is tried on one member after the other: how long is waited in between, and when it is given up. */
import { backoff } from "../shared/backoff.ts";
import type { EtcdClient } from "./client.ts";
import type { EtcdFailure } from "./failure.ts";

/** Where no member takes a connection. A member that is alone may be back from a restart within it. */
const NOWHERE_MS = 1_000;

export class Tries {
  readonly #client: EtcdClient;
  readonly #patienceMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #began: number;
  #failures = 0;
  /** Failures in a row that were of connections. */
  #broken = 0;
  #nowhere = false;

  constructor(client: EtcdClient, patienceMs: number, signal?: AbortSignal) {
    this.#client = client;
    this.#patienceMs = patienceMs;
    this.#signal = signal;
    this.#began = client.clock.monotonic();
  }

  /** No member can be reached: the connection of each has failed since one answered last, and there is no other for the last of them. */
  get nowhere(): boolean {
    return this.#nowhere;
  }

  get leftMs(): number {
    const patienceMs = this.#nowhere ? Math.min(NOWHERE_MS, this.#patienceMs) : this.#patienceMs;
    return patienceMs - (this.#client.clock.monotonic() - this.#began);
  }

  /** Whether to try again after this failure; waits first where all members were tried: longer each time, and no longer than is left. */
  async again(failure: EtcdFailure): Promise<boolean> {
    const { members, random, closed } = this.#client;
    this.#failures += 1;
    this.#broken = failure.broken ? this.#broken + 1 : 0;
    this.#nowhere = this.#broken > members.length || (failure.notConnected && this.#broken === members.length);
    if (failure.cure !== "member" || this.leftMs <= 0 || this.#signal?.aborted || closed.aborted) return false;
    if (this.#failures % members.length === 0) {
      await this.#client.pause(Math.min(this.leftMs, backoff(this.#failures / members.length, random)), this.#signal);
    }
    return !this.#signal?.aborted && !closed.aborted;
  }
}
