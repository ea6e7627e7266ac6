/**
 * What the store and the command line cost: scripts/bench --store [--sizes 1000,10000,100000] [--rounds 3] [--json FILE] [--no-serve].
 * Medians of all rounds with their spread. The store is measured with its syncs, in TMPDIR: let that be a disk. `start` and `apply over
 * HTTP` are of a `weft run` on a store of that size; --no-serve leaves them out.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/lib/clock.ts";
import { documentOf, parseDocuments } from "../../src/model/index.ts";
import { openSqliteStore, type PagePlace, type Put, type Store } from "../../src/store/index.ts";
import { figures, median, table } from "./bench/table.ts";

const { values: flags } = parseArgs({
  options: {
    store: { type: "boolean" },
    sizes: { type: "string", default: "1000,10000,100000" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
    "no-serve": { type: "boolean", default: false },
  },
});
const SIZES = flags.sizes.split(",").map(Number);
const ROUNDS = Number(flags.rounds);
const APPLIES = 500;
const CALLERS = [1, 16, 64];
const PAGE = 500;
const DOCUMENTS = 10_000;
/** Of `weft run`, which builds the whole mesh. */
const START_LIMIT_MS = 300_000;

const binary = process.env.WEFT_BINARY ?? join(import.meta.dir, "../../dist/weft");

interface Row {
  readonly measure: string;
  readonly size: number;
  readonly unit: string;
  readonly values: number[];
}
const rows = new Map<string, Row>();
function record(measure: string, size: number, unit: string, value: number): void {
  const key = `${measure} ${size}`;
  const row = rows.get(key) ?? { measure, size, unit, values: [] };
  rows.set(key, row);
  row.values.push(value);
}

/** Of five: a service, two instances, a route and a rule. `edit` makes another one of it. */
function documentAt(index: number, edit = 0): string {
  const name = `svc-${Math.floor(index / 5)}`;
  const head = (kind: string, own = name) =>
    `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${own}, namespace: default}\nspec:\n`;
  const host = `${name}.default.mesh.local`;
  const part = index % 5;
  if (part === 0) {
    return `${head("ServiceEntry")}  hosts: [${host}]\n  ports:\n    - {number: ${8080 + edit}, name: http, protocol: HTTP}\n  resolution: STATIC\n  location: MESH_INTERNAL\n  workloadSelector:\n    labels: {app: ${name}}\n`;
  }
  if (part < 3) {
    const address = `10.${part}${(index >> 16) & 7}.${(index >> 8) & 255}.${index & 255}`;
    return `${head("WorkloadEntry", `${name}-${part}`)}  address: ${address}\n  ports: {http: ${8080 + edit}}\n  labels: {app: ${name}, version: v${part}}\n  serviceAccount: ${name}\n`;
  }
  if (part === 3) {
    return `${head("VirtualService")}  hosts:\n    - ${host}\n  http:\n    - match:\n        - uri: {prefix: /api}\n      timeout: ${edit + 1}s\n      route:\n        - destination: {host: ${host}, subset: v1}\n          weight: 90\n        - destination: {host: ${host}, subset: v2}\n          weight: 10\n    - route:\n        - destination: {host: ${host}}\n`;
  }
  return `${head("DestinationRule")}  host: ${host}\n  trafficPolicy:\n    connectionPool:\n      tcp: {maxConnections: ${edit + 100}}\n  subsets:\n    - name: v1\n      labels: {version: v1}\n    - name: v2\n      labels: {version: v2}\n`;
}

function putsOf(text: string): readonly Put[] {
  const { resources, problems } = parseDocuments(text, "bench.yaml");
  if (problems[0]) throw new Error(problems[0].message);
  return resources.map((resource) => ({
    kind: resource.kind,
    namespace: resource.metadata.namespace,
    name: resource.metadata.name,
    document: documentOf(resource),
    source: resource.source,
  }));
}

const spread = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

let edits = 0;
/** Another content for any resource: never "unchanged". */
const nextEdit = (size: number) => {
  edits += 1;
  return documentAt((edits * 7919) % size, 1 + (edits % 5000));
};

async function measureStore(store: Store, size: number): Promise<void> {
  const applyOne = (puts: readonly Put[]) => store.apply({ puts, deletes: [], who: "bench" });
  for (const callers of CALLERS) {
    const puts = Array.from({ length: APPLIES }, () => putsOf(nextEdit(size)));
    const waits: number[] = [];
    const elapsed = await timed(() =>
      Promise.all(
        Array.from({ length: callers }, async () => {
          for (let next = puts.pop(); next; next = puts.pop()) {
            const put = next;
            waits.push(await timed(() => applyOne(put)));
          }
        }),
      ),
    );
    record(`applies with ${callers} callers`, size, "1/s", (waits.length * 1000) / elapsed);
    if (callers > 1) continue;
    record("apply p50", size, "ms", median(waits));
    record("apply p99", size, "ms", spread(waits, 0.99));
  }
  const pages: number[] = [];
  for (let from: PagePlace | undefined, first = true; first || from; first = false) {
    const page: PagePlace | undefined = from;
    let next: PagePlace | undefined;
    pages.push(await timed(async () => ({ next } = await store.listPage({}, { limit: PAGE, from: page }))));
    from = next;
  }
  record(`list: page of ${PAGE}, p99`, size, "ms", spread(pages, 0.99));
  const { revision } = await store.listPage({}, { limit: 1 });
  const watch = store.watch(revision - APPLIES, new AbortController().signal)[Symbol.asyncIterator]();
  const watching = await timed(async () => {
    for (let count = 0; count < APPLIES; count++) await watch.next();
  });
  await watch.return?.();
  record(`watch: page of ${APPLIES} revisions`, size, "ms", watching);
}

async function measureServer(data: string, size: number): Promise<void> {
  const began = performance.now();
  const child = Bun.spawn([binary, "run", "--data", data, "--ads", "127.0.0.1:0", "--admin", "127.0.0.1:0"], {
    stdout: "pipe",
    stderr: "ignore",
  });
  const limit = setTimeout(() => child.kill("SIGKILL"), START_LIMIT_MS);
  try {
    const first = await child.stdout.getReader().read();
    if (first.done) throw new Error(`weft did not start within ${START_LIMIT_MS / 1000} s on ${size} resources`);
    record("start to ready", size, "ms", performance.now() - began);
    const unix = join(data, "admin.sock");
    const waits: number[] = [];
    for (let count = 0; count < 30; count++) {
      const body = nextEdit(size);
      waits.push(
        await timed(async () => {
          const response = await fetch("http://weft/v1/apply", { method: "POST", body, unix });
          if (!response.ok) throw new Error(await response.text());
          await response.text();
        }),
      );
    }
    record("apply over HTTP p50", size, "ms", median(waits));
    record("apply over HTTP p99", size, "ms", spread(waits, 0.99));
  } finally {
    clearTimeout(limit);
    child.kill();
    await child.exited;
  }
}

async function measureCommands(directory: string): Promise<void> {
  const file = join(directory, "documents.yaml");
  writeFileSync(file, Array.from({ length: DOCUMENTS }, (_, index) => documentAt(index)).join("---\n"));
  const commands: readonly (readonly string[])[] = [
    ["version"],
    ["--help"],
    ["get", "--help"],
    ["why", "--help"],
    ["validate", "-f", file],
  ];
  for (const args of commands) {
    const child = Bun.spawn([binary, ...args], { stdout: "ignore", stderr: "inherit" });
    const elapsed = await timed(() => child.exited);
    if (child.exitCode !== 0) throw new Error(`weft ${args.join(" ")} exits with ${child.exitCode}`);
    const isValidate = args[0] === "validate";
    const name = `weft ${isValidate ? "validate" : args.join(" ")}`;
    record(name, isValidate ? DOCUMENTS : 0, "ms", elapsed);
    record(`${name}, processor time`, isValidate ? DOCUMENTS : 0, "ms", Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000);
  }
}

const directory = mkdtempSync(join(tmpdir(), "weft-bench-store-"));
try {
  for (const size of SIZES) {
    const data = join(directory, String(size));
    const path = join(data, "weft.db");
    const seed = await openSqliteStore({ path, clock: systemClock });
    for (let from = 0; from < size; from += 2000) {
      const text = Array.from({ length: Math.min(2000, size - from) }, (_, index) => documentAt(from + index)).join("---\n");
      await seed.apply({ puts: putsOf(text), deletes: [], who: "bench" });
    }
    await seed.close();
    for (let round = 0; round < ROUNDS; round++) {
      console.error(`==> ${size} resources, round ${round + 1}`);
      const began = performance.now();
      const store = await openSqliteStore({ path, clock: systemClock });
      record("store: open", size, "ms", performance.now() - began);
      record("store: first list", size, "ms", await timed(() => store.list()));
      await measureStore(store, size);
      await store.close();
      if (!flags["no-serve"]) await measureServer(data, size);
    }
    rmSync(data, { recursive: true });
  }
  for (let round = 0; round < ROUNDS; round++) await measureCommands(directory);
  const cells = [...rows.values()].map(({ measure, size, unit, values }) => [
    measure,
    size > 0 ? String(size) : "",
    `${figures(median(values))} ${unit}`,
    `${figures(Math.min(...values))} to ${figures(Math.max(...values))}`,
  ]);
  console.log(
    `${cpus().length} CPUs (${cpus()[0]?.model.trim()}), rounds: ${ROUNDS}\n\n${table(["measure", "resources", "median", "spread"], cells)}`,
  );
  if (flags.json)
    writeFileSync(flags.json, `${JSON.stringify({ cpus: cpus().length, rounds: ROUNDS, measures: [...rows.values()] }, null, 2)}\n`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
