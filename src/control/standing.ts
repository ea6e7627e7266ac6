/** What weft says of a store that follows an engine: in its log, its health and its metrics. */
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { behindText, reasonText } from "../store/behind.ts";
import type { Store } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Said } from "./health.ts";

/**
 * Whether the store takes a write. One that follows an engine serves without it, so that it cannot be written to is said, and is no failure: nothing is
 * won by ending a weft that serves.
 * @param revision that is served
 * @throws WeftError "unavailable"
 */
export async function checkStore(store: Pick<Store, "standing" | "checkWritable">, revision: number): Promise<Said | undefined> {
  const standing = store.standing?.();
  if (!standing) {
    await store.checkWritable();
    return undefined;
  }
  const { warnings, behindMs, engine } = standing;
  if (!standing.inTouch) {
    const message = `${behindText(revision, behindMs)}: ${reasonText(standing)}`;
    return { message, warnings: [message, ...warnings] };
  }
  try {
    await store.checkWritable();
    return { message: `serving revision ${revision}, in touch with ${engine}`, warnings };
  } catch (error) {
    const message = `serving revision ${revision}, and it cannot be changed now: ${WeftError.from(error).message}`;
    return { message, warnings: [message, ...warnings] };
  }
}

export interface StandingOptions {
  readonly store: Pick<Store, "standing" | "onPrivate">;
  /** That is served. */
  readonly revision: () => number;
  readonly metrics: Pick<Metrics, "storeInTouch" | "storeBehind">;
  readonly clock: Clock;
  readonly log: { info(message: string): void; warning(message: string): void };
}

/** Metrics are brought up to date so often. */
const EVERY_MS = 5_000;
/** A gap that is shorter is no news: members that change their leader, say. */
const NEWS_MS = 1_000;

/** @returns what ends it */
export function followStanding({ store, revision, metrics, clock, log }: StandingOptions): () => void {
  if (!store.standing?.()) return () => {};
  const warned = new Set<string>();
  let told = true;
  let cancel = () => {};
  const look = (isLate: boolean) => {
    const standing = store.standing?.();
    if (!standing) return;
    const { inTouch, behindMs, engine, warnings } = standing;
    metrics.storeInTouch.set(inTouch ? 1 : 0);
    if (behindMs !== undefined) metrics.storeBehind.set(behindMs / 1000);
    for (const warning of warnings) if (!warned.has(warning)) log.warning(warning);
    for (const warning of warnings) warned.add(warning);
    if (inTouch && !told) log.info(`in touch with ${engine} again, at revision ${revision()}`);
    if (!inTouch && told && isLate) log.warning(`${behindText(revision(), behindMs)}: ${reasonText(standing)}`);
    if (inTouch || isLate) told = inTouch;
  };
  const again = () => {
    cancel = clock.after(store.standing?.().inTouch ? EVERY_MS : NEWS_MS, () => {
      look(true);
      again();
    });
  };
  const stop = store.onPrivate((collection) => {
    if (collection === "") look(false);
  });
  look(false);
  again();
  return () => {
    stop();
    cancel();
  };
}
