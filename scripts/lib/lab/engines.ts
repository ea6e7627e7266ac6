/** The engines that carry a mesh's policies between nodes, on addresses of the run's own: started, killed, and started again on the same data. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { tcpExchange } from "./call.ts";
import { formatAddress, type Network, type SocketAddress } from "./network.ts";
import type { Processes, StartedProcess } from "./processes.ts";
import { waitFor } from "./wait.ts";

export interface StoreEngine {
  /** For people: "three etcd members". */
  readonly name: string;
  /** For --store. */
  readonly url: string;
  /** Starts what does not run; resolves when it takes writes. */
  start(): Promise<void>;
  /** SIGKILL for all of it. */
  kill(): Promise<void>;
}

interface EngineOptions {
  readonly binary: string;
  /** Where its data is kept. */
  readonly directory: string;
  readonly network: Network;
  readonly processes: Processes;
}

const MEMBERS = ["etcd-1", "etcd-2", "etcd-3"];
const ANSWER_MS = 2_000;

/** Three members; not started yet. */
export async function threeEtcdMembers({ binary, directory, network, processes }: EngineOptions): Promise<StoreEngine> {
  const members = await Promise.all(
    MEMBERS.map(async (name) => {
      const address = network.nextAddress();
      return {
        name,
        client: { address, port: await network.freePort(address) },
        peer: `http://${address}:${await network.freePort(address)}`,
      };
    }),
  );
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const running = new Map<string, StartedProcess>();
  const health = async ({ address, port }: SocketAddress) => {
    const response = await fetch(`http://${address}:${port}/health`, { keepalive: false, signal: AbortSignal.timeout(ANSWER_MS) });
    return await response.text();
  };
  return {
    name: "three etcd members",
    url: `etcd://${members.map(({ client }) => formatAddress(client)).join(",")}`,
    async start() {
      for (const { name, client, peer } of members) {
        if (running.get(name)?.running()) continue;
        const url = `http://${formatAddress(client)}`;
        const flags = [
          ...["--name", name, "--data-dir", join(directory, name), "--log-level", "warn"],
          ...["--listen-client-urls", url, "--advertise-client-urls", url],
          ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
          ...["--initial-cluster", cluster, "--initial-cluster-token", directory],
        ];
        running.set(name, processes.start(name, [binary, ...flags]));
      }
      // etcd says "true" where it has a leader and a linearizable read succeeds.
      for (const { name, client } of members) {
        await waitFor(
          `${name} to be healthy`,
          () => health(client),
          (said) => said.includes('"true"'),
        );
      }
    },
    async kill() {
      await Promise.all([...running.values()].map((one) => one.kill()));
    },
  };
}

/** One Redis that has each write on its disk before it says so; not started yet. */
export async function oneRedis({ binary, directory, network, processes }: EngineOptions): Promise<StoreEngine> {
  const address = network.nextAddress();
  const place = { address, port: await network.freePort(address) };
  const data = join(directory, "redis");
  mkdirSync(data, { recursive: true });
  let running: StartedProcess | undefined;
  return {
    name: "one Redis",
    url: `redis://${formatAddress(place)}/0`,
    async start() {
      if (running?.running()) return;
      const flags = ["--bind", address, "--port", String(place.port), "--dir", data, "--appendonly", "yes", "--appendfsync", "always"];
      running = processes.start("redis", [binary, ...flags, "--save", ""]);
      await waitFor(
        "redis to answer",
        () => tcpExchange(place, "PING\r\n", ANSWER_MS),
        ({ reply }) => reply?.startsWith("+PONG") ?? false,
      );
    },
    async kill() {
      await running?.kill();
    },
  };
}
