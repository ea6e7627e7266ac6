/** The matrix as people read it. */
import type { Cell } from "./cells.ts";
import type { Trial } from "./trial.ts";

export interface Skipped extends Cell {
  readonly reason: string;
  /** It makes no sense on any machine. */
  readonly everywhere: boolean;
}

const HEAD = [
  "",
  "store",
  "fault",
  "target",
  "changes",
  "refused",
  "unknown",
  "no change for",
  "recovery",
  "calls",
  "failed",
  "explained",
  "note",
];

export function formatTrials(trials: readonly Trial[], skipped: readonly Skipped[]): string {
  const rows = trials.map((trial) => [
    trial.wrong.length === 0 ? "ok" : "FAILED",
    trial.store,
    trial.fault,
    trial.target,
    String(trial.made),
    String(trial.refused),
    String(trial.unknown),
    seconds(trial.pauseMs),
    trial.isBroken ? "never" : seconds(trial.recoveryMs),
    String(trial.calls),
    String(trial.failedCalls),
    trial.explained,
    trial.notes.join("; "),
  ]);
  const all = [HEAD, ...rows];
  const widths = HEAD.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const table = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const wrong = trials.flatMap(({ store, fault, target, wrong: list }) => list.map((one) => `FAILED ${store} ${fault}/${target}: ${one}`));
  const left = skipped.map(({ store, fault, target, reason, everywhere }) =>
    everywhere ? `not possible: ${store} ${fault}/${target}: ${reason}` : `SKIPPED ${store} ${fault}/${target}: ${reason}`,
  );
  return [...table, ...left, ...wrong].join("\n");
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
