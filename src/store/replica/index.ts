/**
 * A store that many nodes share: each serves from its own SQLite database, and all bring theirs up to date from one log in a distributed engine. So
 * an engine that is away stops changes, and nothing else.
 */
import type { AuditEvent, AuditRecord } from "../../lib/audit.ts";
import { WeftError } from "../../lib/errors.ts";
import { behindText, reasonText } from "../behind.ts";
import type { Compactable } from "../history-limit.ts";
import { encodeTransaction } from "../plan.ts";
import type { LogEntry, Place, SharedLog } from "../shared/log.ts";
import { readMarks } from "../sqlite/audit.ts";
import type { Connection } from "../sqlite/connection.ts";
import { checkWritable } from "../sqlite/health.ts";
import { LocalRows, type SqliteStoreOptions } from "../sqlite/local.ts";
import { openConnection, type Verified } from "../sqlite/open.ts";
import { dropUnfinished, readPlace, type StoredPlace, writePlace } from "../sqlite/place.ts";
import { readMeta } from "../sqlite/rows.ts";
import { Diverged, viewOf } from "../sqlite/write.ts";
import type { ApplyResult, PrivateChange, Standing, Store, Transaction } from "../store.ts";
import { type Request, requestApply, requestAudit, requestCompact, requestPrivate } from "../write.ts";
import { carryOver, emptyLog, hasEntries, isEmpty, ownResources } from "./carry-over.ts";
import { Contact } from "./contact.ts";
import { Deadline, pause } from "./deadline.ts";
import { decodeEntry } from "./entry.ts";
import { Follower } from "./follower.ts";
import { disclose, Unreadable } from "./format.ts";
import { findLostChanges } from "./lost-changes.ts";
import { type Resynced, resync } from "./resync.ts";
import { isSnapshotDue, putSnapshot } from "./snapshots.ts";
import { placeAtStart } from "./stage.ts";
import { OtherLog, type PlacedEntry, takeEntries } from "./take.ts";
import { LostAgain, Writer } from "./writer.ts";

export interface ReplicaOptions extends SqliteStoreOptions {
  /** Closed with the store. */
  readonly log: SharedLog;
  /** Whether an empty log is to be filled with what the database holds, of its own or from a log that was lost. Default: no. */
  readonly carryOver?: boolean;
  /** How long opening waits for the engine where the database has followed it before, and may serve without it. Default: 2 s. */
  readonly patienceMs?: number;
  /** How long it waits where there is nothing to serve yet. Default: 15 s. */
  readonly firstSyncMs?: number;
  /** How long a write may take before it is answered. Default: 5 s. */
  readonly writeTimeoutMs?: number;
  /** From 0 to 1, for jitter. Default: Math.random. */
  readonly random?: () => number;
}

const PATIENCE_MS = 2_000;
const FIRST_SYNC_MS = 15_000;
const WRITE_TIMEOUT_MS = 5_000;
/** How long health waits for the engine. */
const CHECK_MS = 2_000;
/** How exactly it is known after a crash when the engine was last heard: for less, the disk would be written to without need. */
const SEEN_MS = 60_000;
/** What the engine cannot promise is asked of it so often: members are upgraded. */
const WARNINGS_MS = 10 * 60_000;
const LOOK_AGAIN_MS = 50;
/** Entries that come at all come within this of each other. */
const PROGRESS_MS = 5_000;
/** A node that waits for a snapshot beyond what it cannot read spends a twentieth of the time on looking for one, however large they are. */
const PASS_AGAIN = 20;
/** Ids of the newest entries, for a writer that does not know whether one is its own. */
const REMEMBERED = 1_024;

/** @throws WeftError "unavailable", naming the engine or file and the mend; "conflict" where the database holds what the log does not */
export async function openReplica(options: ReplicaOptions): Promise<Store & Compactable> {
  const { connection, verified } = openConnection(options.path);
  dropUnfinished(connection);
  const replica = new Replica(connection, verified, options);
  try {
    await replica.start();
    return replica;
  } catch (reason) {
    await replica.close();
    throw reason;
  }
}

class Replica extends LocalRows implements Store, Compactable {
  readonly name: string;
  readonly #options: ReplicaOptions;
  readonly #log: SharedLog;
  readonly #contact: Contact;
  readonly #writer: Writer;
  readonly #follower: Follower;
  readonly #stop = new AbortController();
  readonly #ids = new Map<number, string>();
  /** Monotonic milliseconds. */
  #passAgainAt = Number.NEGATIVE_INFINITY;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #following: Promise<void> | undefined;
  #snapshot: Promise<void> | undefined;
  #place: StoredPlace;
  /** Whether somebody may read it. */
  #isOpen = false;
  #resyncs = 0;
  /** Monotonic milliseconds: when entries were taken last. */
  #tookAt = Number.NEGATIVE_INFINITY;
  /** Why this database and this log do not go together. */
  #mismatch: WeftError | undefined;

  constructor(connection: Connection, verified: Verified, options: ReplicaOptions) {
    super(connection, verified, options);
    const { log, clock, path, random = Math.random } = options;
    this.#options = options;
    this.#log = log;
    this.name = `${log.name} with sqlite:${path}`;
    const stored = readPlace(connection);
    this.#place = stored ?? placeAtStart(log.name, this.now());
    this.#contact = new Contact({
      clock,
      engine: log.name,
      ...(stored && { seenAt: stored.seenAt }),
      onChange: () => this.listeners.tell(""),
      onFound: () => this.#found(),
    });
    this.#contact.alarm(findLostChanges(path));
    this.#follower = new Follower({
      log,
      clock,
      contact: this.#contact,
      random,
      target: {
        place: () => this.#at(),
        take: (entries, signal) => this.#take(entries, signal),
        resync: (reason, signal) => this.#resync(reason, signal),
      },
    });
    this.#writer = new Writer({
      log,
      clock,
      contact: this.#contact,
      timeoutMs: options.writeTimeoutMs ?? WRITE_TIMEOUT_MS,
      target: {
        look: () => this.#look(),
        stamp: () => ({ at: this.now(), newUid: this.newUid }),
        takeOwn: (entry) => this.#takeOwn(entry),
        idAt: (sequence) => this.#ids.get(sequence),
        refusal: () => this.#refusal(),
      },
    });
  }

  /** Until it is in touch, or may serve without. */
  async start(): Promise<void> {
    const { maxPages } = this.#options;
    if (maxPages !== undefined) this.connection.script(`PRAGMA max_page_count = ${Math.trunc(maxPages)}`);
    checkWritable(this.connection, this.now());
    const { patienceMs = PATIENCE_MS, firstSyncMs = FIRST_SYNC_MS } = this.#options;
    const synced = this.#place.sequence > 0;
    const deadline = new Deadline(this.clock, synced ? patienceMs : firstSyncMs, this.#stop.signal);
    try {
      if (!synced && !isEmpty(this.connection)) await this.#begin(deadline);
      this.#following = this.#follower.run(this.#stop.signal);
      while (!this.#contact.inTouch && !this.#mismatch && !deadline.passed) await this.#contact.wait(deadline.signal);
      // A large mesh takes its time: as long as it comes, there is an engine.
      while (!synced && this.#isCatchingUp && !this.#contact.inTouch && !this.#mismatch) {
        await pause(this.clock, LOOK_AGAIN_MS, this.#stop.signal);
      }
    } finally {
      deadline.end();
    }
    if (this.#mismatch) throw this.#mismatch;
    if (!this.#contact.inTouch && this.#place.sequence === 0) throw this.#neverSynced();
    this.#isOpen = true;
  }

  /** A database that holds something, and has followed no log. @throws WeftError where it would be mixed with what the log holds, or lost for it */
  async #begin(deadline: Deadline): Promise<void> {
    const onTrouble = (reason: string) => this.#contact.lost(reason);
    const isFilled = await hasEntries(this.#log, { clock: this.clock, deadline, onTrouble });
    if (isFilled === undefined) throw this.#neverSynced();
    if (!isFilled) await this.#carryOver();
    else if (this.#place.log === "") throw ownResources(this.#options.path, this.#log.name);
  }

  /** The log is empty. */
  async #carryOver(): Promise<void> {
    const { path, carryOver: asked } = this.#options;
    const refusal = emptyLog(path, this.#log.name, this.#place);
    if (asked) this.#place = await carryOver(this.#log, this.connection, { before: this.#place, at: this.now() });
    else if (this.#place.sequence === 0 || this.#place.engine !== this.#log.name) this.#mismatch = refusal;
    if (!asked) throw refusal;
  }

  async apply(transaction: Transaction): Promise<ApplyResult> {
    return this.#write(requestApply(encodeTransaction(transaction), transaction.trace));
  }

  async compact(keepRevisions: number): Promise<void> {
    return this.#write(requestCompact(keepRevisions));
  }

  async recordAudit(event: AuditEvent): Promise<AuditRecord> {
    return this.#write(requestAudit(event));
  }

  async writePrivate(change: PrivateChange): Promise<void> {
    return this.#write(requestPrivate(change));
  }

  standing(): Standing {
    return this.#contact.standing;
  }

  async checkWritable(): Promise<void> {
    checkWritable(this.connection, this.now());
    if (!this.#contact.inTouch) throw this.#refusal();
    const deadline = new Deadline(this.clock, CHECK_MS, this.#stop.signal);
    try {
      if ((await deadline.limit(this.#log.checkWritable())) === "late") {
        throw new WeftError("unavailable", `${this.#log.name} did not answer within ${CHECK_MS / 1000} s`);
      }
    } finally {
      deadline.end();
    }
  }

  async close(): Promise<void> {
    if (this.connection.closed) return;
    await this.#writer.drain();
    this.#stop.abort();
    await this.#following;
    await this.#snapshot;
    this.#noteSeen(0);
    this.connection.close();
    this.wake();
    await this.#log.close();
  }

  async #write<Answer>(request: Request<Answer>): Promise<Answer> {
    if (this.connection.closed || this.#stop.signal.aborted) throw new WeftError("unavailable", `store ${this.name}: it is closed`);
    return this.#writer.write({ ...request, plan: (view, stamp) => this.decode(() => request.plan(view, stamp)) });
  }

  get #isCatchingUp(): boolean {
    return this.#resyncs > 0 || this.clock.monotonic() - this.#tookAt < PROGRESS_MS;
  }

  #at(): Place {
    return { sequence: this.#place.sequence, id: this.#place.entry };
  }

  #look() {
    const { log, snapshot } = this.#place;
    return { place: this.#at(), view: viewOf(this.connection), head: readMarks(this.connection).head, log, snapshot };
  }

  #refusal(): WeftError {
    const { standing } = this.#contact;
    const { revision } = readMeta(this.connection);
    return new WeftError("unavailable", `${behindText(revision, standing.behindMs)}: ${reasonText(standing)}; nothing was changed`, {
      help: "try again when the engine is back: what is served stays as it is until then",
    });
  }

  #neverSynced(): WeftError {
    const why = reasonText(this.#contact.standing);
    return new WeftError("unavailable", `${why}; and this node has nothing of its log yet that it could serve`, {
      help: "start it again when the engine is there; afterwards it starts without it, too",
    });
  }

  /** Waits for a resync that is under way: what it has read of the log may or may not have the entry. */
  async #takeOwn(own: PlacedEntry): Promise<void> {
    while (this.#resyncs > 0 && !this.#stop.signal.aborted) await this.#contact.wait(this.#stop.signal);
    const { sequence, id } = own.place;
    const known = this.#ids.get(sequence);
    if (this.#place.sequence < sequence - 1 || (known !== undefined && known !== id)) {
      throw new LostAgain(this.#log.name);
    }
    if (this.#place.sequence >= sequence) return;
    this.#writeDown([own]);
    if (isSnapshotDue(this.#place)) this.#snapshot ??= this.#putSnapshot();
  }

  async #take(entries: readonly LogEntry[], signal: AbortSignal): Promise<void> {
    try {
      const decoded: PlacedEntry[] = [];
      for (const { place, bytes } of entries) {
        if (place.sequence < this.#place.sequence) continue;
        const what = `entry ${place.sequence}`;
        const enclosed = disclose(bytes, what);
        if (enclosed.kind === "image" && place.sequence <= this.#place.sequence) continue;
        if (enclosed.kind === "image") return await this.#resync("it begins with an image", signal);
        decoded.push({ place, entry: await decodeEntry(enclosed, what), size: bytes.length });
      }
      // An own one may have been written down since.
      const { sequence, entry } = this.#place;
      if (decoded.some(({ place }) => place.sequence === sequence && place.id !== entry)) {
        return await this.#resync("its history is another one than ours", signal);
      }
      const fresh = decoded.filter(({ place }) => place.sequence > sequence);
      if (fresh.length === 0) return;
      this.#writeDown(fresh);
      for (const one of fresh)
        for (const write of one.entry.writes) {
          if (write.type === "resources" && write.trace !== undefined) this.traced(write.revision, write.trace);
        }
    } catch (reason) {
      if (reason instanceof Diverged) return await this.#resync(reason.message, signal);
      if (reason instanceof Unreadable) return await this.#pass(reason, entries.at(-1)?.place.sequence ?? 0, signal);
      throw reason;
    }
  }

  #writeDown(entries: readonly PlacedEntry[]): void {
    this.writing();
    const { place } = takeEntries(this.connection, this.#place, entries, { limits: this.limits, seenAt: this.now() });
    this.#place = place;
    this.#tookAt = this.clock.monotonic();
    for (const one of entries) this.#remember(one.place);
    this.wrote(entries.flatMap(({ entry }) => entry.writes));
    this.#contact.moved();
  }

  #remember({ sequence, id }: Place): void {
    this.#ids.set(sequence, id);
    this.#ids.delete(sequence - REMEMBERED);
  }

  /** What cannot be read can only be passed by a snapshot that was made after it. */
  async #pass(unreadable: Unreadable, sequence: number, signal: AbortSignal): Promise<void> {
    const began = this.clock.monotonic();
    if (began < this.#passAgainAt) throw unreadable;
    const snapshot = await this.#log.snapshot(signal);
    const now = this.clock.monotonic();
    this.#passAgainAt = now + (now - began) * PASS_AGAIN;
    if (!snapshot || snapshot.place.sequence < sequence) throw unreadable;
    await this.#resync(unreadable.message, signal);
  }

  async #resync(reason: string, signal: AbortSignal): Promise<void> {
    this.#contact.lost(`catching up from a snapshot: ${reason}`);
    this.writing();
    this.#resyncs += 1;
    try {
      const { connection: db, limits, clock } = this;
      const result = await resync(this.#log, {
        db,
        place: this.#place,
        limits,
        at: this.now(),
        clock,
        signal,
        unread: !this.#isOpen && isEmpty(db),
      });
      if (result) this.#replaced(result);
      else await this.#carryOver();
      this.#contact.found();
    } catch (error) {
      if (error instanceof OtherLog) this.#mismatch = error;
      throw error;
    } finally {
      this.#resyncs -= 1;
      this.#contact.alarm(findLostChanges(this.#options.path));
      this.#contact.moved();
    }
  }

  #replaced({ place, leads, collections }: Resynced): void {
    this.#place = place;
    this.#remember({ sequence: place.sequence, id: place.entry });
    if (leads) this.wake();
    else this.replaced();
    for (const collection of collections) this.listeners.tell(collection);
  }

  async #putSnapshot(): Promise<void> {
    try {
      const snapshot = await putSnapshot(this.#log, this.#options.path, this.#place.snapshot);
      if (snapshot.sequence > this.#place.snapshot.sequence) this.#place = { ...this.#place, snapshot };
    } catch (reason) {
      this.#contact.warn([`the last snapshot could not be put: ${WeftError.from(reason).message}`]);
    } finally {
      this.#snapshot = undefined;
    }
  }

  #found(): void {
    this.#noteSeen(SEEN_MS);
    if (this.#place.engine !== this.#log.name) this.#place = { ...this.#place, engine: this.#log.name };
    const now = this.clock.monotonic();
    if (now - this.#warnedAt < WARNINGS_MS) return;
    this.#warnedAt = now;
    // Asked again later where it fails.
    this.#log.warnings().then(
      (warnings) => this.#contact.warn(warnings),
      () => {},
    );
  }

  /** Writes down when the engine was heard last, unless what is written down is newer than `milliseconds`. */
  #noteSeen(milliseconds: number): void {
    const { behindMs } = this.#contact.standing;
    if (behindMs === undefined) return;
    const seen = this.clock.now() - behindMs;
    if (seen - Date.parse(this.#place.seenAt) < milliseconds) return;
    const place = { ...this.#place, seenAt: new Date(seen).toISOString() };
    try {
      this.connection.write(() => writePlace(this.connection, place));
      this.#place = place;
    } catch {
      // It is known less exactly then, after the next start.
    }
  }
}
