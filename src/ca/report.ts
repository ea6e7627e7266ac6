/** The authorities as people and the API see them, and what to warn of. */
import { WeftError } from "../lib/errors.ts";
import type { JournalEntry } from "./journal.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { SVID_TYPES } from "./lifecycle.ts";
import { ACTIVATE_AT, type Lifetimes, UPSTREAM_WARNING_MS, UPSTREAM_WARNING_PART } from "./lifetimes.ts";
import { describeCertificate, parseCertificates } from "./pem.ts";
import { publishedUntil } from "./propagation.ts";
import { activateAt, isUsable, latestActivation, prepareAt, type ScheduleInput } from "./schedule.ts";
import type { AuthorityReport, CaReport, CaWarning, CertificateReport, RotationReport, SvidType } from "./types.ts";
import type { UpstreamWatch } from "./upstream-watch.ts";

const iso = (at: number): string => new Date(at).toISOString();

export interface ReportParts {
  readonly lifecycle: Lifecycle;
  readonly lifetimes: Lifetimes;
  readonly upstream: UpstreamWatch | undefined;
}

export function caReport({ lifecycle, lifetimes, upstream }: ReportParts): CaReport {
  const { journal, bundle } = lifecycle;
  const of = (type: SvidType) => {
    const schedule = lifecycle.schedule(type);
    return schedule.entries.map((entry) => describe(entry, schedule));
  };
  const rotations = SVID_TYPES.flatMap((type): RotationReport[] => {
    const rotation = journal.rotations[type];
    const waitingFor = lifecycle.waiting.get(type)?.names ?? [];
    if (!rotation) return [];
    const notBefore = signsNotBefore(lifecycle.schedule(type));
    return [
      {
        type,
        reason: rotation.reason,
        since: iso(rotation.since),
        ...(notBefore === undefined ? {} : { notBefore: iso(notBefore) }),
        waitingFor,
      },
    ];
  });
  return {
    trustDomain: journal.trustDomain,
    sequence: bundle.sequence,
    x509: of("x509"),
    jwt: of("jwt"),
    rotations,
    warnings: caWarnings({ lifecycle, lifetimes, upstream }),
  };
}

function signsNotBefore(schedule: ScheduleInput): number | undefined {
  const { entries, lifetimes, rotation } = schedule;
  const prepared = entries.find(({ state }) => state === "prepared");
  const active = entries.find(({ state }) => state === "active");
  // Where nothing signs, the new one does at once.
  if (!prepared || !active || !isUsable(active, schedule)) return undefined;
  const published = Math.min(publishedUntil(prepared), latestActivation(active, prepared, lifetimes));
  return rotation?.reason === "scheduled" ? Math.max(published, activateAt(active, lifetimes)) : published;
}

function describe(entry: JournalEntry, schedule: ScheduleInput): AuthorityReport {
  const { id, state, notBefore, notAfter, certificate } = entry;
  const [own] = certificate === undefined ? [] : parseCertificates(certificate, "the CA's journal");
  const { subject, serial, fingerprint } = own ? describeCertificate(own) : {};
  const next = nextOf(entry, schedule);
  const issuers = entry.upstream === undefined ? [] : issuersOf(entry);
  return {
    id,
    state,
    notBefore: iso(notBefore),
    notAfter: iso(notAfter),
    ...(next ? { next: { step: next.step, at: iso(next.at) } } : {}),
    ...(own ? { subject, serial, fingerprint } : {}),
    ...(issuers.length > 0 ? { issuers } : {}),
  };
}

function issuersOf({ issuers = [], roots = [] }: JournalEntry): CertificateReport[] {
  return [...issuers, ...roots].flatMap((pem) => parseCertificates(pem, "the CA's journal").map(describeCertificate));
}

function nextOf(
  entry: JournalEntry,
  { entries, lifetimes, rotation, now }: ScheduleInput,
): { step: "prepare-next" | "activate" | "retire"; at: number } | undefined {
  if (entry.state === "retiring") return { step: "retire", at: entry.retireAt ?? entry.notAfter };
  const active = entries.find(({ state }) => state === "active");
  if (entry.state === "active") {
    const waits = entries.some(({ state }) => state === "prepared") || rotation !== undefined;
    const at = prepareAt(entry, lifetimes);
    return waits || at <= now ? undefined : { step: "prepare-next", at };
  }
  const at = active ? activateAt(active, lifetimes) : now;
  return rotation?.reason === "scheduled" && at > now ? { step: "activate", at } : undefined;
}

/** What runs out, in words that say when and what to do. Empty where all is well. */
export function caWarnings({ lifecycle, lifetimes, upstream }: ReportParts): CaWarning[] {
  const warnings = SVID_TYPES.flatMap((type) => authorityWarnings(lifecycle, type, lifetimes));
  if (upstream?.failure) {
    const { message, help = "look at the file" } = upstream.failure;
    warnings.push({ code: "upstream-unusable", message: `the upstream authority's files are not in use: ${message}`, help });
  }
  const { now } = lifecycle.schedule("x509");
  const current = upstream?.current;
  if (current) {
    const { subject, lifeMs } = current.firstToEnd;
    const left = current.notAfter - now;
    if (left < Math.min(UPSTREAM_WARNING_MS, lifeMs * UPSTREAM_WARNING_PART)) {
      const message = `${subject}, of the upstream authority, ${left > 0 ? "expires" : "expired"} at ${iso(current.notAfter)}`;
      warnings.push({
        code: left > 0 ? "upstream-expires" : "upstream-expired",
        message: `${message}: weft cannot make identities that last longer`,
        help: "have a new certificate signed and put it, with its key, in the place of the old files: weft reads them again",
      });
    }
  }
  return warnings;
}

function authorityWarnings(lifecycle: Lifecycle, type: SvidType, lifetimes: Lifetimes): CaWarning[] {
  const schedule = lifecycle.schedule(type);
  const name = type === "x509" ? "X.509 authority" : "JWT authority";
  const active = schedule.entries.find(({ state }) => state === "active");
  if (!active || !isUsable(active, schedule)) {
    const why = !active
      ? "there is none yet"
      : !schedule.hasKey(active)
        ? "its key is lost"
        : active.notAfter <= schedule.now
          ? `it expired at ${iso(active.notAfter)}`
          : `it begins at ${iso(active.notBefore)} only`;
    const help = "weft makes a new one by itself, where it can: its log says what keeps it from that";
    return [
      {
        code: `${type}-authority-unusable`,
        message: `no ${type === "x509" ? "X.509" : "JWT"}-SVID can be issued by the ${name}: ${why}`,
        help,
      },
    ];
  }
  // Halfway between the time at which the next should have taken over, and the end.
  const overdue =
    activateAt(active, lifetimes) + ((1 - ACTIVATE_AT) / 2) * Math.min(active.notAfter - active.preparedAt, lifetimes.authorityMs);
  if (schedule.now < overdue) return [];
  const waitingFor = lifecycle.waiting.get(type)?.names ?? [];
  const who = waitingFor.length > 0 ? `, and waits for ${waitingFor.slice(0, 5).join(", ")}` : "";
  const message = `the ${name} ends at ${iso(active.notAfter)}, and the next one has not taken over${who}`;
  return [
    { code: `${type}-authority-overdue`, message, help: "look at weft's log, and at weft ca show; restarting weft disturbs no traffic" },
  ];
}

/** @throws WeftError "unavailable" where an authority cannot sign */
export function refuseUnusable(parts: ReportParts): void {
  const warnings = caWarnings(parts);
  const unusable = warnings.find(({ code }) => code.endsWith("-authority-unusable"));
  if (!unusable) return;
  // Why no new one could be made is the more useful half.
  const cause = warnings.find(({ code }) => code === "upstream-expired" || code === "upstream-unusable");
  const message = cause ? `${unusable.message}; ${cause.message}` : unusable.message;
  throw new WeftError("unavailable", message, { help: (cause ?? unusable).help });
}
