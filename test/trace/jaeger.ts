/** A real Jaeger of a test's own, that keeps its traces in memory, asked through its query API (/api/traces, as its own pages ask). */
import { join } from "node:path";
import type { Network } from "../../scripts/lib/lab/network.ts";
import type { Processes } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";

/** Undefined where Jaeger cannot be had here: with the reason on stderr. @throws Error with CI=true, where it is expected */
export function installJaeger(): string | undefined {
  const { exitCode, stdout, stderr } = Bun.spawnSync([join(import.meta.dir, "../../scripts/lib/install-jaeger")]);
  if (exitCode !== 0 && process.env.CI === "true") throw new Error(stderr.toString());
  if (exitCode !== 0) return void console.error(`SKIPPED the tests with a real Jaeger: ${stderr.toString()}`);
  return stdout.toString().trim();
}

export interface JaegerSpan {
  readonly id: string;
  /** Of its parent; undefined for the first of a trace. */
  readonly parent?: string;
  readonly name: string;
  readonly tags: Readonly<Record<string, unknown>>;
  /** service.name of its resource. */
  readonly service: string;
  /** The resource's other attributes. */
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Jaeger {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT: OTLP over HTTP. */
  readonly otlpHttp: string;
  /** Port of OTLP over gRPC, as Envoy speaks it. */
  readonly otlpGrpc: number;
  services(): Promise<readonly string[]>;
  /** Of a service: the traces in which a span has all of these tags. */
  traces(service: string, tags?: Readonly<Record<string, string>>): Promise<readonly (readonly JaegerSpan[])[]>;
}

interface Pair {
  readonly key: string;
  readonly value: unknown;
}

interface RawTrace {
  readonly spans: readonly {
    readonly spanID: string;
    readonly operationName: string;
    readonly processID: string;
    readonly references: readonly { readonly refType: string; readonly spanID: string }[];
    readonly tags: readonly Pair[];
  }[];
  readonly processes: Readonly<Record<string, { readonly serviceName: string; readonly tags?: readonly Pair[] }>>;
}

export async function startJaeger(program: string, { processes, network }: { processes: Processes; network: Network }): Promise<Jaeger> {
  const host = "127.0.0.1";
  const flags = ["otlp.http", "otlp.grpc", "http-server", "grpc-server"].map((name) => `collector.${name}`);
  const ports = new Map<string, number>();
  for (const name of [...flags, "query.http-server", "query.grpc-server", "admin.http"]) ports.set(name, await network.freePort(host));
  const args = [...ports].map(([name, port]) => `--${name}.host-port=${host}:${port}`);
  const child = processes.start("jaeger", [program, ...args, "--log-level=warn"], {
    env: { SPAN_STORAGE_TYPE: "memory", JAEGER_DISABLED: "true" },
  });
  const query = `http://${host}:${ports.get("query.http-server")}`;
  const ask = async (path: string): Promise<unknown> => {
    const response = await fetch(`${query}${path}`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`Jaeger answered ${path} with ${response.status} ${await response.text()}`);
    return ((await response.json()) as { readonly data: unknown }).data;
  };
  await waitFor("Jaeger", async () => (child.running() ? await ask("/api/services").then(() => "up") : "ended"), Boolean).then((state) => {
    if (state === "ended") throw new Error(`Jaeger ended:\n${child.tail()}`);
  });
  return {
    otlpHttp: `http://${host}:${ports.get("collector.otlp.http")}`,
    otlpGrpc: ports.get("collector.otlp.grpc") ?? 0,
    services: async () => ((await ask("/api/services")) ?? []) as string[],
    async traces(service, tags = {}) {
      const parameters = new URLSearchParams({ service, limit: "100", lookback: "1h", tags: JSON.stringify(tags) });
      return ((await ask(`/api/traces?${parameters}`)) as readonly RawTrace[]).map(spansOf);
    },
  };
}

function spansOf({ spans, processes }: RawTrace): readonly JaegerSpan[] {
  return spans.map(({ spanID, operationName, processID, references, tags }) => {
    const of = processes[processID];
    return {
      id: spanID,
      parent: references.find(({ refType }) => refType === "CHILD_OF")?.spanID,
      name: operationName,
      tags: recordOf(tags),
      service: of?.serviceName ?? "",
      resource: recordOf(of?.tags ?? []),
    };
  });
}

const recordOf = (pairs: readonly Pair[]) => Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
