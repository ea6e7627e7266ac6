/**
 * Keeps appends that were given up from coming true later: a request may lie in a buffer on its way, or in a member that is stopped, for as long as it
 * likes. Each append asks that a key of this client's is absent; once nobody knows an append's outcome, the key is written before the log is read
 * again, and the next appends ask for another one. So what a reader is told after an unknown outcome is final.
 */

import { Compare_CompareTarget } from "../../gen/etcd/rpc_pb.ts";
import { WeftError } from "../../lib/errors.ts";
import type { CompareInit } from "./chunks.ts";
import type { EtcdClient } from "./client.ts";
import { EtcdFailure } from "./failure.ts";
import { type Keys, utf8 } from "./keys.ts";

/** A request that comes later than that does not come. */
const LEASE_SECONDS = 24 * 60 * 60;

export class Fence {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #id = crypto.randomUUID();
  #epoch = 1;
  readonly #unsettled = new Set<number>();

  constructor(client: EtcdClient, keys: Keys) {
    this.#client = client;
    this.#keys = keys;
  }

  /** Of the appends that begin now. */
  get epoch(): number {
    return this.#epoch;
  }

  /** That no fence was raised against the appends of `epoch`. */
  open(epoch: number): CompareInit & { readonly key: Uint8Array } {
    return { target: Compare_CompareTarget.CREATE, key: this.#key(epoch), targetUnion: { case: "createRevision", value: 0n } };
  }

  /** Nobody knows what became of an append of `epoch`. */
  suspect(epoch: number): void {
    this.#unsettled.add(epoch);
    this.#epoch = Math.max(this.#epoch, epoch + 1);
  }

  /** Must come before a reading of the log that is told to anybody. @throws WeftError "unavailable" */
  async settle(signal?: AbortSignal): Promise<void> {
    for (const epoch of this.#unsettled) {
      try {
        const { ID: lease } = await this.#client.call(({ lease }, options) => lease.leaseGrant({ TTL: BigInt(LEASE_SECONDS) }, options), {
          signal,
        });
        await this.#client.call(({ kv }, options) => kv.put({ key: this.#key(epoch), lease }, options), { signal });
      } catch (reason) {
        // A full etcd takes no fence, and not what it would keep out either; what can be read is read meanwhile.
        if (reason instanceof WeftError && reason.cause instanceof EtcdFailure && reason.cause.cure === "never") return;
        throw reason;
      }
      this.#unsettled.delete(epoch);
    }
  }

  #key(epoch: number): Uint8Array<ArrayBuffer> {
    return utf8(this.#keys.fence(this.#id, epoch));
  }
}
