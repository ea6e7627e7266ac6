/** Under which keys weft keeps what (docs/stores.md), and what the small values look like. */
import type { Place } from "../shared/log.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const utf8 = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text);
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);

/** Sequences sort as text: 2^53 has 16 digits. */
const SEQUENCE_DIGITS = 16;
const CHUNK_DIGITS = 8;

/** Of a set of chunks that is being written; the key has the writer's lease. */
export const STAGING = "staging";

export class Keys {
  readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** Where the log ends. */
  get head(): string {
    return `${this.prefix}/head`;
  }

  get snapshot(): string {
    return `${this.prefix}/snapshot`;
  }

  /** What checkWritable writes. */
  get probe(): string {
    return `${this.prefix}/probe`;
  }

  get entries(): string {
    return `${this.prefix}/log/`;
  }

  entry(sequence: number): string {
    return this.entries + String(sequence).padStart(SEQUENCE_DIGITS, "0");
  }

  sequenceOf(entryKey: string): number {
    return Number(entryKey.slice(this.entries.length));
  }

  get chunks(): string {
    return `${this.prefix}/chunks/`;
  }

  chunksOf(set: string): string {
    return `${this.chunks}${set}/`;
  }

  chunk(set: string, index: number): string {
    return this.chunksOf(set) + String(index).padStart(CHUNK_DIGITS, "0");
  }

  setOf(chunkKey: string): string {
    return chunkKey.slice(this.chunks.length).split("/")[0] ?? "";
  }

  /** Who needs which set of chunks: STAGING, "log SEQUENCE" or "snapshot". Chunks without one are garbage. */
  get owners(): string {
    return `${this.prefix}/owners/`;
  }

  owner(set: string): string {
    return this.owners + set;
  }

  fence(client: string, epoch: number): string {
    return `${this.prefix}/fences/${client}/${epoch}`;
  }

  get cards(): string {
    return `${this.prefix}/board/`;
  }

  card(name: string): string {
    return this.cards + name;
  }
}

/** The end of the range of all keys that begin with `start` (etcd's range_end). */
export function endOf(start: string): Uint8Array<ArrayBuffer> {
  const end = utf8(start);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}

export function range(start: string): { key: Uint8Array<ArrayBuffer>; rangeEnd: Uint8Array<ArrayBuffer> } {
  return { key: utf8(start), rangeEnd: endOf(start) };
}

/** The head's value: it is compared as bytes, so it is made of the place alone. */
export const headValue = (place: Place): Uint8Array<ArrayBuffer> => utf8(`${place.sequence} ${place.id}`);

export function parseHead(value: Uint8Array | undefined): Place {
  const [sequence, id] = value === undefined ? [] : textOf(value).split(" ");
  return { sequence: Number(sequence ?? 0), id: id ?? "" };
}
