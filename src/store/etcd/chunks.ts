/**
 * Bytes that are too large for one request of etcd's (1.5 MiB): written under keys of their own, before the one transaction that makes them
 * count. Until then the set has an owner key with a lease: the transaction asks that it is still there, and whoever removes garbage
 * takes only sets without an owner. So a writer that dies leaves nothing that stays, and a slow one never counts on what was removed.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Compare_CompareTarget, type CompareSchema, type RequestOpSchema, type TxnRequestSchema } from "../../gen/etcd/rpc_pb.ts";
import type { Chunks } from "../../gen/weft/store/v1/etcd_pb.ts";
import { WeftError } from "../../lib/errors.ts";
import type { EtcdClient } from "./client.ts";
import { type Keys, range, STAGING, utf8 } from "./keys.ts";

export type TxnInit = MessageInitShape<typeof TxnRequestSchema>;
export type CompareInit = MessageInitShape<typeof CompareSchema>;
export type OpInit = MessageInitShape<typeof RequestOpSchema>;

/** What is not larger stands in the transaction itself, and reaches every watcher with it. */
export const INLINE_BYTES = 64 * 1024;
const CHUNK_BYTES = 512 * 1024;
/** A set must be written and made to count within it; after it, what a dead writer left is garbage. */
const LEASE_SECONDS = 600;
const CHUNK_DEADLINE_MS = 10_000;
/** In one request of a reader. */
const CHUNKS_A_READ = 4;

/** A set that nobody counts on yet. */
export interface Staged {
  readonly chunks: Pick<Chunks, "set" | "count" | "size">;
  /** To be asked for by the transaction that makes it count. */
  readonly stillThere: CompareInit;
  /** Ends the lease, after the set came to count: its owner key has none any more. A set that does not count never will. Fails quietly: the lease runs out. */
  release(): Promise<void>;
  /** Ends the lease and removes a set that does not count. Fails quietly: it is garbage then. */
  giveUp(): Promise<void>;
}

export class ChunkStore {
  readonly #client: EtcdClient;
  readonly #keys: Keys;

  constructor(client: EtcdClient, keys: Keys) {
    this.#client = client;
    this.#keys = keys;
  }

  /** @throws WeftError "unavailable" */
  async stage(bytes: Uint8Array): Promise<Staged> {
    const set = crypto.randomUUID();
    const client = this.#client;
    const owner = utf8(this.#keys.owner(set));
    const { ID: lease } = await client.call(({ lease }, options) => lease.leaseGrant({ TTL: BigInt(LEASE_SECONDS) }, options));
    // Only where it is not there: a try that was held up on its way must not give a set that counts by now the lease again.
    const claim: TxnInit = {
      compare: [{ target: Compare_CompareTarget.CREATE, key: owner, targetUnion: { case: "createRevision", value: 0n } }],
      success: [{ request: { case: "requestPut", value: { key: owner, value: utf8(STAGING), lease } } }],
    };
    await client.call(({ kv }, options) => kv.txn(claim, options));
    const count = Math.ceil(bytes.length / CHUNK_BYTES);
    for (let index = 0; index < count; index++) {
      const value = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      const key = utf8(this.#keys.chunk(set, index));
      await client.call(({ kv }, options) => kv.put({ key, value }, options), { deadlineMs: CHUNK_DEADLINE_MS });
    }
    const release = () => quietly(client.call(({ lease: leases }, options) => leases.leaseRevoke({ ID: lease }, options)));
    return {
      chunks: { set, count, size: BigInt(bytes.length) },
      stillThere: { target: Compare_CompareTarget.VALUE, key: owner, targetUnion: { case: "value", value: utf8(STAGING) } },
      release,
      giveUp: async () => {
        await release();
        await quietly(client.call(({ kv }, options) => kv.deleteRange(range(this.#keys.chunksOf(set)), options)));
      },
    };
  }

  /** Whether the set's lease has not run out, and it counts for nobody yet. */
  async isStaged({ chunks }: Staged): Promise<boolean> {
    const { kvs } = await this.#client.call(({ kv }, options) => kv.range({ key: utf8(this.#keys.owner(chunks.set)) }, options));
    return kvs[0] !== undefined && kvs[0].lease !== 0n;
  }

  /** Says for whom a set counts, in the transaction that makes it so. */
  owned(chunks: Staged["chunks"], by: string): OpInit {
    return putOp(this.#keys.owner(chunks.set), utf8(by));
  }

  /** @returns undefined where the set is not there any more. @throws WeftError "unavailable" */
  async read({ set, count, size }: Staged["chunks"], signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(Number(size));
    let offset = 0;
    let most = CHUNKS_A_READ;
    for (let first = 0; first < count; ) {
      let wanted = 0;
      const { kvs } = await this.#client.call(
        ({ kv }, options) => {
          // The first try of a read asks for as many as the last one got, each further try for one: perhaps the link is slow.
          wanted = Math.min(wanted === 0 ? most : 1, count - first);
          return kv.range({ key: utf8(this.#keys.chunk(set, first)), rangeEnd: utf8(this.#keys.chunk(set, first + wanted)) }, options);
        },
        { deadlineMs: CHUNK_DEADLINE_MS, signal },
      );
      if (kvs.length !== wanted) return undefined;
      most = wanted;
      first += wanted;
      for (const { value } of kvs) {
        if (offset + value.length > bytes.length) throw damaged(set);
        bytes.set(value, offset);
        offset += value.length;
      }
    }
    if (offset !== bytes.length) throw damaged(set);
    return bytes;
  }

  /** Removes the sets that count for nobody: those without an owner, and those of entries up to `trimmed`, which are gone. */
  async removeGarbage(trimmed: number): Promise<void> {
    // In this order: a set that is being written gets its owner before its chunks, so what is seen here had one, and has it still, or is garbage.
    const sets = await this.#sets();
    const owners = await this.#owners();
    for (const [set, { by, owner }] of owners) {
      const [, sequence] = /^log (\d+)$/.exec(by) ?? [];
      if (sequence !== undefined && Number(sequence) <= trimmed) {
        await this.#client.call(({ kv }, options) => kv.deleteRange({ key: owner }, options));
        owners.delete(set);
        sets.add(set);
      }
    }
    for (const set of sets) {
      if (owners.has(set)) continue;
      await this.#client.call(({ kv }, options) => kv.deleteRange(range(this.#keys.chunksOf(set)), options));
    }
  }

  async #sets(): Promise<Set<string>> {
    const sets = new Set<string>();
    for await (const { key } of listKeys(this.#client, this.#keys.chunks)) sets.add(this.#keys.setOf(key));
    return sets;
  }

  async #owners(): Promise<Map<string, { readonly by: string; readonly owner: Uint8Array }>> {
    const owners = new Map<string, { by: string; owner: Uint8Array }>();
    for await (const { key, value } of listKeys(this.#client, this.#keys.owners, true)) {
      owners.set(key.slice(this.#keys.owners.length), { by: value, owner: utf8(key) });
    }
    return owners;
  }
}

function quietly(call: Promise<unknown>): Promise<void> {
  return call.then(
    () => {},
    () => {},
  );
}

export const putOp = (key: string, value: Uint8Array): OpInit => ({ request: { case: "requestPut", value: { key: utf8(key), value } } });
export const rangeOp = (key: string): OpInit => ({ request: { case: "requestRange", value: { key: utf8(key) } } });

const KEYS_A_READ = 1_000n;

/** All keys that begin with `start`, by pages, with their values where they are asked for. */
async function* listKeys(client: EtcdClient, start: string, values = false): AsyncGenerator<{ key: string; value: string }> {
  const decoder = new TextDecoder();
  const { rangeEnd } = range(start);
  let from: Uint8Array<ArrayBuffer> = utf8(start);
  for (;;) {
    const request = { key: from, rangeEnd, limit: KEYS_A_READ, keysOnly: !values };
    const { kvs, more } = await client.call(({ kv }, options) => kv.range(request, options));
    for (const { key, value } of kvs) yield { key: decoder.decode(key), value: decoder.decode(value) };
    const last = kvs.at(-1);
    if (!more || last === undefined) return;
    from = new Uint8Array([...last.key, 0]);
  }
}

function damaged(set: string): WeftError {
  return new WeftError(
    "unavailable",
    `etcd has other bytes under chunks/${set} than were written: somebody else writes under weft's prefix`,
  );
}
