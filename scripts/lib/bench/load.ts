/** The load client, as a function. */
import { NODE_ID } from "./mesh.ts";
import type { Protocol } from "./options.ts";
import type { Dumps, Server } from "./servers.ts";

export interface SyncReport {
  readonly synced: number;
  readonly all_ms: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly server_cpu_s: number;
  readonly client_cpu_s: number;
  readonly server_peak_mib: number;
  readonly server_after_mib: number;
  readonly bytes: number;
  readonly resources_of_first_stream: Readonly<Record<string, number>>;
  readonly ended: Readonly<Record<string, number>>;
}

export interface ChangeReport {
  readonly streams: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  readonly trigger_ms: number;
  readonly server_cpu_s: number;
  readonly bytes: number;
}

/** What a crowd that comes at once means for those that are in sync (load/crowd.go). */
export interface CrowdReport {
  readonly steady: number;
  readonly came: number;
  readonly all_ms: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly changes: number;
  readonly change_p50_ms: number;
  readonly change_p99_ms: number;
  readonly change_max_ms: number;
  readonly pings: number;
  readonly ping_p99_ms: number;
  readonly ping_max_ms: number;
  readonly server_peak_mib: number;
  readonly server_cpu_s: number;
}

/** What `load` prints. */
export interface LoadReport {
  readonly protocol: Protocol;
  readonly streams: number;
  readonly crowd?: CrowdReport;
  readonly server_before_mib: number;
  readonly syncs: readonly SyncReport[];
  readonly changes: readonly ChangeReport[];
  readonly server_peak_mib: number;
  readonly server_after_mib: number;
  readonly server_cpu_s: number;
  readonly client_cpu_s: number;
  readonly unreadable_resources: number;
  readonly errors: readonly string[];
}

export interface LoadRun {
  readonly program: string;
  readonly server: Server;
  readonly protocol: Protocol;
  readonly streams: number;
  /** Directory of the streams' tokens. */
  readonly tokens: string;
  readonly syncs?: number;
  readonly changes?: number;
  /** How many stay, when all others lose their connections at once; none do where absent. */
  readonly steady?: number;
  /** What differs between the two is what a change brings. */
  readonly dumps?: Dumps;
  /** Write dumps, in place of changes. */
  readonly write?: Dumps;
  /** Rest less between the parts of the run. */
  readonly quick: boolean;
}

/** @throws Error with what the client said, where a stream did not get what it was to get */
export async function runLoad(run: LoadRun): Promise<LoadReport> {
  const { server, dumps, write } = run;
  const { trigger } = server;
  const args = [
    ...["-address", server.ads, "-node", NODE_ID, "-tokens", run.tokens, "-streams", run.streams, "-pid", server.process.pid],
    ...(run.protocol === "delta" ? ["-delta"] : []),
    ...["-syncs", run.syncs ?? 1, "-changes", run.changes ?? 0, "-steady", run.steady ?? 0, "-limit", "600s"],
    ...(run.quick ? ["-settle", "200ms", "-quiet", "1s"] : []),
    ...["-trigger-a", trigger.url("a"), "-trigger-b", trigger.url("b")],
    ...(trigger.unix ? ["-trigger-unix", trigger.unix] : []),
    ...(trigger.body ? ["-body-a", trigger.body("a"), "-body-b", trigger.body("b")] : []),
    ...(dumps ? ["-dump-a", dumps.a, "-dump-b", dumps.b] : []),
    ...(write ? ["-write-dump-a", write.a, "-write-dump-b", write.b] : []),
  ];
  const child = Bun.spawn([run.program, ...args.map(String)], { stdout: "pipe", stderr: "pipe", stdin: "ignore" });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  process.off("exit", kill);
  if (!out.trim()) throw new Error(`the load client ended with code ${code}: ${err}\n${server.process.tail()}`);
  const report: LoadReport = JSON.parse(out);
  if (report.errors.length > 0 || report.unreadable_resources > 0) {
    throw new Error(`${report.errors.join("; ")}; ${report.unreadable_resources} unreadable resources\n${server.process.tail()}`);
  }
  return report;
}
