/** The servers that are measured: weft on a data directory, and the two peers that serve what weft was seen to serve. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Processes, StartedProcess } from "../lab/processes.ts";
import { waitFor } from "../lab/wait.ts";

/** How long a server may take to serve; ten thousand services take their time to be read. */
const READY_LIMIT_MS = 180_000;

export interface Trigger {
  readonly unix?: string;
  readonly url: (state: "a" | "b") => string;
  /** The file that is posted; a GET where there is none. */
  readonly body?: (state: "a" | "b") => string;
}

export interface Server {
  readonly process: StartedProcess;
  /** As `load -address` takes it. */
  readonly ads: string;
  readonly trigger: Trigger;
  stop(): Promise<void>;
}

export interface WeftPlace {
  /** What starts it, up to the verb. */
  readonly command: readonly string[];
  readonly data: string;
  /** Directory of the files KIND-a.yaml and KIND-b.yaml. */
  readonly changes: string;
}

export async function startWeft(processes: Processes, place: WeftPlace, change: string): Promise<Server> {
  const { data } = place;
  rmSync(join(data, "listening.json"), { force: true });
  const process = processes.start("weft", [...place.command, "run", "--data", data, "--ads", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
  const unix = join(data, "admin.sock");
  await waitFor(
    "weft to be ready",
    async () => !process.running() || (await fetch("http://weft/readyz", { unix })).status === 200,
    Boolean,
    { limitMs: READY_LIMIT_MS },
  );
  if (!process.running()) throw new Error(`weft ended:\n${process.tail()}`);
  const { ads } = JSON.parse(readFileSync(join(data, "listening.json"), "utf8"));
  return {
    process,
    ads,
    trigger: { unix, url: () => "http://weft/v1/apply", body: (state) => join(place.changes, `${change}-${state}.yaml`) },
    stop: () => process.stop(),
  };
}

/** What the load client saw of weft in both states. */
export interface Dumps {
  readonly a: string;
  readonly b: string;
}

export async function startPeer(processes: Processes, program: string, dumps: Dumps, flags: readonly string[] = []): Promise<Server> {
  const name = `peer-${processes.running().length}-${peers++}`;
  const process = processes.start(name, [program, ...flags, "-dump-a", dumps.a, "-dump-b", dumps.b]);
  const line = await waitFor(
    "the peer to serve",
    () => (process.running() ? process.tail(1) : "{}"),
    (last) => last.startsWith("{"),
    { limitMs: READY_LIMIT_MS },
  );
  const { ads, http } = JSON.parse(line);
  if (!ads) throw new Error(`the peer ended:\n${process.tail()}`);
  return { process, ads, trigger: { url: (state) => `http://${http}/to?state=${state}` }, stop: () => process.stop() };
}

let peers = 0;
