/**
 * An image: all that a database holds but its history, so that a node can start from it. It is lines of JSON, packed as a stream: neither who makes
 * one nor who reads one holds the event loop, or all of it as text, whatever its size.
 *
 * Of the audit it has the newest records, enough that a node which was away for weeks finds where its chain goes on.
 */
import { Database } from "bun:sqlite";
import { Readable, type Transform } from "node:stream";
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { type AuditMark, type AuditRecord, ChainVerifier } from "../../lib/audit.ts";
import { WeftError } from "../../lib/errors.ts";
import type { StoredRow } from "../plan.ts";
import { insertAudit, readAudit, readMarks, writeMarks } from "../sqlite/audit.ts";
import { Connection } from "../sqlite/connection.ts";
import { readPlace } from "../sqlite/place.ts";
import { readMeta, readUnchanged, writeMeta, writeResource } from "../sqlite/rows.ts";
import { type Enclosed, enclose, Unreadable } from "./format.ts";

/** Records of the audit: some 4 MB, before packing. A node whose chain ends before them keeps the older part apart. */
const AUDIT_RECORDS = 10_000;
/** Rows that are read or written in one turn of the event loop: a few milliseconds. */
const ROWS_IN_A_TURN = 500;

/** The first line. */
interface Head {
  readonly log: string;
  readonly revision: number;
  /** StoredPlace.bytes, without what the image itself adds. */
  readonly bytes: number;
  readonly head: AuditMark;
  /** Of the piece of the audit that is in it. */
  readonly anchor: AuditMark;
}

type Line =
  | readonly ["image", Head]
  | readonly ["row", StoredRow]
  | readonly ["private", string, string, string]
  | readonly ["audit", AuditRecord]
  | readonly ["end", number];

export interface Image {
  readonly sequence: number;
  /** Place.id of the entry that it stands at. */
  readonly id: string;
  /** StoredPlace.bytes there. */
  readonly logBytes: number;
  readonly bytes: Uint8Array;
}

/** Of the database at `path` as it is now, read over a connection of its own, so that writes go on. */
export async function makeImage(path: string): Promise<Image> {
  const database = new Database(path, { readonly: true, strict: true });
  const db = new Connection(path, database);
  try {
    db.script("PRAGMA busy_timeout = 1000");
    db.script("BEGIN");
    const place = readPlace(db);
    const packer = createZstdCompress();
    const packed = collect(packer);
    for await (const lines of linesOf(db, { log: place?.log ?? "", bytes: place?.bytes ?? 0 })) {
      if (!packer.write(lines)) await new Promise((resolve) => packer.once("drain", resolve));
    }
    packer.end();
    const bytes = enclose("image", await packed, true);
    return { sequence: place?.sequence ?? 0, id: place?.entry ?? "", logBytes: place?.bytes ?? 0, bytes };
  } finally {
    db.close();
  }
}

async function* linesOf(db: Connection, { log, bytes }: { log: string; bytes: number }): AsyncGenerator<string> {
  const { revision } = readMeta(db);
  const { head, anchor } = readMarks(db);
  let count = 0;
  const text = (lines: readonly Line[]) => {
    count += lines.length;
    return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  };
  const from = Math.max(anchor.sequence, head.sequence - AUDIT_RECORDS);
  const [before] = from > anchor.sequence ? readAudit(db, { after: from - 1, limit: 1 }).records : [];
  yield text([["image", { log, revision, bytes, head, anchor: before ? { sequence: from, hash: before.hash } : anchor }]]);
  let after: StoredRow | undefined;
  do {
    const rows = readUnchanged(db, {}, { revision, after, limit: ROWS_IN_A_TURN });
    yield text(rows.map((row) => ["row", row]));
    after = rows.at(-1);
    await othersFirst();
  } while (after);
  const all = db.all<{ collection: string; id: string; value: string }>(
    "SELECT collection, id, value FROM private ORDER BY collection, id",
  );
  yield text(all.map(({ collection, id, value }) => ["private", collection, id, value]));
  for (let last = from; last < head.sequence; ) {
    const { records } = readAudit(db, { after: last, limit: ROWS_IN_A_TURN });
    yield text(records.map((record) => ["audit", record]));
    last = records.at(-1)?.sequence ?? head.sequence;
    await othersFirst();
  }
  yield text([["end", count]]);
}

/** Fills an empty database with an image. @returns what its first line says of the log. @throws Unreadable */
export async function loadImage(db: Connection, { payload }: Enclosed, what: string): Promise<Pick<Head, "log" | "bytes">> {
  const loader = new Loader(db, what);
  try {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of Readable.from(inParts(payload)).pipe(createZstdDecompress())) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      loader.take(lines.map((line) => JSON.parse(line) as Line));
      await othersFirst();
    }
  } catch (reason) {
    if (reason instanceof WeftError) throw reason;
    throw new Unreadable(`${what} of the log is damaged: ${WeftError.from(reason).message}`);
  }
  return loader.end();
}

class Loader {
  readonly #db: Connection;
  readonly #what: string;
  #head: Head | undefined;
  #verifier: ChainVerifier | undefined;
  #count = 0;
  #ended = false;

  constructor(db: Connection, what: string) {
    this.#db = db;
    this.#what = what;
  }

  take(lines: readonly Line[]): void {
    if (lines.length > 0) this.#db.write(() => lines.forEach((line) => void this.#line(line)));
  }

  end(): Pick<Head, "log" | "bytes"> {
    const last = this.#verifier?.last;
    if (!this.#head || !this.#ended) throw this.#damaged("it has no end");
    if (last?.hash !== this.#head.head.hash) throw this.#damaged("its audit does not end where it should");
    return this.#head;
  }

  #line(line: Line): void {
    const [kind] = line;
    if (!this.#head !== (kind === "image") || this.#ended) throw this.#damaged("its parts are out of order");
    switch (line[0]) {
      case "image":
        this.#head = line[1];
        this.#verifier = new ChainVerifier(line[1].anchor);
        writeMeta(this.#db, { revision: line[1].revision, compacted: line[1].revision, historyBytes: 0 });
        writeMarks(this.#db, line[1]);
        break;
      case "row":
        writeResource(this.#db, line[1]);
        break;
      case "private": {
        const [, collection, id, value] = line;
        this.#db.run("INSERT INTO private VALUES ($collection, $id, $value)", { collection, id, value });
        break;
      }
      case "audit": {
        const wrong = this.#verifier?.take(line[1]);
        if (wrong !== undefined) throw this.#damaged(wrong);
        insertAudit(this.#db, line[1]);
        break;
      }
      case "end":
        this.#ended = true;
        if (line[1] !== this.#count) throw this.#damaged(`it has ${this.#count} lines, not ${line[1]}`);
        break;
      default:
        throw new Unreadable(`${this.#what} of the log holds what this weft does not know: ${String(kind)}`, "update weft on this node");
    }
    this.#count += 1;
  }

  #damaged(why: string): Unreadable {
    return new Unreadable(`${this.#what} of the log is damaged: ${why}`);
  }
}

async function collect(stream: Transform): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function* inParts(bytes: Uint8Array): Generator<Uint8Array> {
  const size = 64 * 1024;
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const othersFirst = () => new Promise<void>((resolve) => setImmediate(resolve));
