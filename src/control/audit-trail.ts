/**
 * What the audit says besides changes of resources: refusals, and what is done with keys and tokens. Refusals cost their sender nothing, so
 * like ones within a minute are one record with a count: a flood must not become a flood of disk writes.
 */
import type { AuditEvent, AuditPage, RevisionsPage } from "../lib/audit.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { AuditFilter, Store } from "../store/store.ts";
import { logger } from "../telemetry/log.ts";
import type { AuditBacklog } from "./audit-backlog.ts";

const WINDOW_MS = 60_000;
/** Different refusals within one window that are told apart; what comes after them is counted together. */
const MOST_KINDS = 200;
/** Deeds besides: what strangers try must not hide what was done. */
const MOST_DEEDS = 2_000;
/** Longest `reason`: it may repeat what an unknown sender wrote. */
const MOST_REASON = 500;

export interface AuditTrailOptions {
  readonly store: Pick<Store, "recordAudit" | "readAudit" | "revisions">;
  readonly clock: Clock;
  /** Where records go that a shared store cannot take now. */
  readonly backlog?: Pick<AuditBacklog, "record">;
}

export class AuditTrail {
  readonly #store: AuditTrailOptions["store"];
  readonly #record: (event: AuditEvent) => Promise<unknown>;
  readonly #clock: Clock;
  /** Repeats since the first of their kind, which is on record already. */
  readonly #repeats = new Map<string, { readonly event: AuditEvent; count: number }>();
  /** Of those, told apart: neither may crowd the other out. */
  #kinds = { done: 0, refused: 0 };
  #windowEnds = 0;
  #cancel = () => {};
  #writing: Promise<unknown> = Promise.resolve();

  constructor({ store, clock, backlog }: AuditTrailOptions) {
    this.#store = store;
    this.#record = (event) => (backlog ? backlog.record(event) : store.recordAudit(event));
    this.#clock = clock;
  }

  /** On the disk when it resolves. @throws WeftError "unavailable": then what is to be audited must not be done either */
  async done(event: Omit<AuditEvent, "outcome">): Promise<void> {
    await this.#record({ ...event, outcome: "done" });
  }

  /**
   * For what is done again and again: like deeds within a minute are one record with a count. The first of them is on the disk when it
   * resolves. @throws WeftError "unavailable": then it must not be done either
   */
  async often(deed: Omit<AuditEvent, "outcome" | "count">): Promise<void> {
    const event: AuditEvent = { ...deed, outcome: "done" };
    if (this.#clock.monotonic() >= this.#windowEnds) this.#begin();
    const known = this.#repeats.get(keyOf(event));
    if (known) known.count += 1;
    else if (this.#kinds.done < MOST_DEEDS) {
      await this.#record(event);
      if (!this.#repeats.has(keyOf(event))) this.#first(event);
    } else this.#overflow(event);
  }

  /** Never throws and never waits: a refusal stands, whatever becomes of its record. */
  refused({ reason, ...rest }: Omit<AuditEvent, "outcome" | "count"> & { readonly reason: string }): void {
    const event: AuditEvent = { ...rest, outcome: "refused", reason: reason.slice(0, MOST_REASON) };
    if (this.#clock.monotonic() >= this.#windowEnds) this.#begin();
    const known = this.#repeats.get(keyOf(event));
    if (known) known.count += 1;
    else if (this.#kinds.refused < MOST_KINDS) {
      this.#first(event);
      this.#write(event);
    } else this.#overflow(event);
  }

  /** What the history says of the revisions after `after`: Store.revisions. @throws WeftError "unavailable" */
  async revisions(after: number): Promise<RevisionsPage> {
    return await this.#store.revisions(after);
  }

  read(filter: AuditFilter): Promise<AuditPage> {
    return this.#store.readAudit(filter);
  }

  /** Writes down what is counted and waits for it. */
  async close(): Promise<void> {
    this.#cancel();
    this.#end();
    await this.#writing;
  }

  #begin(): void {
    this.#cancel();
    this.#end();
    this.#windowEnds = this.#clock.monotonic() + WINDOW_MS;
    this.#cancel = this.#clock.after(WINDOW_MS, () => this.#end());
  }

  #end(): void {
    for (const { event, count } of this.#repeats.values()) if (count > 0) this.#write(count > 1 ? { ...event, count } : event);
    this.#repeats.clear();
    this.#kinds = { done: 0, refused: 0 };
    this.#windowEnds = 0;
  }

  #first(event: AuditEvent): void {
    this.#repeats.set(keyOf(event), { event, count: 0 });
    this.#kinds[event.outcome] += 1;
  }

  #overflow({ outcome }: AuditEvent): void {
    const event: AuditEvent = {
      who: "several",
      from: "several",
      action: "several",
      outcome,
      targets: [],
      reason: `more than ${outcome === "done" ? MOST_DEEDS : MOST_KINDS} different ones within a minute`,
    };
    const known = this.#repeats.get(outcome);
    if (known) known.count += 1;
    else this.#repeats.set(outcome, { event, count: 1 });
  }

  #write(event: AuditEvent): void {
    this.#writing = this.#record(event).catch((reason) => {
      logger("audit").error("a refusal could not be written to the audit: {reason}", {
        reason: WeftError.from(reason).message,
        refused: event,
      });
    });
  }
}

function keyOf({ who, from, action, outcome, targets, reason }: AuditEvent): string {
  return JSON.stringify([who, from, action, outcome, targets, reason]);
}
