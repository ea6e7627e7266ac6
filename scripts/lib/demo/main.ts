/**
 * The demo: main.ts WEFT ENVOY [--check]. Exit 0: all proofs held (or the user ended it), 1: one did not, 2: it could not run,
 * 128 + N: signal N ended it before it was up.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { PROOFS } from "./proofs.ts";
import { formatLogs, formatNextSteps, formatTable, type Row } from "./report.ts";
import { openTownProcesses, startTown, type Town } from "./town.ts";

/** Long enough for Envoys without traffic to drain, short enough for a Ctrl-C. */
const STOP_LIMIT_MS = 3_000;

const [binary = "", envoy = "", ...flags] = process.argv.slice(2);
const check = flags.includes("--check");
const directory = mkdtempSync(join(tmpdir(), "weft-demo-"));
const processes = openTownProcesses(directory);
const progress = (message: string) => console.error(`==> ${message}`);

let ending: Promise<never> | undefined;
/** Ends what was started, then this process; the first call decides. */
function end(code: number, keep: "all" | "mesh" | "nothing"): Promise<never> {
  ending ??= (async () => {
    await processes.stopAll(STOP_LIMIT_MS);
    if (keep === "nothing") rmSync(directory, { recursive: true, force: true });
    // The CA's key and the tokens have no use any more.
    else if (keep === "mesh") {
      for (const folder of ["data", "logs/tmp"]) rmSync(join(directory, folder), { recursive: true, force: true });
      // The user may have edited the policies.
      console.error(`==> kept: ${directory} (mesh/ with the policies, logs/)`);
    }
    process.exit(code);
  })();
  return ending;
}

let isUp = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (!ending) console.error("\n==> ending everything");
    end(isUp ? 0 : 128 + constants.signals[signal], isUp ? "mesh" : "nothing");
  });
}

async function prove(town: Town): Promise<Row[]> {
  const rows: Row[] = [];
  for (const proof of PROOFS) {
    progress(`proving ${proof.name}${proof.policy ? ` (${proof.policy})` : ""}`);
    const began = systemClock.monotonic();
    const outcome = await proof
      .run(town)
      .catch((reason) => ({ held: false, measured: reason instanceof Error ? reason.message : String(reason) }));
    rows.push({ proof, ...outcome, milliseconds: systemClock.monotonic() - began });
    // What follows a signal fails for that reason only.
    if (ending) await ending;
  }
  return rows;
}

try {
  const began = systemClock.monotonic();
  const town = await startTown({ binary, envoy, directory, progress }, processes);
  const rows = await prove(town);
  const failed = rows.filter(({ held }) => !held);
  console.log(`\n${formatTable(rows)}\n`);
  console.log(`${rows.length - failed.length} of ${rows.length} held, in ${((systemClock.monotonic() - began) / 1000).toFixed(1)} s`);
  if (failed.length > 0) {
    console.error(`\n${formatLogs(processes, 5)}\nfailed: ${failed.map(({ proof }) => proof.name).join(", ")}`);
    if (check) await end(1, "all");
  }
  if (check) await end(0, "nothing");
  isUp = true;
  console.log(formatNextSteps(town));
  // Nothing to do but to keep the applications answering, until a signal; or until weft is gone.
  const code = await town.weft.process().exited;
  if (!ending) {
    console.error(`weft has ended (code ${code}):\n${town.weft.process().tail()}\nlogs: ${processes.logDirectory}`);
    await end(2, "all");
  }
} catch (reason) {
  if (!ending) console.error(`\n${formatLogs(processes, 5)}\nerror: ${reason instanceof Error ? reason.message : String(reason)}`);
  await end(2, "all");
}
