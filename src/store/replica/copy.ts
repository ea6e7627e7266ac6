/** A replica's database: where it stands in the log, and what becomes of the log's entries in it. */
import type { AuditMark } from "../../lib/audit.ts";
import type { Clock } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import type { LogEntry, Place, SharedLog } from "../shared/log.ts";
import { readAudit, readMarks } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import { readPlace, type StoredPlace, writePlace } from "../sqlite/place.ts";
import { Diverged, type Limits, viewOf } from "../sqlite/write.ts";
import type { Write } from "../write.ts";
import { carryOver, emptyLog, isEmpty } from "./carry-over.ts";
import type { Contact } from "./contact.ts";
import { decodeEntry } from "./entry.ts";
import { disclose, Unreadable } from "./format.ts";
import { findLostChanges } from "./lost-changes.ts";
import { type Resynced, resync } from "./resync.ts";
import { isSnapshotDue, putSnapshot } from "./snapshots.ts";
import { placeAtStart } from "./stage.ts";
import { OtherLog, type PlacedEntry, sameMark, takeEntries } from "./take.ts";
import { LostAgain } from "./writer.ts";

/** LocalRows, as far as who fills it needs that. */
export interface Rows {
  readonly db: Connection;
  readonly clock: Clock;
  readonly limits: Limits;
  now(): string;
  writing(): void;
  wrote(writes: readonly Write[]): void;
  traced(revision: number, trace: string): void;
  replaced(): void;
  wake(): void;
  tell(collection: string): void;
}

export interface CopyOptions {
  readonly log: SharedLog;
  readonly rows: Rows;
  readonly contact: Contact;
  readonly carryOver: boolean;
  /** Aborts when the store is closed. */
  readonly signal: AbortSignal;
}

/** Entries that come at all come within this of each other. */
const PROGRESS_MS = 5_000;
/** A node that cannot go on by the snapshot that is there spends a twentieth of the time on looking for another, however large they are. */
const LOOK_AGAIN = 20;
/** Ids of the newest entries, for a writer that does not know whether one is its own. */
const REMEMBERED = 1_024;

export class Copy {
  readonly #log: SharedLog;
  readonly #rows: Rows;
  readonly #contact: Contact;
  readonly #carriesOver: boolean;
  readonly #signal: AbortSignal;
  readonly #ids = new Map<number, string>();
  #snapshot: Promise<void> | undefined;
  #place: StoredPlace;
  #resyncs = 0;
  /** Monotonic milliseconds: when entries were taken last. */
  #tookAt = Number.NEGATIVE_INFINITY;
  /** Likewise. */
  #passAgainAt = Number.NEGATIVE_INFINITY;
  /** Why the log as it was read does not help, and until when it is not read again: likewise. */
  #useless: { readonly reason: WeftError; readonly until: number } | undefined;
  /** Whether somebody may read it. */
  isOpen = false;
  /** Why this database and this log do not go together. */
  mismatch: WeftError | undefined;

  constructor({ log, rows, contact, carryOver, signal }: CopyOptions) {
    this.#log = log;
    this.#rows = rows;
    this.#contact = contact;
    this.#carriesOver = carryOver;
    this.#signal = signal;
    this.#place = readPlace(rows.db) ?? placeAtStart(log.name, rows.now());
    contact.alarm(findLostChanges(rows.db.path));
  }

  get place(): StoredPlace {
    return this.#place;
  }

  idAt(sequence: number): string | undefined {
    return this.#ids.get(sequence);
  }

  /** Resolves when no snapshot is under way. */
  async settled(): Promise<void> {
    await this.#snapshot;
  }

  /** The log is empty. */
  async carryOver(): Promise<void> {
    const { path } = this.#rows.db;
    const asked = this.#carriesOver;
    const refusal = emptyLog(path, this.#log.name, this.#place);
    if (asked) this.#place = await carryOver(this.#log, this.#rows.db, { before: this.#place, at: this.#rows.now() });
    else if (this.#place.sequence === 0 || this.#place.engine !== this.#log.name) this.mismatch = refusal;
    if (!asked) throw refusal;
  }

  get isCatchingUp(): boolean {
    return this.#resyncs > 0 || this.#rows.clock.monotonic() - this.#tookAt < PROGRESS_MS;
  }

  at(): Place {
    return { sequence: this.#place.sequence, id: this.#place.entry };
  }

  look() {
    const { log, snapshot } = this.#place;
    return { place: this.at(), view: viewOf(this.#rows.db), head: readMarks(this.#rows.db).head, log, snapshot };
  }

  /** Waits for a resync that is under way: what it has read of the log may or may not have the entry. */
  async takeOwn(own: PlacedEntry): Promise<void> {
    while (this.#resyncs > 0 && !this.#signal.aborted) await this.#contact.wait(this.#signal);
    const { sequence, id } = own.place;
    const known = this.#ids.get(sequence);
    if (this.#place.sequence < sequence - 1 || (known !== undefined && known !== id)) {
      throw new LostAgain(this.#log.name);
    }
    if (this.#place.sequence >= sequence) {
      if (known === undefined && !this.#hasMark(own.entry.head)) throw new LostAgain(this.#log.name);
      return;
    }
    this.#writeDown([own]);
    if (isSnapshotDue(this.#place)) this.#snapshot ??= this.#putSnapshot();
  }

  /** Whether the audit's chain leads over `mark`, as far back as it is kept: after a resync the ids of the entries before it are not known. */
  #hasMark(mark: AuditMark): boolean {
    const { head, anchor } = readMarks(this.#rows.db);
    if (mark.sequence <= anchor.sequence || sameMark(head, mark)) return true;
    const [record] = readAudit(this.#rows.db, { after: mark.sequence - 1, limit: 1 }).records;
    return record !== undefined && sameMark(record, mark);
  }

  async take(entries: readonly LogEntry[], signal: AbortSignal): Promise<void> {
    try {
      const decoded: PlacedEntry[] = [];
      for (const { place, bytes } of entries) {
        if (place.sequence < this.#place.sequence) continue;
        const what = `entry ${place.sequence}`;
        const enclosed = disclose(bytes, what);
        if (enclosed.kind === "image" && place.sequence <= this.#place.sequence) continue;
        if (enclosed.kind === "image") return await this.resync("it begins with an image", signal);
        decoded.push({ place, entry: await decodeEntry(enclosed, what), size: bytes.length });
      }
      // An own one may have been written down since.
      const { sequence, entry } = this.#place;
      if (decoded.some(({ place }) => place.sequence === sequence && place.id !== entry)) {
        return await this.resync("its history is another one than ours", signal);
      }
      const fresh = decoded.filter(({ place }) => place.sequence > sequence);
      if (fresh.length === 0) return;
      this.#writeDown(fresh);
      for (const one of fresh)
        for (const write of one.entry.writes) {
          if (write.type === "resources" && write.trace !== undefined) this.#rows.traced(write.revision, write.trace);
        }
    } catch (reason) {
      if (reason instanceof Diverged) return await this.resync(reason.message, signal);
      if (reason instanceof Unreadable) return await this.#pass(reason, entries.at(-1)?.place.sequence ?? 0, signal);
      throw reason;
    }
  }

  #writeDown(entries: readonly PlacedEntry[]): void {
    this.#rows.writing();
    const { place } = takeEntries(this.#rows.db, this.#place, entries, { limits: this.#rows.limits, seenAt: this.#rows.now() });
    this.#place = place;
    this.#tookAt = this.#rows.clock.monotonic();
    for (const one of entries) this.#remember(one.place);
    this.#rows.wrote(entries.flatMap(({ entry }) => entry.writes));
    this.#contact.moved();
  }

  #remember({ sequence, id }: Place): void {
    this.#ids.set(sequence, id);
    this.#ids.delete(sequence - REMEMBERED);
  }

  /** What cannot be read can only be passed by a snapshot that was made after it. */
  async #pass(unreadable: Unreadable, sequence: number, signal: AbortSignal): Promise<void> {
    const began = this.#rows.clock.monotonic();
    if (began < this.#passAgainAt) throw unreadable;
    const snapshot = await this.#log.snapshot(signal);
    const now = this.#rows.clock.monotonic();
    this.#passAgainAt = now + (now - began) * LOOK_AGAIN;
    if (!snapshot || snapshot.place.sequence < sequence) throw unreadable;
    await this.resync(unreadable.message, signal);
  }

  async resync(reason: string, signal: AbortSignal): Promise<void> {
    const began = this.#rows.clock.monotonic();
    if (this.#useless && began < this.#useless.until) throw this.#useless.reason;
    this.#useless = undefined;
    this.#contact.lost(`catching up from a snapshot: ${reason}`);
    this.#rows.writing();
    this.#resyncs += 1;
    try {
      const { db, limits, clock } = this.#rows;
      const result = await resync(this.#log, {
        db,
        place: this.#place,
        limits,
        at: this.#rows.now(),
        clock,
        signal,
        unread: !this.isOpen && isEmpty(db),
      });
      if (result) this.#replaced(result);
      else await this.carryOver();
      // What was read before a doubt came up is not the last word.
      if (!signal.aborted) this.#contact.found();
    } catch (error) {
      if (error instanceof OtherLog) this.mismatch = error;
      if (error instanceof OtherLog || error instanceof Unreadable || error instanceof Diverged) {
        const now = this.#rows.clock.monotonic();
        this.#useless = { reason: error, until: now + (now - began) * LOOK_AGAIN };
      }
      throw error;
    } finally {
      this.#resyncs -= 1;
      this.#contact.alarm(findLostChanges(this.#rows.db.path));
      this.#contact.moved();
    }
  }

  #replaced({ place, leads, collections }: Resynced): void {
    this.#place = place;
    // Entries that the log has lost gave their sequences to others.
    this.#ids.clear();
    this.#remember({ sequence: place.sequence, id: place.entry });
    if (leads) this.#rows.wake();
    else this.#rows.replaced();
    for (const collection of collections) this.#rows.tell(collection);
  }

  async #putSnapshot(): Promise<void> {
    try {
      const snapshot = await putSnapshot(this.#log, this.#rows.db.path, this.#place.snapshot);
      if (snapshot.sequence > this.#place.snapshot.sequence) this.#place = { ...this.#place, snapshot };
    } catch (reason) {
      this.#contact.warn([`the last snapshot could not be put: ${WeftError.from(reason).message}`]);
    } finally {
      this.#snapshot = undefined;
    }
  }

  /** Writes down when the engine was heard last, unless what is written down is newer than `milliseconds`. */
  noteSeen(milliseconds: number): void {
    const { behindMs } = this.#contact.standing;
    if (behindMs === undefined) return;
    const seen = this.#rows.clock.now() - behindMs;
    if (seen - Date.parse(this.#place.seenAt) < milliseconds) return;
    const place = { ...this.#place, engine: this.#log.name, seenAt: new Date(seen).toISOString() };
    try {
      this.#rows.db.write(() => writePlace(this.#rows.db, place));
      this.#place = place;
    } catch {
      // It is known less exactly then, after the next start.
    }
  }
}
