/** Real etcd members on free ports of loopback, in a directory of their own, that tests kill, stop, compact and fill. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openEtcd } from "../../src/store/etcd/index.ts";
import { issue } from "../fakes/certificates.ts";
import type { Client, Engine } from "./log-harness.ts";

const ROOT = join(import.meta.dir, "../..");
const READY_MS = 30_000;

/** Members of a test run that ends before its tests do are not left behind. */
const running = new Set<Bun.Subprocess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** The pinned etcd. Undefined where it cannot be built here: with the reason on stderr. @throws Error with CI=true, where it can */
export function installEtcd(): string | undefined {
  const { exitCode, stdout, stderr } = Bun.spawnSync([join(ROOT, "scripts/lib/install-etcd")]);
  if (exitCode === 0) return stdout.toString().trim();
  if (process.env.CI === "true") throw new Error(stderr.toString());
  return void console.error(`SKIPPED the tests on etcd: ${stderr}`);
}

export interface ClusterOptions {
  readonly binary: string;
  readonly members?: 1 | 3;
  /** Clients must speak TLS, and show a certificate where it says so. The members are `localhost` then. */
  readonly tls?: "server" | "mutual";
  readonly arguments?: readonly string[];
}

/** Certificates of a cluster with TLS: paths of PEM files. */
export interface Files {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface Member {
  readonly name: string;
  /** "127.0.0.1:34567" */
  readonly address: string;
  start(): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** What it has on the disk, while it is not running: kept under a name, put back, or removed. */
  save(as: string): void;
  restore(from: string): void;
  wipe(): void;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  resume(): void;
  /** Resolves when it answers by quorum, as a part of the cluster. */
  ready(): Promise<void>;
  /** A call of its JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
  api(path: string, body: object, token?: string): Promise<Record<string, unknown>>;
  metric(name: string): Promise<number>;
}

export interface Cluster {
  readonly members: readonly Member[];
  readonly files: Files | undefined;
  /** etcd[s]://ALL MEMBERS/PREFIX */
  url(prefix: string): string;
  /** Of the members, that which leads, and the others. */
  leader(): Promise<{ readonly leader: Member; readonly followers: readonly Member[] }>;
  /** Ends all members, and removes what they wrote. */
  stop(): Promise<void>;
}

export async function startEtcd({ binary, members: count = 1, tls, arguments: more = [] }: ClusterOptions): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), "weft-etcd-"));
  const files = tls === undefined ? undefined : await writeFiles(directory);
  const ports = await freePorts(count * 2);
  const scheme = tls === undefined ? "http" : "https";
  const host = tls === undefined ? "127.0.0.1" : "localhost";
  const names = Array.from({ length: count }, (_, index) => `m${index}`);
  const peer = (index: number) => `http://127.0.0.1:${ports[count + index]}`;
  const members = names.map((name, index) => {
    const listen = `${scheme}://127.0.0.1:${ports[index]}`;
    const command = [
      ...[binary, "--name", name, "--data-dir", join(directory, name), "--log-level", "error"],
      ...["--listen-client-urls", listen, "--advertise-client-urls", listen],
      ...["--listen-peer-urls", peer(index), "--initial-advertise-peer-urls", peer(index)],
      ...["--initial-cluster", names.map((other, place) => `${other}=${peer(place)}`).join(",")],
      ...["--initial-cluster-token", directory],
      // Alone it elects itself, and may be quick about it; three shall hold no elections that no test asked for on a busy machine.
      ...(count === 1 ? ["--heartbeat-interval", "30", "--election-timeout", "300"] : []),
      "--unsafe-no-fsync",
      ...(files ? ["--cert-file", files.certificate, "--key-file", files.key] : []),
      ...(files && tls === "mutual" ? ["--client-cert-auth", "--trusted-ca-file", files.ca] : []),
      ...more,
    ];
    return memberOf({ name, address: `${host}:${ports[index]}`, scheme, files, command, data: join(directory, name) });
  });
  for (const member of members) member.start();
  const cluster: Cluster = {
    members,
    files,
    url: (prefix) => `${tls === undefined ? "etcd" : "etcds"}://${members.map(({ address }) => address).join(",")}${prefix}`,
    async leader() {
      const states = await Promise.all(members.map(async (member) => ({ member, status: await member.api("/v3/maintenance/status", {}) })));
      const leads = states.find(({ status }) => status.leader === (status.header as { member_id?: string }).member_id);
      if (!leads) throw new Error("no member leads");
      return { leader: leads.member, followers: members.filter((member) => member !== leads.member) };
    },
    async stop() {
      await Promise.all(members.map((member) => member.kill()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await Promise.all(members.map((member) => member.ready()));
  } catch (reason) {
    const logs = await Promise.all(
      members.map(({ name }) =>
        Bun.file(join(directory, `${name}.log`))
          .text()
          .catch(() => ""),
      ),
    );
    await cluster.stop();
    throw new Error(`${reason}\n${logs.join("\n")}`);
  }
  return cluster;
}

function memberOf(how: {
  readonly name: string;
  readonly address: string;
  readonly scheme: string;
  readonly files: Files | undefined;
  readonly command: readonly string[];
  readonly data: string;
}): Member {
  let child: Bun.Subprocess | undefined;
  const { name, address, scheme, files } = how;
  const tls = files && { ca: Bun.file(files.ca), cert: Bun.file(files.certificate), key: Bun.file(files.key) };
  const ask = (path: string, init: BunFetchRequestInit = {}) =>
    fetch(`${scheme}://${address}${path}`, { ...init, tls, signal: AbortSignal.timeout(3_000), keepalive: false });
  return {
    name,
    address,
    start() {
      child = Bun.spawn([...how.command], { stdin: "ignore", stdout: "ignore", stderr: Bun.file(`${how.data}.log`) });
      running.add(child);
    },
    async kill() {
      if (!child) return;
      child.kill("SIGKILL");
      await child.exited;
      running.delete(child);
    },
    save: (as) => cpSync(how.data, `${how.data}.${as}`, { recursive: true }),
    restore(from) {
      rmSync(how.data, { recursive: true, force: true });
      cpSync(`${how.data}.${from}`, how.data, { recursive: true });
    },
    wipe: () => rmSync(how.data, { recursive: true, force: true }),
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    async ready() {
      const deadline = performance.now() + READY_MS;
      for (;;) {
        const answer = await ask("/health").then(
          (response) => response.text(),
          (reason) => String(reason),
        );
        if (answer.includes('"true"')) return;
        if (child?.exitCode !== null && child?.exitCode !== undefined) throw new Error(`etcd ${name} ended with ${child.exitCode}`);
        if (performance.now() > deadline) throw new Error(`etcd ${name} is not ready: ${answer}`);
        await Bun.sleep(50);
      }
    },
    async api(path, body, token) {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: token };
      const response = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
      const answer = (await response.json()) as Record<string, unknown>;
      if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
      return answer;
    },
    async metric(metric) {
      const text = await (await ask("/metrics")).text();
      const line = text.split("\n").find((one) => one.startsWith(`${metric} `));
      return Number(line?.split(" ").at(-1) ?? Number.NaN);
    },
  };
}

async function writeFiles(directory: string): Promise<Files> {
  const authority = await issue("etcd test authority");
  const { certificate, key } = await issue("localhost", authority);
  const files = { ca: join(directory, "ca.pem"), certificate: join(directory, "certificate.pem"), key: join(directory, "key.pem") };
  mkdirSync(directory, { recursive: true });
  writeFileSync(files.ca, authority.certificate);
  writeFileSync(files.certificate, certificate);
  writeFileSync(files.key, key, { mode: 0o600 });
  return files;
}

/** Ports that nobody listens on now. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export const OPTIONS = { clock: systemClock, random: Math.random, environment: {} };

/** A log of its own in `cluster`, whatever else is in it. `query` is what the URL ends with. */
export async function engineIn(cluster: Cluster, query = ""): Promise<Engine> {
  const url = `${cluster.url(`/test/${crypto.randomUUID()}`)}${query}`;
  const clients: Client[] = [];
  const another = async () => {
    const client = await openEtcd(url, OPTIONS);
    clients.push(client);
    return client;
  };
  return {
    ...(await another()),
    another,
    async dispose() {
      for (const { log } of clients) await log.close();
    },
  };
}
