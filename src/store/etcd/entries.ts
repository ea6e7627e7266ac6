/** Reading the log: what is after a place, and whether the log is still the one that the place is of. */
import { fromBinary } from "@bufbuild/protobuf";
import type { ResponseOp } from "../../gen/etcd/rpc_pb.ts";
import { type EtcdEntry, EtcdEntrySchema, type EtcdSnapshot } from "../../gen/weft/store/v1/etcd_pb.ts";
import { WeftError } from "../../lib/errors.ts";
import type { LogEntry, Place } from "../shared/log.ts";
import { type ChunkStore, rangeOp } from "./chunks.ts";
import type { EtcdClient } from "./client.ts";
import type { Fence } from "./fence.ts";
import { type Keys, parseHead, utf8 } from "./keys.ts";

/** An entry as it is stored: its bytes may stand elsewhere. */
export interface Record {
  readonly place: Place;
  readonly previous: string;
  readonly content: EtcdEntry["content"];
}

export type Reading =
  | { readonly type: "lost"; readonly reason: string }
  /** What comes next; `head` is where the log ended when it was read. */
  | { readonly type: "records"; readonly records: readonly Record[]; readonly head: Place; readonly revision: bigint };

/** At most so many entries in one answer: inline, they are 2 MiB. */
const ENTRIES_A_READ = 32;
const LESS = 4;

export const samePlace = (a: Place, b: Place): boolean => a.sequence === b.sequence && a.id === b.id;

export class EntryReader {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #chunks: ChunkStore;
  readonly #fence: Fence;

  constructor(client: EtcdClient, keys: Keys, chunks: ChunkStore, fence: Fence) {
    this.#client = client;
    this.#keys = keys;
    this.#chunks = chunks;
    this.#fence = fence;
  }

  /** Head and entries as one, by quorum: what a member that was cut off would answer is never taken for the log. @throws WeftError "unavailable" */
  async after(place: Place, signal?: AbortSignal): Promise<Reading> {
    await this.#fence.settle(signal);
    const key = utf8(this.#keys.entry(place.sequence + 1));
    // After a try that came to nothing, perhaps over a slow link, less is asked for.
    let count = ENTRIES_A_READ * LESS;
    const { responses, header } = await this.#client.call(
      ({ kv }, options) => {
        count = Math.max(1, count / LESS);
        const rangeEnd = utf8(this.#keys.entry(place.sequence + 1 + count));
        return kv.txn({ success: [rangeOp(this.#keys.head), { request: { case: "requestRange", value: { key, rangeEnd } } }] }, options);
      },
      { signal },
    );
    const head = parseHead(kvsOf(responses[0])[0]?.value);
    const records = kvsOf(responses[1]).map(({ key, value }) => this.record(new TextDecoder().decode(key), value));
    const reason = parted(place, head, records[0]);
    if (reason !== undefined) return { type: "lost", reason };
    return { type: "records", records, head, revision: header?.revision ?? 0n };
  }

  record(key: string, value: Uint8Array): Record {
    try {
      const { id, previous, content } = fromBinary(EtcdEntrySchema, value);
      return { place: { sequence: this.#keys.sequenceOf(key), id }, previous, content };
    } catch (cause) {
      throw new WeftError("unavailable", `etcd's key ${key} holds no entry of weft's: somebody else writes under its prefix`, { cause });
    }
  }

  /** @returns undefined where its chunks were removed. @throws WeftError "unavailable" */
  async whole({ place, content }: Record, signal?: AbortSignal): Promise<LogEntry | undefined> {
    const bytes = await this.bytes(content, signal);
    return bytes && { place, bytes };
  }

  async bytes(content: EtcdEntry["content"] | EtcdSnapshot["content"], signal?: AbortSignal): Promise<Uint8Array | undefined> {
    if (content.case === "chunks") return await this.#chunks.read(content.value, signal);
    return content.value ?? new Uint8Array(0);
  }
}

export function kvsOf(response: ResponseOp | undefined) {
  return response?.response.case === "responseRange" ? response.response.value.kvs : [];
}

/** Why a reader cannot go on from `place` in a log that ends at `head`, `next` being the first entry after `place`. */
function parted(place: Place, head: Place, next: Record | undefined): string | undefined {
  if (samePlace(place, head)) return undefined;
  if (head.sequence === 0)
    return `the log in etcd is empty, while this node has read ${place.sequence} of its entries: its data was removed`;
  if (head.sequence <= place.sequence) {
    return `the log in etcd ends at ${head.sequence} with other entries than this node has read (${place.sequence}): a backup was restored, or it is another log`;
  }
  if (next?.place.sequence !== place.sequence + 1)
    return `the entries after ${place.sequence} were trimmed; the log ends at ${head.sequence}`;
  if (next.previous !== place.id)
    return `the log in etcd has another entry ${place.sequence} than this node has read: it is another history`;
  return undefined;
}
