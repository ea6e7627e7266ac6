/**
 * A demo: builds its stage, proves one claim after another, prints what held, and ends; or stays up until Ctrl-C. Exit 0: all held (or the user ended it),
 * 1: one did not, 2: it could not run, 128 + N: signal N ended it before it was up.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { openProcesses, type Processes, type StartedProcess } from "./processes.ts";

export interface Outcome {
  readonly held: boolean;
  /** The figures. */
  readonly measured: string;
}

export interface Proof<Stage> {
  readonly name: string;
  /** The file that it applies, if any. */
  readonly policy?: string;
  run(stage: Stage): Promise<Outcome>;
}

export interface Show<Stage> {
  /** Of the script: its temporary directory is called after it. */
  readonly name: string;
  /** It ends by itself. */
  readonly check: boolean;
  /** `directory` is new, and has logs/ in it. */
  start(how: { readonly directory: string; readonly processes: Processes; readonly progress: (message: string) => void }): Promise<Stage>;
  readonly proofs: readonly Proof<Stage>[];
  /** Commands that work as they stand, while it is up. */
  nextSteps(stage: Stage): string;
  /** What it stays up for: with its end the show ends. */
  main(stage: Stage): StartedProcess;
  /** Folders of the directory that hold keys and tokens: what the user keeps is without them. */
  readonly secret: readonly string[];
}

/** Long enough for Envoys without traffic to drain, short enough for a Ctrl-C. */
const STOP_LIMIT_MS = 3_000;

/** Ends the process. */
export async function runShow<Stage>(show: Show<Stage>): Promise<never> {
  const directory = mkdtempSync(join(tmpdir(), `weft-${show.name}-`));
  mkdirSync(join(directory, "logs"));
  const processes = openProcesses(join(directory, "logs"));
  const progress = (message: string) => console.error(`==> ${message}`);

  let ending: Promise<never> | undefined;
  /** Ends what was started, then this process; the first call decides. */
  const end = (code: number, keep: "all" | "mesh" | "nothing"): Promise<never> => {
    ending ??= (async () => {
      await processes.stopAll(STOP_LIMIT_MS);
      if (keep === "nothing") rmSync(directory, { recursive: true, force: true });
      else if (keep === "mesh") {
        for (const folder of [...show.secret, "logs/tmp"]) rmSync(join(directory, folder), { recursive: true, force: true });
        // The user may have edited the policies.
        console.error(`==> kept: ${directory} (mesh/ with the policies, logs/)`);
      }
      process.exit(code);
    })();
    return ending;
  };
  let isUp = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (!ending) console.error("\n==> ending everything");
      end(isUp ? 0 : 128 + constants.signals[signal], isUp ? "mesh" : "nothing");
    });
  }

  try {
    const began = systemClock.monotonic();
    const stage = await show.start({ directory, processes, progress });
    const rows: Row[] = [];
    for (const proof of show.proofs) {
      progress(`proving ${proof.name}${proof.policy ? ` (${proof.policy})` : ""}`);
      const failed = (reason: unknown) => ({ held: false, measured: reason instanceof Error ? reason.message : String(reason) });
      rows.push({ ...proof, ...(await proof.run(stage).catch(failed)) });
      // What follows a signal fails for that reason only.
      if (ending) await ending;
    }
    const failed = rows.filter(({ held }) => !held);
    console.log(`\n${formatTable(rows)}\n`);
    console.log(`${rows.length - failed.length} of ${rows.length} held, in ${((systemClock.monotonic() - began) / 1000).toFixed(1)} s`);
    if (failed.length > 0) console.error(`\n${formatLogs(processes, 5)}\nfailed: ${failed.map(({ name }) => name).join(", ")}`);
    if (show.check) await end(failed.length > 0 ? 1 : 0, failed.length > 0 ? "all" : "nothing");
    isUp = true;
    console.log(show.nextSteps(stage));
    // Nothing to do but to keep the applications answering, until a signal; or until weft is gone.
    const main = show.main(stage);
    const code = await main.exited;
    if (!ending) {
      console.error(`${main.name} has ended (code ${code}):\n${main.tail()}\nlogs: ${processes.logDirectory}`);
      await end(2, "all");
    }
  } catch (reason) {
    if (!ending) console.error(`\n${formatLogs(processes, 5)}\nerror: ${reason instanceof Error ? reason.message : String(reason)}`);
    await end(2, "all");
  }
  return end(2, "all");
}

interface Row extends Outcome {
  readonly name: string;
  readonly policy?: string;
}

/** One numbered line a claim; the policies have a column where there are any. */
function formatTable(rows: readonly Row[]): string {
  const hasPolicies = rows.some(({ policy }) => policy !== undefined);
  const cells = (number: string, held: string, name: string, policy: string, measured: string) =>
    hasPolicies ? [number, held, name, policy, measured] : [number, held, name, measured];
  const all = [
    cells("", "", "what", "policy", "measured"),
    ...rows.map(({ name, policy = "", held, measured }, index) => cells(`${index + 1}`, held ? "ok" : "FAILED", name, policy, measured)),
  ];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  // The last column is as long as it likes.
  return all
    .map((row) =>
      row
        .map((cell, column) => (column < row.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function formatLogs(processes: Processes, lines: number): string {
  const tails = processes.running().map(({ name, tail }) => `--- ${name} (the last ${lines} lines)\n${tail(lines)}`);
  return [...tails, `logs: ${processes.logDirectory}`].join("\n");
}

/** A word for a POSIX shell. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
