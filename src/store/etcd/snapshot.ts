/** The snapshot: chunks under their own keys, and one key that says which of them count; then trimming the log, and removing what nobody needs. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Compare_CompareTarget } from "../../gen/etcd/rpc_pb.ts";
import { type EtcdSnapshot, EtcdSnapshotSchema } from "../../gen/weft/store/v1/etcd_pb.ts";
import { WeftError } from "../../lib/errors.ts";
import type { LogEntry, Place } from "../shared/log.ts";
import { type ChunkStore, INLINE_BYTES, type OpInit, putOp, type Staged, type TxnInit } from "./chunks.ts";
import type { EtcdClient } from "./client.ts";
import { type EntryReader, samePlace } from "./entries.ts";
import { type Keys, utf8 } from "./keys.ts";

/** A reader that finds the chunks gone looks for the newer snapshot that replaced them, so often. */
const TRIES = 5;
/** One request removes so many entries: each member does it in one go. */
const ENTRIES_A_TRIM = 1_000;

export class Snapshots {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #chunks: ChunkStore;
  readonly #reader: EntryReader;

  constructor(client: EtcdClient, keys: Keys, chunks: ChunkStore, reader: EntryReader) {
    this.#client = client;
    this.#keys = keys;
    this.#chunks = chunks;
    this.#reader = reader;
  }

  async read(signal: AbortSignal): Promise<LogEntry | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const { stored } = await this.#stored(signal);
      if (!stored) return undefined;
      const bytes = await this.#reader.bytes(stored.content, signal);
      if (bytes) return { place: placeOf(stored), bytes };
    }
    throw new WeftError("unavailable", "the snapshot in etcd was replaced faster than it can be read");
  }

  async put(snapshot: LogEntry, trimThrough: number): Promise<void> {
    await this.#replace(snapshot);
    const through = await this.#trim(trimThrough);
    await this.#chunks.removeGarbage(through);
  }

  async #replace({ place, bytes }: LogEntry): Promise<void> {
    let staged: Staged | undefined;
    try {
      for (;;) {
        const { stored, revision } = await this.#stored();
        if (stored && (stored.sequence > place.sequence || samePlace(placeOf(stored), place))) return;
        if (staged && !(await this.#chunks.isStaged(staged))) {
          throw new WeftError("unavailable", "etcd took too long to write the snapshot; it was given up");
        }
        if (bytes.length > INLINE_BYTES) staged ??= await this.#chunks.stage(bytes);
        if (await this.#swap(place, bytes, staged, stored, revision)) return;
      }
    } finally {
      await staged?.release();
    }
  }

  /** @returns false where another was put meanwhile, also where it was this one, by a try whose answer was lost */
  async #swap(place: Place, bytes: Uint8Array, staged: Staged | undefined, old: EtcdSnapshot | undefined, revision: bigint) {
    const record = create(EtcdSnapshotSchema, {
      sequence: BigInt(place.sequence),
      id: place.id,
      content: staged ? { case: "chunks", value: staged.chunks } : { case: "inline", value: bytes },
    });
    const key = utf8(this.#keys.snapshot);
    const forget: OpInit[] =
      old?.content.case === "chunks"
        ? [{ request: { case: "requestDeleteRange", value: { key: utf8(this.#keys.owner(old.content.value.set)) } } }]
        : [];
    const transaction: TxnInit = {
      compare: [
        { target: Compare_CompareTarget.MOD, key, targetUnion: { case: "modRevision", value: revision } },
        ...(staged ? [staged.stillThere] : []),
      ],
      success: [
        putOp(this.#keys.snapshot, toBinary(EtcdSnapshotSchema, record)),
        ...(staged ? [this.#chunks.owned(staged.chunks, "snapshot")] : []),
        ...forget,
      ],
    };
    return (await this.#client.call(({ kv }, options) => kv.txn(transaction, options))).succeeded;
  }

  /** Never beyond what the snapshot holds. @returns up to which sequence there are no entries now, as far as this call knows */
  async #trim(wanted: number): Promise<number> {
    const { stored } = await this.#stored();
    const through = Math.min(wanted, Number(stored?.sequence ?? 0n));
    if (through <= 0) return 0;
    const { kvs } = await this.#client.call(({ kv }, options) =>
      kv.range({ key: utf8(this.#keys.entries), rangeEnd: utf8(this.#keys.entry(through + 1)), limit: 1n, keysOnly: true }, options),
    );
    const first = kvs[0] && this.#keys.sequenceOf(new TextDecoder().decode(kvs[0].key));
    for (let next = first ?? through + 1; next <= through; next += ENTRIES_A_TRIM) {
      const end = Math.min(next + ENTRIES_A_TRIM, through + 1);
      await this.#client.call(({ kv }, options) =>
        kv.deleteRange({ key: utf8(this.#keys.entry(next)), rangeEnd: utf8(this.#keys.entry(end)) }, options),
      );
    }
    return through;
  }

  /** The snapshot's key, and the revision at which it was written: 0 where it was not. */
  async #stored(signal?: AbortSignal): Promise<{ stored: EtcdSnapshot | undefined; revision: bigint }> {
    const { kvs } = await this.#client.call(({ kv }, options) => kv.range({ key: utf8(this.#keys.snapshot) }, options), { signal });
    const [found] = kvs;
    if (!found) return { stored: undefined, revision: 0n };
    try {
      return { stored: fromBinary(EtcdSnapshotSchema, found.value), revision: found.modRevision };
    } catch (cause) {
      const message = `etcd's key ${this.#keys.snapshot} holds no snapshot of weft's: somebody else writes under its prefix`;
      throw new WeftError("unavailable", message, { cause });
    }
  }
}

const placeOf = ({ sequence, id }: EtcdSnapshot): Place => ({ sequence: Number(sequence), id });
