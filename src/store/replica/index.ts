/**
 * A store that many nodes share: each serves from its own SQLite database, and all bring theirs up to date from one log in a distributed engine. So
 * an engine that is away stops changes, and nothing else.
 */
import type { AuditEvent, AuditRecord } from "../../lib/audit.ts";
import { sleep } from "../../lib/clock.ts";
import { WeftError } from "../../lib/errors.ts";
import { behindText, reasonText } from "../behind.ts";
import type { Compactable } from "../history-limit.ts";
import { encodeTransaction } from "../plan.ts";
import type { SharedLog } from "../shared/log.ts";
import type { Connection } from "../sqlite/connection.ts";
import { checkWritable } from "../sqlite/health.ts";
import { LocalRows } from "../sqlite/local.ts";
import { openConnection, type Verified } from "../sqlite/open.ts";
import { dropUnfinished, readPlace } from "../sqlite/place.ts";
import { readMeta } from "../sqlite/rows.ts";
import type { ApplyResult, PrivateChange, Standing, Store, Transaction } from "../store.ts";
import { type Request, requestApply, requestAudit, requestCompact, requestPrivate } from "../write.ts";
import { hasEntries, isEmpty, ownResources } from "./carry-over.ts";
import { Contact } from "./contact.ts";
import { Copy } from "./copy.ts";
import { Deadline } from "./deadline.ts";
import { Follower } from "./follower.ts";
import type { ReplicaOptions } from "./options.ts";
import { Writer } from "./writer.ts";

const PATIENCE_MS = 2_000;
const FIRST_SYNC_MS = 15_000;
const WRITE_TIMEOUT_MS = 5_000;
/** How long health waits for the engine. */
const CHECK_MS = 2_000;
/** Each proof is a write for all nodes' engine, and whoever may ask for health needs no token: so often at most. */
const PROVEN_MS = 5_000;
/** How exactly it is known after a crash when the engine was last heard: for less, the disk would be written to without need. */
const SEEN_MS = 60_000;
/** What the engine cannot promise is asked of it so often: members are upgraded. */
const WARNINGS_MS = 10 * 60_000;
const LOOK_AGAIN_MS = 50;

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
  readonly #copy: Copy;
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** Monotonic milliseconds: when the engine last took a write for that. */
  #provenAt = Number.NEGATIVE_INFINITY;
  #following: Promise<void> | undefined;

  constructor(connection: Connection, verified: Verified, options: ReplicaOptions) {
    super(connection, verified, options);
    const { log, clock, path, random = Math.random } = options;
    this.#options = options;
    this.#log = log;
    this.name = `${log.name} with sqlite:${path}`;
    const stored = readPlace(connection);
    this.#contact = new Contact({
      clock,
      engine: log.name,
      ...(stored && { seenAt: stored.seenAt }),
      onChange: () => {
        this.listeners.tell("");
        if (this.#contact.unreachable) this.#writer.refuseWaiting();
      },
      onFound: () => this.#found(),
    });
    this.#copy = new Copy({
      log,
      contact: this.#contact,
      carryOver: options.carryOver ?? false,
      signal: this.#stop.signal,
      rows: {
        db: connection,
        clock,
        limits: this.limits,
        now: () => this.now(),
        writing: () => this.writing(),
        wrote: (writes) => this.wrote(writes),
        traced: (revision, trace) => this.traced(revision, trace),
        replaced: () => this.replaced(),
        wake: () => this.wake(),
        tell: (collection) => this.listeners.tell(collection),
      },
    });
    this.#follower = new Follower({
      log,
      clock,
      contact: this.#contact,
      random,
      target: {
        place: () => this.#copy.at(),
        take: (entries, signal) => this.#copy.take(entries, signal),
        resync: (reason, signal) => this.#copy.resync(reason, signal),
      },
    });
    this.#writer = new Writer({
      log,
      clock,
      contact: this.#contact,
      timeoutMs: options.writeTimeoutMs ?? WRITE_TIMEOUT_MS,
      target: {
        look: () => this.#copy.look(),
        stamp: () => ({ at: this.now(), newUid: this.newUid }),
        takeOwn: (entry) => this.#copy.takeOwn(entry),
        idAt: (sequence) => this.#copy.idAt(sequence),
        refusal: () => {
          this.#follower.hurry();
          return this.#refusal();
        },
        unreachable: (reason) => {
          this.#contact.lost(reason, true);
          this.#follower.again();
        },
        doubt: (ended) => void this.#contact.doubt(ended, () => this.#follower.again()),
      },
    });
  }

  /** Until it is in touch, or may serve without. */
  async start(): Promise<void> {
    const { maxPages } = this.#options;
    if (maxPages !== undefined) this.connection.script(`PRAGMA max_page_count = ${Math.trunc(maxPages)}`);
    checkWritable(this.connection, this.now());
    const { patienceMs = PATIENCE_MS, firstSyncMs = FIRST_SYNC_MS } = this.#options;
    const synced = this.#copy.place.sequence > 0;
    const deadline = new Deadline(this.clock, synced ? patienceMs : firstSyncMs, this.#stop.signal);
    try {
      if (!synced && !isEmpty(this.connection)) await this.#begin(deadline);
      this.#following = this.#follower.run(this.#stop.signal);
      while (!this.#contact.inTouch && !this.#copy.mismatch && !deadline.passed) await this.#contact.wait(deadline.signal);
      // A large mesh takes its time: as long as it comes, there is an engine.
      while (!synced && this.#copy.isCatchingUp && !this.#contact.inTouch && !this.#copy.mismatch) {
        await sleep(this.clock, LOOK_AGAIN_MS, this.#stop.signal);
      }
    } finally {
      deadline.end();
    }
    if (this.#copy.mismatch) throw this.#copy.mismatch;
    if (!this.#contact.inTouch && this.#copy.place.sequence === 0) throw this.#neverSynced();
    this.#copy.isOpen = true;
  }

  /** A database that holds something, and has followed no log. @throws WeftError where it would be mixed with what the log holds, or lost for it */
  async #begin(deadline: Deadline): Promise<void> {
    const onTrouble = (reason: string) => this.#contact.lost(reason);
    const isFilled = await hasEntries(this.#log, { clock: this.clock, deadline, onTrouble });
    if (isFilled === undefined) throw this.#neverSynced();
    if (!isFilled) await this.#copy.carryOver();
    else if (this.#copy.place.log === "") throw ownResources(this.#options.path, this.#log.name);
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
    if (this.clock.monotonic() - this.#provenAt < PROVEN_MS) return;
    const deadline = new Deadline(this.clock, CHECK_MS, this.#stop.signal);
    try {
      if ((await deadline.limit(this.#log.checkWritable())) === "late") {
        throw new WeftError("unavailable", `${this.#log.name} did not answer within ${CHECK_MS / 1000} s`);
      }
      this.#provenAt = this.clock.monotonic();
    } finally {
      deadline.end();
    }
  }

  async close(): Promise<void> {
    if (this.connection.closed) return;
    await this.#writer.drain();
    this.#stop.abort();
    await this.#following;
    await this.#copy.settled();
    this.#copy.noteSeen(0);
    this.connection.close();
    this.wake();
    await this.#log.close();
  }

  async #write<Answer>(request: Request<Answer>): Promise<Answer> {
    if (this.connection.closed || this.#stop.signal.aborted) throw new WeftError("unavailable", `store ${this.name}: it is closed`);
    try {
      return await this.#writer.write({ ...request, plan: (view, stamp) => this.decode(() => request.plan(view, stamp)) });
    } catch (reason) {
      this.#provenAt = Number.NEGATIVE_INFINITY;
      throw reason;
    }
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

  #found(): void {
    this.#copy.noteSeen(SEEN_MS);
    const now = this.clock.monotonic();
    if (now - this.#warnedAt < WARNINGS_MS) return;
    this.#warnedAt = now;
    // Asked again later where it fails.
    this.#log.warnings().then(
      (warnings) => this.#contact.warn(warnings),
      () => {},
    );
  }
}
