/** The command line of scripts/abuse. Exit 0 where nothing got in, memory came back, and weft served on; 1 where not; 2 where it could not run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../../src/lib/clock.ts";
import { ATTACKS } from "./attacks/index.ts";
import { openSiege, type Siege } from "./siege.ts";
import type { Attack, Door } from "./types.ts";

/** MiB above what weft had before the first attack: what may be left of an attack a moment after it, and what it may take meanwhile. */
const MOST_LEFT = { stranger: 384, workload: 384, editor: 512 };
const MOST_MEANWHILE = { stranger: 512, workload: 512, editor: 896 };
/** How long memory may take to come back: collections come when they come. */
const SETTLE_MS = 5_000;

interface Row {
  readonly cells: readonly string[];
  readonly failures: readonly string[];
}

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    quick: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const chosen = ATTACKS.filter(({ name }) => !values.only || values.only.some((part) => name.toLowerCase().includes(part.toLowerCase())));
if (values.list) {
  for (const { name, by } of chosen) console.log(`${by.padEnd(9)} ${name}`);
  process.exit(0);
}
const envoy = process.env.WEFT_ENVOY || Bun.which("envoy");
if (chosen.length === 0 || !envoy) {
  console.error(envoy ? "no such attack: scripts/abuse --list names them" : "no Envoy: set WEFT_ENVOY, or run scripts/setup --envoy");
  process.exit(2);
}

const root = join(import.meta.dir, "../../..");
const built = process.env.WEFT_BINARY ?? join(root, "dist/weft");
const siege = await openSiege({ binary: existsSync(built) ? built : undefined, envoy, root });
const failures: string[] = [];
try {
  const before = siege.memory().now;
  console.log(
    `weft ${existsSync(built) ? "as built" : "from its sources"}, ${before.toFixed(0)} MiB before the first attack; bounds: ${MOST_MEANWHILE.stranger} MiB more during an attack (an editor's: ${MOST_MEANWHILE.editor}), ${MOST_LEFT.stranger} (${MOST_LEFT.editor}) MiB more after it\n`,
  );
  const widths = [56, 9, 12, 9, 6, 21, 8, 8];
  const print = (cells: readonly string[]) =>
    console.log(
      cells
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join(" ")
        .trimEnd(),
    );
  print(["ATTACK", "BY", "DOOR", "ATTEMPTS", "GOT IN", "MiB BEFORE PEAK AFTER", "LONGEST", "SERVING", "NOTE"]);
  for (const attack of chosen) {
    for (const door of siege.doors.filter((one) => isOn(attack, one))) {
      const row = await play(siege, attack, door, before);
      print(row.cells);
      failures.push(...row.failures);
    }
  }
} finally {
  await siege.close();
}
for (const failure of failures) console.error(`FAILED ${failure}`);
console.log(failures.length === 0 ? "\nnothing got in, memory came back, weft served on" : `\n${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);

function isOn({ on }: Attack, door: Door): boolean {
  if (typeof on === "function") return on(door);
  return on === "http2" ? door.speaks !== "admin" : door.speaks === on;
}

async function play(siege: Siege, attack: Attack, door: Door, base: number): Promise<Row> {
  const [full, quick] = attack.times;
  const before = siege.memory().now;
  siege.forgetPeak();
  const watch = siege.watch();
  const { attempts, gotIn, note = "" } = await attack.run(siege, door, values.quick ? quick : full);
  const { longestMs, failed } = await watch.stop();
  const broken = await siege.broken();
  const { peak } = siege.memory();
  const after = await settled(siege, base + MOST_LEFT[attack.by]);
  const what = `${attack.name} (${door.name})`;
  const failures = [
    ...(gotIn > 0 ? [`${what}: ${gotIn} of ${attempts} got in`] : []),
    ...(broken ? [`${what}: ${broken}`] : []),
    ...(failed > 0 ? [`${what}: ${failed} calls failed meanwhile`] : []),
    ...(peak > base + MOST_MEANWHILE[attack.by] ? [`${what}: ${peak.toFixed(0)} MiB during it`] : []),
    ...(after > base + MOST_LEFT[attack.by] ? [`${what}: ${after.toFixed(0)} MiB after it`] : []),
  ];
  const memory = [before, peak, after].map((mebibytes) => mebibytes.toFixed(0).padStart(6)).join(" ");
  const serving = broken || failed > 0 ? "NO" : "yes";
  const cells = [attack.name, attack.by, door.name, String(attempts), String(gotIn), memory, `${longestMs.toFixed(0)} ms`, serving, note];
  return { cells, failures };
}

async function settled(siege: Siege, bound: number): Promise<number> {
  const until = systemClock.monotonic() + SETTLE_MS;
  while (siege.memory().now > bound && systemClock.monotonic() < until) await Bun.sleep(100);
  return siege.memory().now;
}
