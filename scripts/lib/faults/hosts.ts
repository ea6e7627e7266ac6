/**
 * Machines of the run's own. Where the kernel lets us each is a network namespace, with one link for control (the store, node-to-node RPC) and one for the
 * calls between workloads, on two bridges of the run's own namespace: so a host is cut off from the control plane as by a pulled cable, without a word to
 * either side. Where it does not, each is an address of the loopback, and what needs a link is not possible. Each has its data on a small file system
 * of its own, which can be filled.
 */
import { closeSync, mkdirSync, openSync, readlinkSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Network, openNetwork } from "../lab/network.ts";
import type { Processes } from "../lab/processes.ts";
import { waitFor } from "../lab/wait.ts";

export interface Host {
  readonly name: string;
  /** Where it is reached by the other hosts of the control plane. */
  readonly address: string;
  /** Where its workloads are. */
  readonly data: string;
  /** Its own loopback. */
  readonly loopback: string;
  /** Its files. */
  readonly directory: string;
  /** `command` as it is run on the host. */
  on(command: readonly string[]): readonly string[];
  /** A port that nothing else uses, on `address`. */
  port(address: string): Promise<number>;
  cut(): void;
  slow(): void;
  /** How many packets the slow link has kept waiting, either way, since it is slow. */
  heldUp(): number;
  /** Mends the links. */
  mend(): void;
  fill(): void;
  /** Takes back what `fill` has written. */
  empty(): void;
}

/** Why a fault is not possible here; undefined where it is. */
export interface Limits {
  readonly cut: string | undefined;
  readonly slow: string | undefined;
  readonly fill: string | undefined;
  /** What a slow link is here. */
  readonly slowness: string;
}

export interface Hosts {
  readonly limits: Limits;
  /** Where applications of this process listen, for the hosts. */
  readonly here: string;
  add(name: string, megabytes: number): Promise<Host>;
  /** Gives back the file systems, so that the directory can be removed. */
  close(): void;
}

export interface HostsOptions {
  readonly directory: string;
  readonly processes: Processes;
  /** Tells runs in one namespace apart: 0 to 99. */
  readonly number: number;
  /** Why this process has no namespaces of its own; undefined where it has. */
  readonly confined: string | undefined;
}

/** Round trips of 300 ms; or, where the kernel has no netem, a link that takes 128 kbit/s, and keeps what does not fit for up to 2 s. */
const SLOW = { netem: ["netem", "delay", "150ms", "20ms"], tbf: ["tbf", "rate", "128kbit", "burst", "2kb", "latency", "2s"] } as const;
const CHUNK = Buffer.alloc(256 * 1024, 1);

export async function openHosts(options: HostsOptions): Promise<Hosts> {
  const { number, confined } = options;
  const why = confined ?? prepare(number);
  if (why !== undefined) return plainHosts(options, await openNetwork(), why);
  const kind = (["netem", "tbf"] as const).find((one) => {
    const isThere = tried(["tc", "qdisc", "add", "dev", `c${number}`, "root", ...SLOW[one]]) === undefined;
    if (isThere) run(["tc", "qdisc", "del", "dev", `c${number}`, "root"]);
    return isThere;
  });
  let count = 0;
  const mounted: string[] = [];
  return {
    limits: {
      cut: undefined,
      slow: kind ? undefined : "the kernel has neither netem nor tbf",
      fill: undefined,
      slowness: kind === "netem" ? "300 ms longer round trips" : "128 kbit/s",
    },
    here: `10.78.${number}.254`,
    async add(name, megabytes) {
      count += 1;
      mounted.push(join(options.directory, name));
      return await namespaceHost(options, { name, megabytes, index: count, slowness: kind ? SLOW[kind] : [] });
    },
    close() {
      for (const path of mounted.splice(0)) tried(["umount", "-l", path]);
    },
  };
}

/** The bridges. @returns why there can be none */
function prepare(number: number): string | undefined {
  const lines = [
    ["ip", "link", "set", "lo", "up"],
    ...(["c", "d"] as const).flatMap((bridge) => [
      ["ip", "link", "add", `${bridge}${number}`, "type", "bridge"],
      ["ip", "addr", "add", `10.${bridge === "c" ? 77 : 78}.${number}.254/24`, "dev", `${bridge}${number}`],
      ["ip", "link", "set", `${bridge}${number}`, "up"],
    ]),
  ];
  for (const line of lines) {
    const problem = tried(line);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

async function namespaceHost(
  { directory, processes, number }: HostsOptions,
  { name, megabytes, index, slowness }: { name: string; megabytes: number; index: number; slowness: readonly string[] },
): Promise<Host> {
  const files = join(directory, name);
  mkdirSync(files);
  run(["mount", "-t", "tmpfs", "-o", `size=${megabytes}m,mode=0755`, "weft-faults", files]);
  const holder = processes.start(`namespace-${name}`, ["unshare", "--net", "sleep", "infinity"]);
  const own = readlinkSync("/proc/self/ns/net");
  await waitFor(
    `the network namespace of ${name}`,
    () => readlinkSync(`/proc/${holder.pid}/ns/net`),
    (link) => link !== own,
  );
  const inside = (command: readonly string[]) => ["nsenter", `--net=/proc/${holder.pid}/ns/net`, "--", ...command];
  const links = (["c", "d"] as const).map((bridge) => ({
    bridge: `${bridge}${number}`,
    outer: `${bridge}${number}x${index}`,
    inner: bridge === "c" ? "control" : "data",
    address: `10.${bridge === "c" ? 77 : 78}.${number}.${index}`,
  }));
  run(inside(["ip", "link", "set", "lo", "up"]));
  for (const { bridge, outer, inner, address } of links) {
    run(["ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", String(holder.pid)]);
    run(["ip", "link", "set", outer, "master", bridge, "up"]);
    run(inside(["ip", "addr", "add", `${address}/24`, "dev", inner]));
    run(inside(["ip", "link", "set", inner, "up"]));
  }
  const [control, data] = links;
  if (!control || !data) throw new Error("a host has two links");
  let port = 20_000;
  let faulty: "cut" | "slow" | undefined;
  const shape = (verb: "add" | "del") => {
    const rest = verb === "add" ? slowness : [];
    run(["tc", "qdisc", verb, "dev", control.outer, "root", ...rest]);
    run(inside(["tc", "qdisc", verb, "dev", control.inner, "root", ...rest]));
  };
  return {
    name,
    address: control.address,
    data: data.address,
    loopback: "127.0.0.1",
    directory: files,
    on: inside,
    port: async () => ++port,
    cut() {
      run(["ip", "link", "set", control.outer, "nomaster"]);
      faulty = "cut";
    },
    slow() {
      shape("add");
      faulty = "slow";
    },
    heldUp() {
      const show = ["tc", "-s", "qdisc", "show", "dev"];
      return [[...show, control.outer], inside([...show, control.inner])]
        .map((command) => heldUpOf(Bun.spawnSync([...command], { stdin: "ignore", stderr: "ignore" }).stdout.toString()))
        .reduce((sum, packets) => sum + packets);
    },
    mend() {
      if (faulty === "cut") run(["ip", "link", "set", control.outer, "master", control.bridge]);
      if (faulty === "slow") shape("del");
      faulty = undefined;
    },
    fill: () => fill(join(files, "filler")),
    empty: () => rmSync(join(files, "filler"), { force: true }),
  };
}

function plainHosts({ directory }: HostsOptions, network: Network, why: string): Hosts {
  const impossible = () => {
    throw new Error(`not possible here: ${why}`);
  };
  return {
    limits: { cut: why, slow: why, fill: why, slowness: "" },
    here: "127.0.0.1",
    close() {},
    async add(name) {
      const files = join(directory, name);
      mkdirSync(files);
      const address = network.nextAddress();
      return {
        name,
        address,
        data: address,
        loopback: address,
        directory: files,
        on: (command) => command,
        port: (of) => network.freePort(of),
        cut: impossible,
        slow: impossible,
        heldUp: () => 0,
        mend() {},
        fill: impossible,
        empty() {},
      };
    },
  };
}

/** Writes until the file system has no byte left. */
function fill(path: string): void {
  const file = openSync(path, "a");
  try {
    for (let size = CHUNK.length; size >= 1; ) {
      try {
        writeSync(file, CHUNK, 0, size);
      } catch (reason) {
        if (!(reason instanceof Error && "code" in reason && reason.code === "ENOSPC")) throw reason;
        size = Math.floor(size / 16);
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Of `tc -s qdisc`: tbf counts what did not fit at once, netem delays all. */
export function heldUpOf(text: string): number {
  const [, kind] = /^qdisc (\w+)/m.exec(text) ?? [];
  const [, packets = 0] = (kind === "tbf" ? /overlimits (\d+)/ : /Sent \d+ bytes (\d+) pkt/).exec(text) ?? [];
  return Number(packets);
}

function run(command: readonly string[]): void {
  const problem = tried(command);
  if (problem !== undefined) throw new Error(problem);
}

/** @returns why it failed */
function tried(command: readonly string[]): string | undefined {
  try {
    const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    return exitCode === 0 ? undefined : `${command.join(" ")}: ${stderr.toString().trim()}`;
  } catch (reason) {
    return `${command[0]}: ${reason instanceof Error ? reason.message : String(reason)}`;
  }
}
