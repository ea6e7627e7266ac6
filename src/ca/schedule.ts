/**
 * What is to be done next with the authorities of one sort: a pure function of the journal and the time, so that a crash, a long sleep or a changed
 * setting is nothing special. The caller does the step, writes the journal, and asks again.
 *
 *     (prepare) --> prepared --(activate)--> active --(activate the next)--> retiring --(retire)--> gone
 *                   in the bundle            signs                           last SVIDs end
 */
import type { JournalEntry, Rotation } from "./journal.ts";
import { ACTIVATE_AT, type Lifetimes, PREPARE_AT, RECONNECT_GRACE_MS, STRAGGLERS_HOLD } from "./lifetimes.ts";

export type RotationReason = Rotation["reason"];

export interface ScheduleInput {
  /** Of one type. */
  readonly entries: readonly JournalEntry[];
  /** What was asked for and is not done. */
  readonly rotation: Rotation | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lifetimes: Lifetimes;
  readonly hasKey: (entry: JournalEntry) => boolean;
  /** Of the upstream authority that signs now; undefined where weft owns its root. */
  readonly upstream: string | undefined;
  /** When an authority that is made now would end; before now where none can be made. */
  readonly endOfNew: number;
}

export type Step =
  | { readonly kind: "prepare"; readonly reason: RotationReason }
  /** `wait`: first everybody must have it, but not longer than until `latest`; absent: no SVID that counts is left under another. */
  | {
      readonly kind: "activate";
      readonly entry: JournalEntry;
      readonly reason: RotationReason;
      readonly wait?: { readonly latest: number };
    }
  | { readonly kind: "retire"; readonly entry: JournalEntry }
  | { readonly kind: "idle"; readonly until: number };

export function nextStep(input: ScheduleInput): Step {
  const { entries, now } = input;
  const over = entries.find((entry) => entry.state === "retiring" && now >= (entry.retireAt ?? entry.notAfter));
  if (over) return { kind: "retire", entry: over };

  const active = entries.find((entry) => entry.state === "active");
  const prepared = entries.find((entry) => entry.state === "prepared");
  const useless = prepared && !isUsable(prepared, input);
  const reason = reasonOf(active, input);
  const fits = prepared && !useless && !isStale(prepared, input) ? prepared : undefined;

  if (reason && !fits && isWorthIt(active, reason, input)) return { kind: "prepare", reason };
  if (useless) return { kind: "retire", entry: prepared };
  if (reason && fits) {
    if (!active || !isInTime(active, now)) return { kind: "activate", entry: fits, reason };
    const due = reason !== "scheduled" || now >= activateAt(active, input.lifetimes);
    const latest = reason === "key-lost" ? afterLoss(fits) : latestActivation(active, fits, input.lifetimes);
    if (due) return { kind: "activate", entry: fits, reason, wait: { latest } };
  }
  return { kind: "idle", until: nextTime(active, input) };
}

/** Whether it can sign now. */
export function isUsable(entry: JournalEntry, { now, hasKey }: Pick<ScheduleInput, "now" | "hasKey">): boolean {
  return hasKey(entry) && isInTime(entry, now);
}

/** A clock that was wrong when it was made leaves an authority whose time has not come. */
function isInTime({ notBefore, notAfter }: JournalEntry, now: number): boolean {
  return notBefore <= now && now < notAfter;
}

/** Made before what it should replace was known to be bad, or by an upstream authority that is no longer there. */
function isStale(prepared: JournalEntry, { rotation, upstream }: ScheduleInput): boolean {
  return prepared.upstream !== upstream || (rotation?.reason === "forced" && prepared.preparedAt < rotation.since);
}

/** Why the active one is to be replaced; undefined while it is not. */
function reasonOf(active: JournalEntry | undefined, { rotation, now, lifetimes, hasKey, upstream }: ScheduleInput) {
  if (!active) return "scheduled";
  if (!isInTime(active, now)) return "expired";
  if (!hasKey(active)) return "key-lost";
  if (rotation?.reason === "forced") return "forced";
  if (active.upstream !== upstream) return "upstream";
  return now >= prepareAt(active, lifetimes) ? "scheduled" : undefined;
}

/** Near the end of an upstream authority each new authority would end with it, and be replaced at half of ever less. */
function isWorthIt(active: JournalEntry | undefined, reason: RotationReason, { now, endOfNew, lifetimes }: ScheduleInput): boolean {
  return reason === "scheduled" && active ? endOfNew >= endOf(active, lifetimes) + active.leafMs : endOfNew > now;
}

/** Of an authority that was made to live longer than is wanted now (ten years, by older versions), as if it had been made for this long. */
function endOf(entry: JournalEntry, lifetimes: Lifetimes): number {
  return Math.min(entry.notAfter, entry.preparedAt + lifetimes.authorityMs);
}

export function prepareAt(entry: JournalEntry, lifetimes: Lifetimes): number {
  return entry.preparedAt + (endOf(entry, lifetimes) - entry.preparedAt) * PREPARE_AT;
}

export function activateAt(active: JournalEntry, lifetimes: Lifetimes): number {
  return active.preparedAt + (endOf(active, lifetimes) - active.preparedAt) * ACTIVATE_AT;
}

/** From here on the active one would cut SVIDs short, or the prepared one is old before it begins. */
export function latestActivation(active: JournalEntry, prepared: JournalEntry, lifetimes: Lifetimes): number {
  const stragglers = prepared.preparedAt + (endOf(prepared, lifetimes) - prepared.preparedAt) * STRAGGLERS_HOLD;
  return Math.min(active.notAfter - active.leafMs, stragglers);
}

/**
 * Without a key no SVID can be issued, and proxies that come back get their secrets together with an SVID: so none can acknowledge the new bundle
 * before there is one. When those that are on their way are back, all get both at once.
 */
function afterLoss(prepared: JournalEntry): number {
  return prepared.preparedAt + RECONNECT_GRACE_MS;
}

function nextTime(active: JournalEntry | undefined, { entries, now, lifetimes }: ScheduleInput): number {
  const times = entries.flatMap((entry) => (entry.state === "retiring" ? [entry.retireAt ?? entry.notAfter] : [entry.notAfter]));
  if (active) times.push(prepareAt(active, lifetimes), activateAt(active, lifetimes));
  return Math.min(...times.filter((at) => at > now));
}
