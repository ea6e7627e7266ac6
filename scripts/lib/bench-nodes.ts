/**
 * What many nodes cost each other: scripts/bench --nodes [--sizes 1,3,10,25,50] [--changes 10] [--idle 15] [--json FILE]. One etcd member and so many real wefts on this
 * machine, joined as users join them, without proxies; of each size the time until a change is on all of them, and what a second of rest costs. docs/scale.md.
 */
import "reflect-metadata";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createSigningRequest, generateLeafKey, openAuthority, readSigningRequest } from "../../src/ca/index.ts";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { openEtcd } from "../../src/store/etcd/index.ts";
import { makeImage } from "../../src/store/replica/image.ts";
import { median, table } from "./bench/table.ts";
import { joinMesh } from "./lab/join.ts";
import { formatAddress, openNetwork } from "./lab/network.ts";
import { openProcesses, type StartedProcess } from "./lab/processes.ts";
import { waitFor } from "./lab/wait.ts";
import { startWeft, type Weft } from "./lab/weft.ts";

const { values: flags } = parseArgs({
  options: {
    nodes: { type: "boolean" },
    sizes: { type: "string", default: "1,3,10,25,50" },
    changes: { type: "string", default: "10" },
    idle: { type: "string", default: "15" },
    json: { type: "string" },
  },
});
const SIZES = flags.sizes.split(",").map(Number);
const CHANGES = Number(flags.changes);
const IDLE_MS = Number(flags.idle) * 1_000;
const { WEFT_BINARY: binary = "", BENCH_ETCD: etcd = "" } = process.env;
const SIGNING_MS = 2_000;
/** Nodes that start at a time. */
const STARTS = 3;
/** Fifty processes on a few cores answer late. */
const ANSWER_MS = 60_000;
/** A tick of /proc/PID/stat, on every Linux. */
const TICK_MS = 10;
const CALLS = ["Range", "Txn", "Put", "LeaseKeepAlive", "LeaseGrant", "Watch"];

const directory = mkdtempSync(join(tmpdir(), "weft-bench-nodes-"));
mkdirSync(join(directory, "logs"));
const processes = openProcesses(join(directory, "logs"));
process.on("SIGINT", () => process.exit(2));

interface Node {
  readonly weft: Weft;
  /** The newest revision that its watch told of, and who waits for one. */
  readonly seen: Map<number, number>;
}

interface Measured {
  readonly nodes: number;
  /** Milliseconds from before the apply until the node that was asked has answered; until half of the nodes have it, and all. */
  readonly applied: number;
  readonly half: number;
  readonly all: number;
  readonly slowest: number;
  /** What etcd sent for a change and what the cards said after it, a node. */
  readonly sentPerChange: number;
  /** Calls of a second of rest, a node. */
  readonly calls: Readonly<Record<string, number>>;
  readonly sentIdle: number;
  readonly receivedIdle: number;
  /** Of a node: share of a core, at rest; memory that is its own, MiB. */
  readonly cpu: number;
  readonly memory: number;
  readonly etcdCpu: number;
  readonly etcdMemory: number;
  /** etcd's events sent to watchers for a change. */
  readonly eventsPerChange: number;
}

const network = await openNetwork();
const address = network.nextAddress();
const client = { address, port: await network.freePort(address) };
const peer = `http://${address}:${await network.freePort(address)}`;
const engine = processes.start("etcd", [
  ...[etcd, "--name", "one", "--data-dir", join(directory, "etcd"), "--log-level", "warn"],
  ...["--listen-client-urls", `http://${formatAddress(client)}`, "--advertise-client-urls", `http://${formatAddress(client)}`],
  ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", `one=${peer}`],
]);
const store = `etcd://${formatAddress(client)}`;
const metrics = async () => await (await fetch(`http://${formatAddress(client)}/metrics`)).text();
await waitFor("etcd", async () => (await fetch(`http://${formatAddress(client)}/health`)).ok);

const apply = (text: string) => async (weft: Weft) => {
  const { status, text: said } = await weft.api("POST", "/v1/apply", { text, type: "application/yaml" });
  if (status !== 200) throw new Error(said);
};
const KINDS: readonly (readonly [string, (weft: Weft) => Promise<void>])[] = [
  ["WorkloadEntry created", apply(workload(5_000, 0))],
  ["WorkloadEntry: another address", apply(workload(5_000, 1))],
  ["ServiceEntry created", apply(service(1))],
  [
    "PeerAuthentication created",
    apply("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {mode: STRICT}}\n"),
  ],
  [
    "a workload's token issued (audit)",
    async (weft) => void (await weft.api("POST", "/v1/tokens", { text: '{"workload": "default/w-5000"}', type: "application/json" })),
  ],
  ["a join token made (node token)", async (weft) => void (await weft.cli(["node", "token"]))],
];

const nodes: Node[] = [];
const results: Measured[] = [];
try {
  for (const size of SIZES) {
    console.error(`==> ${size} nodes`);
    while (nodes.length < size) {
      const count = nodes.length === 0 ? 1 : Math.min(STARTS, size - nodes.length);
      nodes.push(...(await Promise.all(Array.from({ length: count }, (_, index) => startNode(nodes.length + 1 + index)))));
    }
    // Cards and certificates of those that have just come.
    await sleep(systemClock, 5_000);
    const measured = await measure();
    results.push(measured);
    console.error(JSON.stringify(measured));
  }
  const signed = await signingRate();
  const entries = await entrySizes();
  const rows = results.map((one) => [
    String(one.nodes),
    ms(one.applied),
    ms(one.half),
    ms(one.all),
    ms(one.slowest),
    bytes(one.sentPerChange),
    one.eventsPerChange.toFixed(0),
    ...["Range", "Put", "LeaseKeepAlive"].map((call) => (one.calls[call] ?? 0).toFixed(2)),
    bytes(one.sentIdle),
    bytes(one.receivedIdle),
    `${(one.cpu * 100).toFixed(1)} %`,
    `${one.memory.toFixed(0)} MiB`,
    `${(one.etcdCpu * 100).toFixed(1)} %`,
    `${one.etcdMemory.toFixed(0)} MiB`,
  ]);
  const head = [
    "nodes",
    "applied",
    "half have it",
    "all",
    "slowest",
    "sent/change/node",
    "events/change",
    "Range/s",
    "Put/s",
    "KeepAlive/s",
    "etcd sends/s",
    "gets/s",
    "CPU",
    "memory",
    "etcd CPU",
    "etcd memory",
  ];
  console.log(`\n${table(head, rows)}\n`);
  console.log(
    table(
      ["entry", "bytes in the log"],
      entries.map(([name, size]) => [name, String(size)]),
    ),
  );
  console.log(`\nSVIDs signed a second: ${signed.toFixed(0)}`);
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify({ results, entries, signed }, undefined, 2)}\n`);
} finally {
  await processes.stopAll(0);
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);

async function startNode(index: number): Promise<Node> {
  const name = `node-${index}`;
  const data = join(directory, name);
  const [first] = nodes;
  const more = first ? [] : ["--cluster", formatAddress({ address, port: await network.freePort(address) })];
  if (first) await joinMesh(first.weft, { binary, data, node: name });
  const weft = await startWeft({ binary, data, processes, name, flags: ["--node", name, "--store", store, ...more] });
  const seen = new Map<number, number>();
  const follow = async () => {
    const response = await fetch("http://weft/v1/watch", { unix: join(data, "admin.sock") });
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      const at = systemClock.monotonic();
      for (const [, revision] of decoder.decode(chunk, { stream: true }).matchAll(/^id: (\d+)$/gm)) seen.set(Number(revision), at);
    }
  };
  follow().catch(() => {});
  return { weft, seen };
}

async function measure(): Promise<Measured> {
  const [first] = nodes;
  if (!first) throw new Error("no node");
  const taken: { applied: number; half: number; all: number }[] = [];
  const before = await metrics();
  for (let change = 1; change <= CHANGES; change++) {
    const began = systemClock.monotonic();
    const { json } = await first.weft.api(
      "POST",
      "/v1/apply",
      { text: service(nodes.length * 1_000 + change), type: "application/yaml" },
      ANSWER_MS,
    );
    const applied = systemClock.monotonic() - began;
    const { revision } = json as { revision: number };
    const late = await waitFor(
      `revision ${revision} on all nodes`,
      () => nodes.map(({ seen }) => (seen.get(revision) ?? Number.NaN) - began).sort((a, b) => a - b),
      (all) => all.every((one) => !Number.isNaN(one)),
      { everyMs: 5, limitMs: ANSWER_MS },
    );
    taken.push({ applied, half: late[Math.floor(late.length / 2)] ?? 0, all: late.at(-1) ?? 0 });
    // Until the nodes have told of it on their cards, which is part of what it costs.
    await sleep(systemClock, 1_500);
  }
  const after = await metrics();
  const each = nodes.map(({ weft }) => weft.process());
  const [cpuBefore, engineBefore] = [each.map(cpuMs), cpuMs(engine)];
  await sleep(systemClock, IDLE_MS);
  const idle = await metrics();
  const seconds = IDLE_MS / 1_000;
  const perNode = (name: string, labels = "") => (sum(idle, name, labels) - sum(after, name, labels)) / seconds / nodes.length;
  const spent = each.reduce((total, one, index) => total + cpuMs(one) - (cpuBefore[index] ?? 0), 0);
  const perChange = (name: string) => (sum(after, name) - sum(before, name)) / CHANGES;
  return {
    nodes: nodes.length,
    applied: median(taken.map(({ applied }) => applied)),
    half: median(taken.map(({ half }) => half)),
    all: median(taken.map(({ all }) => all)),
    slowest: Math.max(...taken.map(({ all }) => all)),
    sentPerChange: perChange("etcd_network_client_grpc_sent_bytes_total") / nodes.length,
    eventsPerChange: perChange("etcd_debugging_mvcc_events_total"),
    calls: Object.fromEntries(CALLS.map((call) => [call, perNode("grpc_server_msg_received_total", `grpc_method="${call}"`)])),
    sentIdle: perNode("etcd_network_client_grpc_sent_bytes_total"),
    receivedIdle: perNode("etcd_network_client_grpc_received_bytes_total"),
    cpu: spent / IDLE_MS / nodes.length,
    memory: median(each.map(memoryMiB)),
    etcdCpu: (cpuMs(engine) - engineBefore) / IDLE_MS,
    etcdMemory: memoryMiB(engine),
  };
}

/** SVIDs that one core signs in a second, with the requests for them read and verified. */
async function signingRate(): Promise<number> {
  const authority = await openAuthority({ dir: join(directory, "ca"), trustDomain: "mesh.local", clock: systemClock });
  try {
    const request = await createSigningRequest(generateLeafKey().privateKeyPem);
    const began = systemClock.monotonic();
    let count = 0;
    for (; systemClock.monotonic() - began < SIGNING_MS; count++)
      await authority.signX509("spiffe://mesh.local/ns/default/sa/bench", await readSigningRequest(request));
    return (count * 1_000) / (systemClock.monotonic() - began);
  } finally {
    authority.close();
  }
}

/** Bytes of the log's entries, by what they are of; and of a snapshot. */
async function entrySizes(): Promise<readonly (readonly [string, number])[]> {
  const [first] = nodes;
  if (!first) return [];
  const { log } = await openEtcd(store, { clock: systemClock, random: Math.random, environment: {} });
  const end = async () => {
    const abort = new AbortController();
    const sizes: number[] = [];
    try {
      for await (const event of log.follow({ sequence: 0, id: "" }, abort.signal)) {
        if (event.type === "entry") sizes.push(event.bytes.length);
        else return sizes;
      }
    } finally {
      abort.abort();
    }
    return sizes;
  };
  const measured: (readonly [string, number])[] = [];
  for (const [name, act] of KINDS) {
    const before = (await end()).length;
    await act(first.weft);
    measured.push([name, (await end()).slice(before).reduce((total, size) => total + size, 0)]);
  }
  await first.weft.api("POST", "/v1/apply", {
    text: Array.from({ length: 1_000 }, (_, index) => `${workload(index, 0)}---\n`).join(""),
    type: "application/yaml",
  });
  measured.push(["1,000 new WorkloadEntries in one apply", (await end()).at(-1) ?? 0]);
  const { bytes: snapshot } = await makeImage(join(first.weft.data, "weft.db"));
  measured.push(["snapshot: 1,000 WorkloadEntries", snapshot.length]);
  await log.close();
  return measured;
}

function service(edit: number): string {
  return `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: bench, namespace: default}\nspec:\n  hosts: [bench.default.mesh.local]\n  ports: [{number: ${(edit % 60_000) + 1_000}, name: http, protocol: HTTP}]\n  resolution: STATIC\n  location: MESH_INTERNAL\n  workloadSelector: {labels: {app: bench}}\n`;
}

function workload(index: number, edit: number): string {
  return `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w-${index}, namespace: default, annotations: {weft.dev/node: node-1}}\nspec: {address: 10.${edit}.${index >> 8}.${index & 255}, ports: {http: 8080}, labels: {app: bench}, serviceAccount: bench}\n`;
}

function cpuMs({ pid }: StartedProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** What would be free without it: pages that are its own, not those of the executable that all share. */
function memoryMiB({ pid }: StartedProcess): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kib = [...rollup.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB/gm)].reduce((total, [, value]) => total + Number(value), 0);
  return kib / 1_024;
}

function sum(text: string, name: string, labels = ""): number {
  return text
    .split("\n")
    .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(labels))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

function bytes(value: number): string {
  return `${value.toFixed(0)} B`;
}
