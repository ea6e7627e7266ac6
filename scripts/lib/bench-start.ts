/**
 * Where a start's time goes, by phase, and what the first proxy then costs: milliseconds of processor time in a process of its own, on the mesh of
 * bench/mesh.ts (nine documents a service) in a SQLite store in TMPDIR. Run: bun scripts/lib/bench-start.ts [--services 11111] [--rounds 3];
 * prints medians with their spread. `scripts/bench --store` has the same start from outside, on its own mix of documents.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/lib/clock.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { ResourceSet } from "../../src/mesh/resource-set.ts";
import { documentOf, parseDocuments, resourceFromStored } from "../../src/model/index.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { ALL_ABILITIES } from "../../src/xds/envoy-version.ts";
import { ProxySnapshots } from "../../src/xds/proxy-snapshots.ts";
import { meshDocuments } from "./bench/mesh.ts";
import { figures, median, table } from "./bench/table.ts";

const { values: flags } = parseArgs({
  options: {
    services: { type: "string", default: "11111" },
    rounds: { type: "string", default: "3" },
    // Of this program's own children: one start on the store there.
    store: { type: "string" },
  },
});

const BATCH = 2000;

async function seed(path: string): Promise<void> {
  const store = await openSqliteStore({ path, clock: systemClock });
  const documents = [...meshDocuments({ services: Number(flags.services), streams: 0 })];
  for (let from = 0; from < documents.length; from += BATCH) {
    const { resources, problems } = parseDocuments(documents.slice(from, from + BATCH).join("---\n"), "bench.yaml");
    if (problems[0]) throw new Error(problems[0].message);
    const puts = resources.map((resource) => {
      const { kind, metadata, source } = resource;
      return { kind, namespace: metadata.namespace, name: metadata.name, document: documentOf(resource), source };
    });
    await store.apply({ puts, deletes: [], who: "bench" });
  }
  await store.close();
}

/** By phase. */
async function start(path: string): Promise<Readonly<Record<string, number>>> {
  const phases: Record<string, number> = {};
  const used = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  let before = used();
  const lap = (phase: string) => {
    const now = used();
    phases[phase] = now - before;
    before = now;
  };
  const store = await openSqliteStore({ path, clock: systemClock });
  lap("open: check the file, read and verify all rows");
  const { resources, revision } = await store.list();
  lap("list: parse the JSON");
  const set = ResourceSet.of(resources.map((stored) => resourceFromStored(stored)));
  lap("resources, oldest first");
  const mesh = buildMesh(set, { revision, trustDomain: "mesh.local" });
  lap("the Mesh");
  phases["all until weft is ready"] = Object.values(phases).reduce((sum, one) => sum + one, 0);
  const [first = "", second = ""] = mesh.workloads.keys();
  if (!mesh.outbound.get(first)) throw new Error("no workload in the mesh");
  lap("the first proxy: its view");
  new ProxySnapshots().next(mesh, first, [], ALL_ABILITIES);
  lap("the first proxy: its resources, encoded");
  new ProxySnapshots().next(mesh, second, [], ALL_ABILITIES);
  lap("the second proxy");
  await store.close();
  return phases;
}

if (flags.store) console.log(JSON.stringify(await start(flags.store)));
else {
  const directory = mkdtempSync(join(tmpdir(), "weft-bench-start-"));
  try {
    const path = join(directory, "weft.db");
    await seed(path);
    const rounds = Array.from({ length: Number(flags.rounds) }, () => {
      const child = Bun.spawnSync([process.execPath, import.meta.path, "--store", path], { stderr: "inherit" });
      if (child.exitCode !== 0) throw new Error(`a start failed with exit code ${child.exitCode}`);
      return JSON.parse(child.stdout.toString()) as Record<string, number>;
    });
    const cells = Object.keys(rounds[0] ?? {}).map((phase) => {
      const values = rounds.map((round) => round[phase] ?? Number.NaN);
      return [phase, `${figures(median(values))} ms`, `${figures(Math.min(...values))} to ${figures(Math.max(...values))}`];
    });
    console.log(`${Number(flags.services) * 9 + 1} resources\n\n${table(["phase", "median", "spread"], cells)}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
