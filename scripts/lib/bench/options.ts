/** The command line of scripts/bench. */
import { parseArgs } from "node:util";
import { CHANGES, type ChangeKind } from "./mesh.ts";

export type Protocol = "delta" | "sotw";
/** "compare" without a flag, the others by their names. */
export type Mode = "compare" | "growth" | "apply" | "crowd";

export interface Options {
  readonly services: number;
  readonly streams: number;
  readonly protocols: readonly Protocol[];
  readonly change: ChangeKind;
  readonly rounds: number;
  readonly mode: Mode;
  /** A small mesh, and short rests: to see that all works, not to measure. */
  readonly quick: boolean;
  /** Whether go-control-plane and the floor run too. */
  readonly peers: boolean;
  /** weft as it stands in src, not as built. */
  readonly sources: boolean;
  readonly json: string | undefined;
  readonly cpuProfile: string | undefined;
}

export const USAGE = `scripts/bench [--services N] [--streams K] [--delta | --sotw] [--change endpoint|route|policy|peerauth] [--rounds R] [--quick]
              [--growth | --apply | --crowd] [--weft-only] [--json FILE] [--sources] [--cpu-profile DIR]
scripts/bench --store [--sizes N,N] [--rounds R] [--json FILE] [--no-serve]: the store and the command line

Runs weft, go-control-plane and the floor (responses marshalled once) in turns, R times, and prints what each takes and their ratios.
Without --delta or --sotw it takes both. --growth: tables for growing meshes and fleets (delta, or --sotw). --apply: from an apply that moves one endpoint to
the encoded bytes at a proxy, as the mesh grows. --crowd: what changes take to 100 proxies in sync while 1,000 and 5,000 others reconnect at once. --quick: a small mesh, one round. --sources runs src/main.ts in place of dist/weft;
--cpu-profile has it leave a profile of each run in DIR.`;

/** @throws Error with what is wrong, for people */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      services: { type: "string" },
      streams: { type: "string" },
      delta: { type: "boolean", default: false },
      sotw: { type: "boolean", default: false },
      change: { type: "string", default: "endpoint" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      growth: { type: "boolean", default: false },
      apply: { type: "boolean", default: false },
      crowd: { type: "boolean", default: false },
      "weft-only": { type: "boolean", default: false },
      json: { type: "string" },
      sources: { type: "boolean", default: false },
      "cpu-profile": { type: "string" },
    },
  });
  const change = CHANGES.find((one) => one === values.change);
  if (!change) throw new Error(`--change ${values.change}: it is one of ${CHANGES.join(", ")}`);
  const modes = (["growth", "apply", "crowd"] as const).filter((mode) => values[mode]);
  if (modes.length > 1) throw new Error(`--${modes.join(" and --")} exclude each other`);
  const own =
    values.apply || values.crowd
      ? (["services", "streams", "rounds", "weft-only", "delta", "sotw"] as const)
      : (["services", "streams", "rounds", "weft-only"] as const);
  const unused = own.filter((flag) => values[flag]);
  if (modes.length > 0 && unused.length > 0)
    throw new Error(`--${modes[0]} has its own sizes and runs: leave out --${unused.join(", --")}`);
  const profiled = values["cpu-profile"];
  if (profiled !== undefined && !values.sources) throw new Error("--cpu-profile needs --sources: the executable takes no flags of Bun's");
  const all: readonly Protocol[] = ["delta", "sotw"];
  const protocols = all.filter((protocol) => values[protocol]);
  return {
    services: count("--services", values.services, values.quick ? 50 : 1000),
    streams: count("--streams", values.streams, values.quick ? 20 : 1000),
    protocols: protocols.length > 0 ? protocols : all,
    change,
    rounds: count("--rounds", values.rounds, values.quick ? 1 : 3),
    mode: modes[0] ?? "compare",
    quick: values.quick,
    peers: !values["weft-only"],
    sources: values.sources,
    json: values.json,
    cpuProfile: profiled,
  };
}

function count(flag: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${flag} ${text}: it is a whole number from 1`);
  return value;
}
