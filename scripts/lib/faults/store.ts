/** The engine that carries changes between nodes, member by member: three of etcd, or a Redis and its replica, each on a host of its own. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { RedisClient } from "bun";
import { formatAddress, type SocketAddress } from "../lab/network.ts";
import type { Processes, StartedProcess } from "../lab/processes.ts";
import { waitFor } from "../lab/wait.ts";
import type { Host, Hosts } from "./hosts.ts";

export type StoreKind = "etcd" | "redis";

export interface StoreMember {
  readonly host: Host;
  /** Starts it where it does not run, on what is on its disk. `env` is of this start, and of those after it. */
  start(env?: Readonly<Record<string, string>>): void;
  process(): StartedProcess;
}

export interface FaultStore {
  readonly kind: StoreKind;
  /** For --store. */
  readonly url: string;
  readonly members: readonly StoreMember[];
  /** Those that a fault of the store's leader, of a follower, or of all of it is about now. */
  leader(): Promise<StoreMember>;
  follower(): Promise<StoreMember>;
  /** Resolves when all members are there, and the store takes writes. */
  ready(): Promise<void>;
  /** Throws away what the engine keeps of the past, and gives back the space, on those members. @returns in words what was done */
  compact(members: readonly StoreMember[]): Promise<string>;
  /** The wall clock of the member on `host`, milliseconds. */
  clockOf(host: Host): Promise<number>;
}

export interface StoreOptions {
  readonly binary: string;
  readonly hosts: Hosts;
  readonly processes: Processes;
}

/** etcd writes 64 MB ahead, twice. */
const ETCD_DISK_MB = 320;
const REDIS_DISK_MB = 64;
const ANSWER_MS = 2_000;

export async function startEtcd({ binary, hosts, processes }: StoreOptions): Promise<FaultStore> {
  const places: { readonly host: Host; readonly client: SocketAddress; readonly peer: string }[] = [];
  for (const name of ["etcd-1", "etcd-2", "etcd-3"]) {
    const host = await hosts.add(name, ETCD_DISK_MB);
    const { address } = host;
    places.push({ host, client: { address, port: await host.port(address) }, peer: `http://${address}:${await host.port(address)}` });
  }
  const cluster = places.map(({ host, peer }) => `${host.name}=${peer}`).join(",");
  const ask = async (client: SocketAddress, path: string, body: object, limitMs = ANSWER_MS) => {
    const response = await fetch(`http://${formatAddress(client)}${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      keepalive: false,
      signal: AbortSignal.timeout(limitMs),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  };
  const status = async ({ client }: (typeof places)[number]) => {
    const { leader, header } = await ask(client, "/v3/maintenance/status", {});
    return { leader, ...(header as { member_id: string; revision: string }) };
  };
  const members = places.map(({ host, client, peer }) => {
    const url = `http://${formatAddress(client)}`;
    const command = [
      ...[binary, "--name", host.name, "--data-dir", join(host.directory, "data"), "--log-level", "warn"],
      ...["--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", cluster, "--initial-cluster-token", "weft-faults"],
    ];
    return { ...memberOf(processes, host, command), client };
  });
  const leaderOf = async () => {
    const states = await Promise.all(places.map(status));
    const index = states.findIndex(({ leader, member_id }) => leader === member_id);
    const found = members[index];
    if (!found) throw new Error("no member of etcd leads");
    return found;
  };
  const leader = () => waitFor("a leader of etcd", leaderOf, () => true);
  return {
    kind: "etcd",
    url: `etcd://${places.map(({ client }) => formatAddress(client)).join(",")}`,
    members,
    leader,
    async follower() {
      const leads = await leader();
      const found = members.find((member) => member !== leads);
      if (!found) throw new Error("no follower");
      return found;
    },
    async ready() {
      for (const { host, client } of members) {
        await waitFor(
          `${host.name} to be healthy`,
          async () => {
            const response = await fetch(`http://${formatAddress(client)}/health`, {
              keepalive: false,
              signal: AbortSignal.timeout(ANSWER_MS),
            });
            return await response.text();
          },
          (said) => said.includes('"true"'),
          { everyMs: 50 },
        );
      }
    },
    clockOf: () => Promise.reject(new Error("etcd does not tell its clock")),
    async compact(chosen) {
      const [first] = places;
      if (!first) throw new Error("no member");
      const { revision } = await status(first);
      await ask(first.client, "/v3/kv/compaction", { revision, physical: true }, 10_000);
      for (const { client } of members.filter((member) => chosen.some(({ host }) => host === member.host)))
        await ask(client, "/v3/maintenance/defragment", {}, 10_000);
      return `compacted through ${revision}, defragmented ${chosen.map(({ host }) => host.name).join(", ")}`;
    },
  };
}

export async function startRedis({ binary, hosts, processes }: StoreOptions): Promise<FaultStore> {
  const places: { readonly host: Host; readonly at: SocketAddress }[] = [];
  for (const name of ["redis-1", "redis-2"]) {
    const host = await hosts.add(name, REDIS_DISK_MB);
    mkdirSync(join(host.directory, "data"));
    places.push({ host, at: { address: host.address, port: await host.port(host.address) } });
  }
  const [master, replica] = places;
  if (!master || !replica) throw new Error("no Redis");
  const members = places.map((place) => {
    const flags = [
      ...[
        "--bind",
        place.at.address,
        "--port",
        String(place.at.port),
        "--protected-mode",
        "no",
        "--dir",
        join(place.host.directory, "data"),
      ],
      ...["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-ping-replica-period", "1"],
      ...(place === replica ? ["--replicaof", master.at.address, String(master.at.port)] : []),
    ];
    return { ...memberOf(processes, place.host, [binary, ...flags]), at: place.at };
  });
  const command = async (at: SocketAddress, ...[name = "", ...args]: readonly string[]) => {
    const client = new RedisClient(`redis://${formatAddress(at)}`, { autoReconnect: false, connectionTimeout: ANSWER_MS });
    try {
      return String(await client.send(name, args));
    } finally {
      client.close();
    }
  };
  const placeOf = (host: Host) => (host === replica.host ? replica.at : master.at);
  const [first, second] = members;
  if (!first || !second) throw new Error("no Redis");
  return {
    kind: "redis",
    url: `redis://${formatAddress(master.at)}/0`,
    members,
    leader: async () => first,
    follower: async () => second,
    async ready() {
      await waitFor(
        "the replica of Redis to be in touch",
        () => command(second.at, "INFO", "replication"),
        (said) => said.includes("master_link_status:up"),
        { everyMs: 50 },
      );
    },
    async clockOf(host) {
      const [seconds] = (await command(placeOf(host), "TIME")).split(",");
      return Number(seconds) * 1_000;
    },
    async compact(chosen) {
      for (const { at } of members.filter((member) => chosen.some(({ host }) => host === member.host))) await command(at, "BGREWRITEAOF");
      return `rewrote the append-only file of ${chosen.map(({ host }) => host.name).join(", ")}`;
    },
  };
}

function memberOf(processes: Processes, host: Host, command: readonly string[]): StoreMember {
  let running: StartedProcess | undefined;
  let env: Readonly<Record<string, string>> = {};
  const start = (more: Readonly<Record<string, string>> = env) => {
    if (running?.running()) return;
    env = more;
    running = processes.start(host.name, host.on(command), { env });
  };
  start();
  return {
    host,
    start,
    process() {
      if (!running) throw new Error(`${host.name} was never started`);
      return running;
    },
  };
}
