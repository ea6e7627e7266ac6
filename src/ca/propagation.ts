/** Whether a prepared authority may begin to sign: who must trust it first, and how long who does not is waited for. */
import type { JournalEntry } from "./journal.ts";
import { type Lifetimes, PUBLISHED_AT_LEAST_MS, RECONNECT_GRACE_MS } from "./lifetimes.ts";
import type { TrustPropagation } from "./types.ts";

export interface Waiting {
  /** For people. */
  readonly names: readonly string[];
  /** When the wait ends at the latest; milliseconds since the epoch. */
  readonly until: number;
}

export interface PropagationInput {
  readonly entry: JournalEntry;
  readonly now: number;
  /** Since proxies could connect. */
  readonly uptimeMs: number;
  readonly lifetimes: Lifetimes;
  /** Nobody is waited for any longer. */
  readonly latest: number;
  readonly missing: ReturnType<TrustPropagation["missing"]>;
}

/**
 * The rules, each by its name:
 * - latest: after this nobody is waited for, because the old authority can no longer give an SVID its whole life.
 * - published: a new authority is in the bundle for PUBLISHED_AT_LEAST_MS before it signs.
 * - connected: every connected proxy has acknowledged the bundle.
 * - away: a proxy that left is waited for until an SVID's life after the publication. Who was not here in all that time has no SVID that is
 *   still valid; and who comes later gets the new bundle before anything else.
 * - reconnect: after a restart nobody is known to be away, so those who may be on their way are given RECONNECT_GRACE_MS.
 */
export function mayActivate(input: PropagationInput): { readonly leftBehind: readonly string[] } | { readonly waiting: Waiting } {
  const { entry, now, uptimeMs, lifetimes, latest, missing } = input;
  const all = [...missing.connected, ...missing.away.map((name) => `${name} (away)`)];
  if (now >= latest) return { leftBehind: all };
  const waiting = (names: readonly string[], until: number) => ({ waiting: { names, until: Math.min(until, latest) } });

  const published = publishedUntil(entry);
  if (missing.connected.length > 0) return waiting(all, latest);
  const svidsEnd = entry.preparedAt + lifetimes.x509SvidMs;
  if (missing.away.length > 0 && now < svidsEnd) return waiting(all, svidsEnd);
  if (uptimeMs < RECONNECT_GRACE_MS && now < svidsEnd) return waiting(["proxies that may reconnect"], now + RECONNECT_GRACE_MS - uptimeMs);
  if (now < published) return waiting(["who reads the bundle"], published);
  return { leftBehind: all };
}

/** Before this a new authority does not sign while another can; milliseconds since the epoch. */
export function publishedUntil({ preparedAt, type }: JournalEntry): number {
  return preparedAt + PUBLISHED_AT_LEAST_MS[type];
}
