/** The command line of scripts/soak. Exit 0 where memory stayed flat, no update was lost and nothing failed; 1 where not; 2 where it could not run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    envoys: { type: "string", default: "4" },
    streams: { type: "string", default: "40" },
  },
});
const [minutes, seed, envoys, streams] = [values.minutes, values.seed, values.envoys, values.streams].map(Number);
const envoy = process.env.WEFT_ENVOY || Bun.which("envoy");
if (!envoy) give("no Envoy: set WEFT_ENVOY, or run scripts/setup --envoy");
if (!minutes || minutes < 0.3) give("--minutes takes a number from 0.3 up");
if (!Number.isInteger(envoys) || envoys === undefined || envoys < 3)
  give("--envoys takes a number from 3 up: two that serve, and the callers");
if (!Number.isInteger(streams) || streams === undefined || streams < 1) give("--streams takes a number from 1 up");
if (!Number.isInteger(seed) || seed === undefined) give("--seed takes a whole number");

const root = join(import.meta.dir, "../../..");
const built = process.env.WEFT_BINARY ?? join(root, "dist/weft");
const binary = existsSync(built) ? built : undefined;
process.exit(await soak({ minutes, seed, envoys, streams, envoy, binary, root }));

function give(words: string): never {
  console.error(words);
  process.exit(2);
}
