/** The faults themselves: made, and taken back. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { openEtcd } from "../../../src/store/etcd/index.ts";
import { openRedis } from "../../../src/store/redis/index.ts";
import { makeImage } from "../../../src/store/replica/image.ts";
import { tcpExchange } from "../lab/call.ts";
import type { StartedProcess } from "../lab/processes.ts";
import { waitFor } from "../lab/wait.ts";
import type { Cell } from "./cells.ts";
import type { Host } from "./hosts.ts";
import type { FaultMesh, FaultNode } from "./mesh.ts";
import type { FaultStore, StoreMember } from "./store.ts";

/** What a fault is made of: a process on a host, that can be started again. */
interface Victim {
  readonly host: Host;
  process(): StartedProcess;
  /** What it says of how it is, or has said since the fault began. */
  said(): Promise<string>;
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
  /** Why it was none: what is not felt proves nothing. */
  readonly unfelt: readonly string[];
}

/** Who has written nothing so far does so within this. */
const FULL_MS = 8_000;
const LAST_WORDS_MS = 1_000;
const JUMP_S = 1_200;
/** libfaketime looks at its file so often, seconds. */
const LOOK_S = 1;

/** Makes the fault, holds it, takes it back. What ended by it runs again when it returns. */
export async function makeFault(cell: Cell, mesh: FaultMesh, tools: FaultTools): Promise<Made> {
  const { fault } = cell;
  if (fault === "compaction") return await compaction(cell, mesh, tools);
  const victims = await victimsOf(cell, mesh);
  const notes: string[] = [];
  const unfelt: string[] = [];
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
    if (fault === "partition")
      await all(async ({ host }) => unfelt.push(...((await isReached(host)) ? [`${host.name} can be reached`] : [])));
    if (fault === "slow" && victims.every(({ host }) => host.heldUp() === 0)) unfelt.push("nothing waited for the slow link");
    await all(({ host }) => host.mend());
  }
  if (fault === "disk") {
    let noticed = false;
    await all(({ host }) => host.fill());
    await hold();
    await all(async (victim) => {
      const said = await waitFor("a word of the full disk", () => fullness(victim), Boolean, { limitMs: FULL_MS }).catch(() => undefined);
      notes.push(`${victim.host.name} ${said ?? "had nothing to write"}`);
      noticed ||= said !== undefined;
      // etcd says so, and ends a moment later.
      if (said !== undefined) await Promise.race([victim.process().exited, sleep(systemClock, LAST_WORDS_MS)]);
    });
    if (!noticed) unfelt.push("nobody noticed the full disk");
    await all(({ host }) => host.empty());
  }
  if (fault === "clock") unfelt.push(...(await clock(victims, mesh, tools)));
  const ended = victims.filter(({ process }) => !process().running());
  const healedAt = systemClock.monotonic();
  await Promise.all(ended.map(({ restart }) => restart()));
  return { healedAt, notes, unfelt };
}

/** The store is whole; for the clock cells the victims run with a clock that can be set, not yet set. */
export async function prepareFault(cell: Cell, mesh: FaultMesh, { faketime }: FaultTools): Promise<void> {
  for (const member of mesh.store.members) member.start();
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

/** @returns whose clock did not jump */
async function clock(victims: readonly Victim[], mesh: FaultMesh, { holdMs }: FaultTools): Promise<readonly string[]> {
  for (const { host } of victims) writeFileSync(clockFile(host), `+${JUMP_S}\n`);
  await sleep(systemClock, holdMs + LOOK_S * 1_000);
  const unfelt: string[] = [];
  for (const { host } of victims) {
    const ahead = ((await clockOf(host, mesh)) - systemClock.now()) / 1_000;
    if (Math.abs(ahead - JUMP_S) > 60) unfelt.push(`the clock of ${host.name} is ${ahead.toFixed(0)} s ahead`);
  }
  for (const { host } of victims) writeFileSync(clockFile(host), "+0\n");
  await sleep(systemClock, LOOK_S * 1_000);
  return unfelt;
}

/** A node's: by the newest change that it made, of which it writes down when. */
async function clockOf(host: Host, { nodes, store }: FaultMesh): Promise<number> {
  const node = nodes.find((one) => one.host === host);
  if (!node) return await store.clockOf(host);
  const { json } = await node.weft.api("GET", `/v1/resources/ServiceEntry/default/mark-${node.name}`);
  return Date.parse(JSON.stringify(json).match(/"updatedAt":"([^"]+)"/)?.[1] ?? "");
}

/** What `victim` made of it, once it has. */
async function fullness({ process, said }: Victim): Promise<string | undefined> {
  if (!process().running()) return "ended by its full disk, and was started again";
  return /no space|disk is full|SQLITE_FULL/i.test(await said()) ? "said that its disk is full" : undefined;
}

/** A port that nobody listens on answers too, where the host does. */
async function isReached({ address }: Host): Promise<boolean> {
  const { error } = await tcpExchange({ address, port: 1 }, "", 300);
  return error !== "timeout" && error !== "EHOSTUNREACH";
}

const clockFile = ({ directory }: Host): string => join(directory, "clock");

async function compaction({ target }: Cell, mesh: FaultMesh, { holdMs }: FaultTools): Promise<Made> {
  const { store } = mesh;
  if (target === "leader" || target === "follower" || target === "store") {
    await sleep(systemClock, holdMs / 2);
    const said = await store.compact(target === "store" ? store.members : [await store[target]()]);
    await sleep(systemClock, holdMs / 2);
    return { healedAt: systemClock.monotonic(), notes: [said], unfelt: [] };
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
  return { healedAt, notes: [`the log was trimmed under ${node.name}; ${said}`], unfelt: [] };
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
  return [
    {
      host: node.host,
      process: () => node.weft.process(),
      said: async () => (await node.weft.api("GET", "/readyz?verbose")).text,
      restart: node.restart,
    },
  ];
}

function ofMember(member: StoreMember): Victim {
  // What it said under an earlier fault stands in the same file.
  const { size } = statSync(member.process().log);
  return {
    host: member.host,
    process: member.process,
    said: () => Bun.file(member.process().log).slice(size).text(),
    restart: async (env) => member.start(env),
  };
}

export function nodeOf(target: "node" | "authority", { nodes }: FaultMesh): FaultNode {
  const node = target === "authority" ? nodes[0] : nodes.at(-1);
  if (!node) throw new Error("no node");
  return node;
}
