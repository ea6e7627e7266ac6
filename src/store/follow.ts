/**
 * Watching without a queue: a watcher holds one number, the revision that it has seen, and reads the next one from the log when its
 * reader asks. So a slow reader costs no memory, and there is no seam between old revisions and new ones where one could fall through.
 */
import type { LostEvent, RevisionEvent } from "./store.ts";

/** Wakes those who wait for the next commit. */
export class Wakeups {
  readonly #waiting = new Set<() => void>();

  wakeAll(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves at the next wakeAll or abort; never rejects. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

/** A reader that catches up on thousands of revisions must not keep the event loop from everything else. */
const REVISIONS_PER_TURN = 64;

/**
 * @param next the first revision after the given one; undefined where there is none yet; a LostEvent where the log cannot tell
 */
export async function* follow(
  since: number,
  signal: AbortSignal,
  next: (after: number) => RevisionEvent | LostEvent | undefined,
  wakeups: Wakeups,
): AsyncGenerator<RevisionEvent | LostEvent> {
  let seen = since;
  let read = 0;
  while (!signal.aborted) {
    const event = next(seen);
    if (event === undefined) {
      // No await stands between the look and the wait, so no commit can slip in between.
      await wakeups.wait(signal);
      continue;
    }
    yield event;
    if (event.type === "lost") return;
    seen = event.revision;
    if (++read % REVISIONS_PER_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Why a watch cannot go on after revision `after`, or undefined where it can. */
export function lostReason(after: number, log: { readonly revision: number; readonly compacted: number }): LostEvent | undefined {
  if (after > log.revision) {
    return { type: "lost", reason: `revision ${after} is ahead of the store, which is at ${log.revision}: list again` };
  }
  if (after < log.compacted) {
    return { type: "lost", reason: `the history up to revision ${log.compacted} was compacted, ${after} is before it: list again` };
  }
  return undefined;
}
