/** The faults themselves: made, and taken back. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { openEtcd } from "../../../src/store/etcd/index.ts";
import { openRedis } from "../../../src/store/redis/index.ts";
import { makeImage } from "../../../src/store/replica/image.ts";
import type { StartedProcess } from "../lab/processes.ts";
import type { Cell } from "./cells.ts";
import type { Host } from "./hosts.ts";
import type { FaultMesh, FaultNode } from "./mesh.ts";
import type { FaultStore, StoreMember } from "./store.ts";

/** What a fault is made of: a process on a host, that can be started again. */
interface Victim {
  readonly host: Host;
  process(): StartedProcess;
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
}

export interface FaultTools {
  /** Path of libfaketime.so; undefined where it is not to be had. */
  readonly faketime: string | undefined;
  /** How long a fault lasts, milliseconds. */
  readonly holdMs: number;
}

export interface Made {
  /** When it was taken back, on the monotonic clock. */
  readonly healedAt: number;
  /** What was seen of it, in words, where that is worth a line. */
  readonly notes: readonly string[];
}

const JUMP_S = 1_200;
/** libfaketime looks at its file so often, seconds. */
const LOOK_S = 1;

/** Makes the fault, holds it, takes it back. What ended by it runs again when it returns. */
export async function makeFault(cell: Cell, mesh: FaultMesh, tools: FaultTools): Promise<Made> {
  const { fault } = cell;
  if (fault === "compaction") return await compaction(cell, mesh, tools);
  const victims = await victimsOf(cell, mesh);
  const notes: string[] = [];
  const hold = () => sleep(systemClock, tools.holdMs);
  const all = async (act: (victim: Victim) => unknown) => {
    await Promise.all(victims.map(async (victim) => await act(victim)));
  };
  if (fault === "kill") {
    await all(({ process }) => process().kill());
    await hold();
  }
  if (fault === "stop") {
    await all(({ process }) => process().signal("SIGSTOP"));
    await hold();
    await all(({ process }) => process().signal("SIGCONT"));
  }
  if (fault === "partition" || fault === "slow") {
    await all(({ host }) => (fault === "slow" ? host.slow() : host.cut()));
    await hold();
    await all(({ host }) => host.mend());
  }
  if (fault === "disk") {
    await all(({ host }) => host.fill());
    await hold();
    await all(({ host }) => host.empty());
  }
  if (fault === "clock") await clock(victims, tools);
  const ended = victims.filter(({ process }) => !process().running());
  if (fault !== "kill" && ended.length > 0)
    notes.push(`${ended.map(({ host }) => host.name).join(", ")} ended by it, and was started again`);
  const healedAt = systemClock.monotonic();
  await Promise.all(ended.map(({ restart }) => restart()));
  return { healedAt, notes };
}

/** The store is whole; for the clock cells the victims run with a clock that can be set, not yet set. */
export async function prepareFault(cell: Cell, mesh: FaultMesh, { faketime }: FaultTools): Promise<void> {
  await mesh.store.ready();
  if (cell.fault !== "clock" || faketime === undefined) return;
  for (const { host, process, restart } of await victimsOf(cell, mesh)) {
    writeFileSync(clockFile(host), "+0\n");
    await process().kill();
    await restart({
      LD_PRELOAD: faketime,
      FAKETIME_TIMESTAMP_FILE: clockFile(host),
      FAKETIME_CACHE_DURATION: String(LOOK_S),
      DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1",
    });
  }
  await mesh.store.ready();
}

async function clock(victims: readonly Victim[], { holdMs }: FaultTools): Promise<void> {
  for (const { host } of victims) writeFileSync(clockFile(host), `+${JUMP_S}\n`);
  await sleep(systemClock, holdMs + LOOK_S * 1_000);
  for (const { host } of victims) writeFileSync(clockFile(host), "+0\n");
  await sleep(systemClock, LOOK_S * 1_000);
}

const clockFile = ({ directory }: Host): string => join(directory, "clock");

async function compaction({ target }: Cell, mesh: FaultMesh, { holdMs }: FaultTools): Promise<Made> {
  const { store } = mesh;
  if (target === "leader" || target === "follower" || target === "store") {
    await sleep(systemClock, holdMs / 2);
    const said = await store.compact(target === "store" ? store.members : [await store[target]()]);
    await sleep(systemClock, holdMs / 2);
    return { healedAt: systemClock.monotonic(), notes: [said] };
  }
  const node = nodeOf(target, mesh);
  const other = mesh.nodes.find((one) => one !== node && one !== mesh.nodes[0]);
  if (!other) throw new Error("no other node");
  node.weft.process().signal("SIGSTOP");
  await sleep(systemClock, holdMs);
  await trim(store, other);
  const said = await store.compact(store.members);
  const healedAt = systemClock.monotonic();
  node.weft.process().signal("SIGCONT");
  return { healedAt, notes: [`the log was trimmed under ${node.name}; ${said}`] };
}

/** What a node does when the log has grown long, sooner: its snapshot takes the place of all that went before. */
async function trim({ kind, url }: FaultStore, from: FaultNode): Promise<void> {
  const options = { clock: systemClock, random: Math.random, environment: {} };
  const { log } = await (kind === "etcd" ? openEtcd(url, options) : openRedis(url, options));
  try {
    const { sequence, id, bytes } = await makeImage(join(from.weft.data, "weft.db"));
    await log.putSnapshot({ place: { sequence, id }, bytes }, sequence);
  } finally {
    await log.close();
  }
}

async function victimsOf({ target }: Cell, mesh: FaultMesh): Promise<readonly Victim[]> {
  const { store } = mesh;
  if (target === "leader" || target === "follower") return [ofMember(await store[target]())];
  if (target === "store") return store.members.map(ofMember);
  const node = nodeOf(target, mesh);
  return [{ host: node.host, process: () => node.weft.process(), restart: node.restart }];
}

const ofMember = (member: StoreMember): Victim => ({
  host: member.host,
  process: member.process,
  restart: async (env) => member.start(env),
});

export function nodeOf(target: "node" | "authority", { nodes }: FaultMesh): FaultNode {
  const node = target === "authority" ? nodes[0] : nodes.at(-1);
  if (!node) throw new Error("no node");
  return node;
}
