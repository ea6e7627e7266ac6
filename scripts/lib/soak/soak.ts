/** A run: a mesh that is changed, called and measured, and what came of it. */
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { waitFor } from "../lab/wait.ts";
import { growthOf, residentMib, type Sample } from "./memory.ts";
import { type Random, randomFrom } from "./random.ts";
import { errorsIn, openTown, type Town, type TownOptions } from "./town.ts";
import { startTraffic, type Traffic } from "./traffic.ts";
import { differences, staleRoutes, unacknowledged } from "./verify.ts";

export interface SoakOptions extends Omit<TownOptions, "services"> {
  readonly minutes: number;
  readonly seed: number;
}

const SERVICES = 20;
/** Part of the run after which memory is sampled: caches are full, code is compiled. */
const WARM_UP = 0.25;
const SAMPLE_EVERY_MS = 500;
/** Between two edits. */
const EDIT_EVERY_MS = 120;
/** Of ten edits, so many end a stream and open another. */
const STREAM_CHANGES = 2;
const RESTART_EVERY_MS = 12_000;
/**
 * How much the line through the low points may rise over the run. 20 KB that stay of each edit are 10 MiB a minute. A garbage collector gives back when
 * it likes, and code is compiled as it gets hot, which makes a short run's line steep: hence the constants. Half a minute proves the rest, and of memory only the grossest.
 */
const RISE_MIB = { short: 128, long: 32, aMinute: 0.5 };
const LONG_MINUTES = 5;
const SHOWN = 5;

interface Counts {
  edits: number;
  streamChanges: number;
  restarts: number;
}

/** @returns the exit code */
export async function soak(options: SoakOptions): Promise<number> {
  const { minutes, seed, envoys, streams, binary } = options;
  console.log(
    `weft ${binary ? "as built" : "from its sources"}, ${envoys} Envoys, ${streams} streams, ${SERVICES} services, ${minutes} minutes, seed ${seed}\n`,
  );
  const town = await openTown({ ...options, services: SERVICES });
  try {
    const run = await live(town, minutes * 60_000, randomFrom(seed));
    return await judge(town, run, minutes);
  } finally {
    await town.close();
  }
}

interface Run {
  readonly counts: Counts;
  readonly traffic: Traffic;
  readonly samples: readonly Sample[];
  /** What an edit or restart threw. */
  readonly troubles: readonly string[];
}

async function live(town: Town, runMs: number, random: Random): Promise<Run> {
  const counts = { edits: 0, streamChanges: 0, restarts: 0 };
  const [samples, troubles]: [Sample[], string[]] = [[], []];
  await town.converged(await town.edit(town.mesh.next(random)));
  const traffic = startTraffic(town.callers, town.sidecar);
  const began = systemClock.monotonic();
  const past = () => systemClock.monotonic() - began;
  const every = async (ms: number, what: () => Promise<void> | void) => {
    while (past() < runMs) {
      try {
        await what();
      } catch (reason) {
        troubles.push(String(reason));
      }
      await sleep(systemClock, ms);
    }
  };
  await Promise.all([
    every(EDIT_EVERY_MS, async () => {
      await town.edit(town.mesh.next(random));
      counts.edits += 1;
      if (random.below(10) < STREAM_CHANGES) {
        const name = random.pick([...town.streams.keys()]);
        await town.streams.get(name)?.close();
        town.streams.set(name, await town.connect(name));
        counts.streamChanges += 1;
      }
    }),
    every(RESTART_EVERY_MS, async () => {
      await restart(town, traffic, counts.restarts);
      counts.restarts += 1;
    }),
    every(SAMPLE_EVERY_MS, () => {
      if (past() > runMs * WARM_UP) samples.push({ at: past(), mib: residentMib(town.weft.process().pid) });
    }),
  ]);
  return { counts, traffic, samples, troubles };
}

/** In turn, so that each is restarted: callers without calls under way, servers out of the service. */
async function restart({ callers, servers, serve, restart, sidecar }: Town, traffic: Traffic, turn: number): Promise<void> {
  const name = [...callers, ...servers][turn % (callers.length + servers.length)] ?? "";
  if (servers.includes(name)) {
    await serve(name, false);
    await restart(name);
    await serve(name, true);
    return;
  }
  await traffic.pause(name);
  await restart(name);
  const listeners = () => sidecar(name).stat("listener_manager.total_listeners_active");
  await waitFor(`the listeners of ${name}`, listeners, (count) => count > 0);
  traffic.resume(name);
}

async function judge(town: Town, { counts, traffic, samples, troubles }: Run, minutes: number): Promise<number> {
  const { weft, mesh } = town;
  const revision = await town.edit(mesh.last());
  await town.converged(revision);
  const stale = await staleRoutes(town);
  await traffic.stop();
  const pending = await unacknowledged(town, revision);
  const [pushes, nacks, svids] = await Promise.all(
    ["weft_pushes_total", "weft_nacks_total", "weft_svids_issued_total"].map((name) => weft.metric(name)),
  );
  const different = await differences(town);
  const errors = errorsIn(weft.process().log);
  const { slope, rise, first, last, most } = growthOf(samples);
  const bound = (minutes < LONG_MINUTES ? RISE_MIB.short : RISE_MIB.long) + RISE_MIB.aMinute * minutes;

  const rows: readonly (readonly [what: string, value: string, mistakes: readonly string[]])[] = [
    ["edits", `${counts.edits}`, troubles],
    ["streams ended and opened", `${counts.streamChanges}`, []],
    ["Envoys restarted", `${counts.restarts}`, []],
    ["pushes", `${pushes} (${svids} SVIDs issued)`, []],
    ["refused by a proxy (NACK)", `${nacks}`, nacks === 0 ? [] : [`${nacks} pushes were refused`]],
    [
      "calls through Envoys",
      `${traffic.calls}, ${traffic.failures.length} failed`,
      traffic.failures.map(({ from, at, words }) => `${from} after ${(at / 1000).toFixed(1)} s: ${words}`),
    ],
    ["last edit at the callers", stale.length === 0 ? "yes" : "no", stale],
    ["acknowledged by all at the end", pending.length === 0 ? "yes" : "no", pending],
    ["what proxies held is what a fresh weft sends", different.length === 0 ? "yes" : "no", different],
    ["errors in weft's log", `${errors.length}`, errors],
    ["memory after warm-up", `${first.toFixed(0)} MiB, at the end ${last.toFixed(0)}, at most ${most.toFixed(0)}`, []],
    [
      "memory's slope",
      `${slope.toFixed(1)} MiB/hour: ${rise.toFixed(1)} MiB in this run, bound ${bound.toFixed(0)}`,
      rise <= bound ? [] : [`memory rose by ${rise.toFixed(1)} MiB, more than ${bound.toFixed(0)}`],
    ],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  for (const [what, value, mistakes] of rows) console.log(`${mistakes.length === 0 ? "ok    " : "FAILED"} ${what.padEnd(width)}  ${value}`);
  for (const [what, , mistakes] of rows) {
    for (const mistake of mistakes.slice(0, SHOWN)) console.error(`FAILED ${what}: ${mistake}`);
    if (mistakes.length > SHOWN) console.error(`FAILED ${what}: and ${mistakes.length - SHOWN} more`);
  }
  return rows.every(([, , mistakes]) => mistakes.length === 0) ? 0 : 1;
}
